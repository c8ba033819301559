"""Clients that are slow: cut off where they hold a connection for nothing, served where they are only slow."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from signoff import Signoff
from signoff.protocol.models import WATCH_SUBPROTOCOL
from tests.e2e.wire import Wire, request
from tests.support.server import RunningServer

HEALTH = request("GET", "/healthz")
LIST = "/v1/approvals?limit=200"
BODY = b'{"name":"dripped"}'
PATIENCE = 2.5
LATE = 5.0
READS = 1.5
WAITS = 5
_IMPATIENT = (
    "from signoff_server import limits\n"
    f"limits.HEAD_SECONDS = limits.BODY_SECONDS = limits.IDLE_SECONDS = {PATIENCE}\n"
    f"limits.UNREAD_SECONDS = {READS}\n"
    "limits.LINGER_SECONDS = 1_000\n"
    f"limits.WAITS = {WAITS}\n"
    "from signoff_server.web import wait\n"
    "wait._FULL_RETRY = 1\n"
    "from signoff_server.commands import dev\n"
    "dev()\n"
)


class Slow(NamedTuple):
    """`drip` is said again and again; `told` is the code of the problem at the end, if there is one."""

    first: bytes
    drip: bytes
    told: str | None
    answers: int = 0


def slow(key: str) -> dict[str, Slow]:
    create = request("POST", "/v1/approvals", key=key, body=BODY).removesuffix(BODY)
    chunked = request("POST", "/v1/approvals", key=key, more="Transfer-Encoding: chunked\r\n")
    return {
        "says nothing": Slow(b"", b"", None),
        "says nothing more": Slow(HEALTH, b"", None, 1),
        "drips empty lines": Slow(b"\r\n", b"\r\n", "request_timeout"),
        "drips a path": Slow(b"GET /", b"a", "request_timeout"),
        "drips a header": Slow(HEALTH[:-2] + b"X-A: ", b"a", "request_timeout"),
        "drips headers": Slow(HEALTH[:-2], b"X-A: a\r\n", "request_timeout"),
        "drips the second request": Slow(HEALTH + b"GET /", b"a", "request_timeout", 1),
        "says half a request": Slow(HEALTH[:-2], b"", "request_timeout"),
        "drips a body": Slow(create, b" ", "request_timeout"),
        "says half a body": Slow(create + BODY[:5], b"", "request_timeout"),
        "drips chunks": Slow(chunked, b"1\r\n \r\n", "request_timeout"),
        "drips a chunk's extension": Slow(chunked + b"1;", b"a", "request_timeout"),
        "drips a trailer": Slow(chunked + b"0\r\nX-A: ", b"a", "request_timeout"),
        "drips a body that nobody reads": Slow(HEALTH[:-2] + b"Content-Length: 999\r\n\r\n", b"a", None, 1),
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("slow"), code=_IMPATIENT) as running:
        yield running
        assert not re.search("Traceback|ERROR", running.log())


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    # It lets go of a connection before the server does.
    kept = httpx.Limits(keepalive_expiry=PATIENCE / 2)
    with httpx.Client(base_url=server.url, headers=server.app(), timeout=30, limits=kept) as made:
        yield made


def gauge(http: httpx.Client, name: str) -> float:
    found = re.search(rf"^signoff_{re.escape(name)} (\S+)$", http.get("/metrics").text, re.MULTILINE)
    return 0.0 if found is None else float(found[1])


def until(http: httpx.Client, name: str, fits: Callable[[float], bool]) -> None:
    """Returns when this number has a value that fits."""
    while not fits(gauge(http, name)):
        pass


def ask(http: httpx.Client, **body: Any) -> str:
    made: str = http.post("/v1/approvals", json={"name": "a", **body}).json()["id"]
    return made


def watch(server: RunningServer) -> ClientConnection:
    return connect(
        "ws" + server.url.removeprefix("http") + "/v1/approvals/watch",
        additional_headers=server.app(),
        subprotocols=[Subprotocol(WATCH_SUBPROTOCOL)],
        compression=None,
        close_timeout=1,
    )


@pytest.fixture(scope="module")
def much(server: RunningServer) -> int:
    """More than all the buffers between a server and a client hold, in bytes: a page of large approvals."""
    large = {"x": "x" * 60_000}
    with httpx.Client(base_url=server.url, headers=server.app()) as http:
        for _ in range(90):
            ask(http, context=large, arguments=large)
        return len(http.get(LIST).content)


# ---------------------------------------------------------------- who is slow to speak


def test_the_slow_are_cut_off(server: RunningServer, http: httpx.Client) -> None:
    failed = 'requests_total{route="/v1/approvals",status="400"}'
    before, kinds = gauge(http, failed), slow(server.app_key)
    with ExitStack() as stack:
        begun = time.monotonic()
        wires = {name: stack.enter_context(Wire(server)).say(each.first) for name, each in kinds.items()}
        for name, each in kinds.items():
            assert [wires[name].reply().status for _ in range(each.answers)] == [200] * each.answers
        ended: dict[str, float] = {}
        while len(ended) < len(kinds):
            for name in kinds.keys() - ended.keys():
                if not wires[name].is_quiet(0.02):
                    ended[name] = time.monotonic() - begun
                elif kinds[name].drip:
                    wires[name].say_while_heard(kinds[name].drip, 1)
        told = {name: [reply.code for reply in wires[name].replies_to_the_end()] for name in kinds}
        # The handlers that waited for those bodies have ended too, before the connections have.
        until(http, failed, lambda found: found == before + 5)
    assert told == {name: [each.told] if each.told else [] for name, each in kinds.items()}
    assert {name: seconds for name, seconds in ended.items() if not PATIENCE <= seconds <= PATIENCE + LATE} == {}
    assert "dripped" not in http.get(LIST).text


def test_an_honest_client_may_be_slow(server: RunningServer) -> None:
    said = request("POST", "/v1/approvals", key=server.app_key, body=b'{"name":"slow"}')
    with Wire(server) as wire:
        for _ in range(2):
            for part in (said[:9], said[9:60], said[60:-8], said[-8:-1]):
                assert wire.say(part).is_quiet(0.2)
            assert wire.say(said[-1:]).reply().status == 201


def test_a_held_request_is_not_a_slow_one(server: RunningServer, http: httpx.Client) -> None:
    approval = ask(http)
    with Wire(server) as wire:
        wire.say(request("GET", f"/v1/approvals/{approval}?wait=5", key=server.app_key))
        assert wire.is_quiet(4.5)
        assert wire.reply().json()["status"] == "pending"
        assert wire.say(HEALTH).reply().status == 200


def test_a_stream_without_news_is_not_a_slow_one(server: RunningServer, http: httpx.Client) -> None:
    with Wire(server) as wire:
        wire.say(request("GET", "/v1/events/stream", key=server.reviewer_key))
        assert wire.reply().status == 200
        wire.hear(b"retry:")
        assert wire.is_quiet(PATIENCE + 2)
        approval = ask(http)
        wire.hear(approval.encode())


def test_a_head_that_comes_while_a_request_is_held_must_come_in_time(server: RunningServer, http: httpx.Client) -> None:
    approval = ask(http)
    with Wire(server) as wire:
        wire.say(request("GET", f"/v1/approvals/{approval}?wait=5", key=server.app_key) + b"GET /hea")
        held, refused = wire.replies_to_the_end()
        assert (held.json()["status"], refused.code) == ("pending", "request_timeout")


def test_a_held_request_ends_with_its_connection_whatever_follows_it(server: RunningServer, http: httpx.Client) -> None:
    approval = ask(http)
    with Wire(server) as wire:
        wire.say(request("GET", f"/v1/approvals/{approval}?wait=60", key=server.app_key) + HEALTH)
        until(http, "waiting_subjects", lambda found: found == 2)
    until(http, "waiting_subjects", lambda found: found == 0)


# ---------------------------------------------------------------- who is slow to read


def test_who_does_not_read_an_answer_is_cut_off(server: RunningServer, http: httpx.Client, much: int) -> None:
    with Wire(server, narrow=True) as wire:
        wire.say(request("GET", LIST, key=server.app_key))
        until(http, "connections", lambda found: found == 2)
        until(http, "connections", lambda found: found == 1)
        assert wire.take(much) < much


def test_who_does_not_read_a_stream_is_cut_off(server: RunningServer, http: httpx.Client, much: int) -> None:
    with Wire(server, narrow=True) as wire:
        wire.say(request("GET", "/v1/events/stream?after=0", key=server.reviewer_key))
        until(http, "connections", lambda found: found == 2)
        until(http, "connections", lambda found: found == 1)
        assert wire.take(much) < much


def test_who_does_not_read_the_last_words_is_cut_off(server: RunningServer, http: httpx.Client, much: int) -> None:
    with Wire(server, narrow=True) as wire:
        wire.say(request("GET", LIST, key=server.app_key, more="Connection: close\r\n"))
        until(http, "connections", lambda found: found == 2)
        until(http, "connections", lambda found: found == 1)
        assert wire.take(much) < much


def test_a_slow_reader_gets_all_of_it(server: RunningServer, http: httpx.Client, much: int) -> None:
    taken, begun = 0, time.monotonic()
    with Wire(server, narrow=True) as wire:
        wire.say(request("GET", LIST, key=server.app_key, more="Connection: close\r\n"))
        while more := wire.take(much // 50):
            taken += more
            # It has other things to do.
            while time.monotonic() - begun < taken / much * 3 * READS:
                assert http.get("/healthz").status_code == 200
    assert taken > much


def test_a_socket_that_pings_and_does_not_read_is_cut_off(server: RunningServer, http: httpx.Client) -> None:
    handshake = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    ping = b"\x89\xfd" + bytes(4) + b"p" * 125
    with Wire(server, narrow=True) as wire:
        wire.say(request("GET", "/v1/approvals/watch", key=server.app_key, more=handshake))
        assert wire.reply().status == 101
        assert not wire.say_while_heard(ping * 1_000, 2_000)
    until(http, "watch_sockets", lambda found: found == 0)
    until(http, "connections", lambda found: found == 1)


# ---------------------------------------------------------------- who says too much at a time


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("x" * 65_537, 1009),
        (["x" * 40_000, "x" * 40_000], 1009),
        (["x"] * 64, 1009),
        ([""] * 10_000, 1009),
        ("x" * 65_536, None),
        (["x" * 1_000] * 63, None),
    ],
    ids=["long", "long in parts", "many parts", "endless parts", "just not too long", "just not too many parts"],
)
def test_a_message_has_its_size(server: RunningServer, message: str | list[str], code: int | None) -> None:
    with watch(server) as socket:
        if code is None:
            socket.send(message)
            assert "invalid" in str(socket.recv(10))
            return
        with suppress(ConnectionClosed):
            socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_more_waits_than_a_key_may_have_are_answered_all_the_same(server: RunningServer, http: httpx.Client) -> None:
    ids = [ask(http) for _ in range(WAITS + 3)]
    with Signoff(server.url, server.app_key) as client, ThreadPoolExecutor(len(ids)) as pool:
        waits = [pool.submit(client.approvals.wait, each, timeout=60) for each in ids[:3]]
        until(http, "waiting_subjects", lambda found: found == 4)
        waits += [pool.submit(client.approvals.wait, each, timeout=60) for each in ids[3:]]
        refused = 'requests_total{route="/v1/approvals/{id}",status="429"}'
        until(http, refused, lambda found: found > 0)
        # What fitted stays on the socket.
        until(http, "watch_sockets", lambda found: found == 1)
        for each in ids:
            http.post(
                f"/v1/approvals/{each}/decision", headers=server.reviewer(), json={"decision": "approved"}
            ).raise_for_status()
        assert {wait.result(60).status for wait in waits} == {"approved"}
