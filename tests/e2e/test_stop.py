"""Stopping, coming back, and what fell due meanwhile."""

import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from signoff import Signoff
from signoff.protocol.models import WATCH_SUBPROTOCOL
from tests.support.databases import only
from tests.support.server import RunningServer

POLLS: Final = 20
_STOPS_WITHIN: Final = 2.0
_LATE: Final = timedelta(seconds=1)
_BRIEF_LEASES: Final = (
    "from signoff_server.core import approvals\n"
    "approvals.LEASE = 1_000\n"
    "from signoff_server.commands import dev\n"
    "dev()\n"
)
_LITTLE_PATIENCE: Final = (
    "from signoff_server import limits\nlimits.UNREAD_SECONDS = 0.5\nfrom signoff_server.commands import dev\ndev()\n"
)


class Asker:
    """What these tests do with a server, in one line each."""

    def __init__(self, server: RunningServer, http: httpx.Client) -> None:
        self.server = server
        self.http = http

    def call(self, method: str, path: str, *, reviewer: bool = False, **options: Any) -> Any:
        headers = self.server.reviewer() if reviewer else self.server.app()
        reply = self.http.request(method, f"{self.server.url}{path}", headers=headers, **options)
        assert reply.status_code in (200, 201), reply.text
        return reply.json()

    def ask(self, **body: Any) -> dict[str, Any]:
        asked: dict[str, Any] = self.call("POST", "/v1/approvals", json={"name": "payments.wire", **body})
        return asked

    def decide(self, approval: str) -> None:
        self.call("POST", f"/v1/approvals/{approval}/decision", reviewer=True, json={"decision": "approved"})

    def redeem(self, approval: dict[str, Any]) -> dict[str, Any]:
        body = {"binding": approval["binding"], "redeemer": "r1"}
        redeemed: dict[str, Any] = self.call("POST", f"/v1/approvals/{approval['id']}/redeem", json=body)
        return redeemed

    def wait(self, approval: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/v1/approvals/{approval}?wait=60")
        return found

    def when(self, approval: str, kind: str) -> datetime:
        """The moment of its one event of this type."""
        events = self.call("GET", f"/v1/approvals/{approval}/events")["data"]
        (found,) = [event for event in events if event["type"] == kind]
        return datetime.fromisoformat(found["at"])

    def until(self, gauge: str, fits: Callable[[float], bool]) -> None:
        """Returns when this gauge of the server has a value that fits."""
        found = None
        while found is None or not fits(float(found[1])):
            found = re.search(rf"^{gauge} (\S+)$", self.http.get(f"{self.server.url}/metrics").text, re.MULTILINE)

    def until_waited_for(self, subjects: int) -> None:
        """Returns when somebody waits for so many subjects; the key of whoever waits is one of them."""
        self.until("signoff_waiting_subjects", lambda found: found == subjects)

    def stay_down_until(self, moment: datetime) -> None:
        """SIGKILL; further starts die before they serve, for as long as it is too early."""
        self.server.kill()
        while datetime.now(UTC) <= moment:
            with pytest.raises(AssertionError, match="did not start"):
                self.server.start({"SIGNOFF_FAILPOINT": "start.before_listen"})


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=70) as made:
        yield made


@pytest.fixture
def asker(dev_server: RunningServer, http: httpx.Client) -> Asker:
    return Asker(dev_server, http)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(POLLS) as made:
        yield made


@contextmanager
def watch(server: RunningServer, ids: list[str], *, reading: bool = True) -> Iterator[ClientConnection]:
    """A watch socket. One that does not read has as little room as there can be."""
    address = urlsplit(server.url)
    tcp = socket.socket()
    if not reading:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    tcp.connect((address.hostname, address.port))
    with connect(
        f"ws://{address.netloc}/v1/approvals/watch",
        sock=tcp,
        additional_headers=server.app(),
        subprotocols=[Subprotocol(WATCH_SUBPROTOCOL)],
        compression=None,
        max_queue=16 if reading else 1,
        close_timeout=1,
    ) as connection:
        connection.send('{"op": "watch", "ids": ["' + '", "'.join(ids) + '"]}')
        if reading:
            assert '"watching"' in str(connection.recv(10))
        yield connection


def more_than_fits(asker: Asker) -> list[str]:
    """Decided approvals whose news is more than all the buffers between a server and a client hold."""
    heavy = {f"note-{at}": "x" * 1_000 for at in range(50)}
    ids = [asker.ask(metadata=heavy)["id"] for _ in range(150)]
    for each in ids:
        asker.decide(each)
    return ids


def test_a_stop_answers_everybody_and_is_quick(asker: Asker, pool: ThreadPoolExecutor) -> None:
    server = asker.server
    polled = [asker.ask()["id"] for _ in range(POLLS)]
    unread = more_than_fits(asker)
    with ExitStack() as stack:
        sockets = [stack.enter_context(watch(server, [asker.ask()["id"]])) for _ in range(4)]
        polls = [
            pool.submit(asker.http.get, f"{server.url}/v1/approvals/{each}?wait=60", headers=server.app())
            for each in polled
        ]
        waiting = POLLS + len(sockets) + 1
        asker.until_waited_for(waiting)
        stack.enter_context(watch(server, unread, reading=False))
        # It has been told of some and will never be told of all.
        asker.until("signoff_waiting_subjects", lambda found: waiting < found < waiting + len(unread))

        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        seconds = time.monotonic() - begun

        assert seconds < _STOPS_WITHIN, seconds
        for poll in polls:
            reply = poll.result(10)
            assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
            assert int(reply.headers["Retry-After"]) >= 1
        for each in sockets:
            with pytest.raises(ConnectionClosed) as closed:
                each.recv(10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
    assert "Traceback" not in server.log()


@only("sqlite")
def test_a_client_that_does_not_read_is_cut_off(database: str, tmp_path: Path, http: httpx.Client) -> None:
    with RunningServer(tmp_path, database=database, code=_LITTLE_PATIENCE) as server:
        asker = Asker(server, http)
        unread = more_than_fits(asker)
        with watch(server, unread, reading=False):
            asker.until("signoff_waiting_subjects", lambda found: 0 < found < len(unread))
            asker.until("signoff_watch_sockets", lambda found: found == 0)
            asker.until_waited_for(0)
            # Its connection has ended too, though it still holds its end of it.
            asker.until("signoff_connections", lambda found: found == 1)
        assert "Traceback" not in server.log()


def test_waiters_outlive_a_stop_and_a_start(asker: Asker, pool: ThreadPoolExecutor) -> None:
    server = asker.server
    ids = [asker.ask()["id"] for _ in range(6)]
    with ExitStack() as stack:
        waits: list[Future[Any]] = []
        for transport, some in (("websocket", ids[:3]), ("poll", ids[3:])):
            client = stack.enter_context(Signoff(server.url, server.app_key, transport=transport))  # type: ignore[arg-type]
            waits += [pool.submit(client.approvals.wait, each, timeout=100) for each in some]
        asker.until_waited_for(len(ids) + 1)
        assert server.terminate() == 0
        server.start()
        asker.until_waited_for(len(ids) + 1)
        for each in ids:
            asker.decide(each)
        assert [wait.result(60).status for wait in waits] == ["approved"] * len(ids)


def test_what_expired_while_the_server_was_down_is_expired_at_once(asker: Asker) -> None:
    asked = asker.ask(expires_in=1)
    due = datetime.fromisoformat(asked["expires_at"])
    asker.stay_down_until(due)
    asker.server.start()
    ready = datetime.now(UTC)
    assert asker.wait(asked["id"])["status"] == "expired"
    assert due < asker.when(asked["id"], "approval.expired") < ready + _LATE


def test_a_lease_lost_while_the_server_was_down_is_unknown_at_once(
    database: str, tmp_path: Path, http: httpx.Client
) -> None:
    with RunningServer(tmp_path, database=database, code=_BRIEF_LEASES) as server:
        asker = Asker(server, http)
        asked = asker.ask()
        asker.decide(asked["id"])
        due = datetime.fromisoformat(asker.redeem(asked)["lease_until"])
        asker.stay_down_until(due)
        server.start()
        ready = datetime.now(UTC)
        # Something that falls due later, and can be waited for.
        assert asker.wait(asker.ask(expires_in=1)["id"])["status"] == "expired"
        assert asker.wait(asked["id"])["redemption"]["outcome"] == "unknown"
        assert due < asker.when(asked["id"], "approval.outcome_unknown") < ready + _LATE


def test_an_expiry_is_late_by_a_second_at_most(asker: Asker, pool: ThreadPoolExecutor) -> None:
    asked = [asker.ask(expires_in=1 + at % 2) for at in range(POLLS)]
    for each in pool.map(asker.wait, [each["id"] for each in asked]):
        assert each["status"] == "expired"
        late = asker.when(each["id"], "approval.expired") - datetime.fromisoformat(each["expires_at"])
        assert timedelta(0) <= late < _LATE
