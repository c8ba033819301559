"""The live feed over real sockets: gapless through kills, quick to stop, and no burden where nobody reads."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.feed import Block, following
from tests.support.server import DEV, RunningServer

SIGNOFF: Final = Path(sys.executable).with_name("signoff")
_STOPS_WITHIN: Final = 2.0
_WITHOUT_HINTS: Final = (
    "from functools import partial\n"
    "from signoff_server import app, commands\n"
    "commands.build = partial(app.build, hints=False)\n"
    "commands.dev()\n"
)
_LITTLE_PATIENCE: Final = (
    "from signoff_server import limits\nlimits.UNREAD_SECONDS = 0.5\nfrom signoff_server.commands import dev\ndev()\n"
)


def ask(server: RunningServer, http: httpx.Client | None = None, **body: Any) -> str:
    """A new approval; a server that is away is asked again, so that several may come of it."""
    while True:
        with suppress(httpx.TransportError):
            client = http or httpx
            reply = client.post(f"{server.url}/v1/approvals", headers=server.app(), json={"name": "a.b", **body})
            if reply.status_code == 201:
                made: str = reply.json()["id"]
                return made


def ledger(server: RunningServer) -> list[dict[str, Any]]:
    """All of it, by the other road."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["seq"] if found else 0
        reply = httpx.get(f"{server.url}/v1/events?limit=200&after={after}", headers=server.reviewer())
        if not (page := reply.json()["data"]):
            return found
        found += page


def events(feed: Iterator[Block]) -> Iterator[dict[str, Any]]:
    for block in feed:
        if block.data is not None:
            event = block.json()
            assert (block.id, block.event) == (str(event["seq"]), event["type"])
            yield event


def until(server: RunningServer, fits: Callable[[float], bool]) -> None:
    """Returns when the number of open streams fits."""
    found = None
    while found is None or not fits(float(found[1])):
        found = re.search(r"^signoff_event_streams (\S+)$", httpx.get(f"{server.url}/metrics").text, re.MULTILINE)


def write_together(server: RunningServer, writers: int, each: int) -> list[str]:
    def write(_: int) -> list[str]:
        with httpx.Client() as http:
            return [ask(server, http) for _ in range(each)]

    with ThreadPoolExecutor(writers) as pool:
        return [made for some in pool.map(write, range(writers)) for made in some]


@pytest.mark.parametrize("code", [DEV, _WITHOUT_HINTS], ids=["woken", "every hint lost"])
def test_it_is_gapless_and_in_order_while_many_write(tmp_path: Path, database: str, code: str) -> None:
    with RunningServer(tmp_path, database=database, code=code) as server, ExitStack() as stack:
        behind = stack.enter_context(following(server, "?after=0"))
        live = stack.enter_context(following(server))
        begun = int(str(next(live).id))
        made = write_together(server, 4, 50)
        seen = list(islice(events(behind), begun + len(made)))
        news = list(islice(events(live), len(made)))
        assert [event["seq"] for event in seen] == list(range(1, begun + len(made) + 1))
        assert seen == ledger(server)
        assert news == seen[begun:]
        assert {event["subject"] for event in news} == set(made)


@pytest.mark.timeout(240)
def test_over_kills_nothing_is_lost_or_doubled(dev_server: RunningServer) -> None:
    seen: list[dict[str, Any]] = []
    last, over = 0, threading.Event()
    killed_at: list[int] = []

    def write(_: int) -> int:
        written = 0
        with httpx.Client() as http:
            while not over.is_set():
                ask(dev_server, http)
                written += 1
        return written

    def follow() -> None:
        nonlocal last
        # Cut off, refused while it starts: come again with what was told last.
        with suppress(httpx.TransportError), following(dev_server, "?after=0", last=last or None) as feed:
            for block in feed:
                last = int(block.id or last)
                if block.data is not None:
                    seen.append(block.json())
                if over.is_set() and len(seen) >= wanted:
                    return
                if len(seen) >= 60 * (len(killed_at) + 1) and len(killed_at) < 3:
                    killed_at.append(len(seen))
                    dev_server.kill()
                    dev_server.start()

    wanted = 10**9
    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, number) for number in range(3)]
        while len(killed_at) < 3:
            follow()
        over.set()
        written = sum(each.result(60) for each in writing)
        wanted = ledger(dev_server)[-1]["seq"]
        while len(seen) < wanted:
            follow()
    assert [event["seq"] for event in seen] == list(range(1, wanted + 1))
    assert seen == ledger(dev_server)
    assert wanted >= written > 0


def test_cut_off_before_the_first_event_it_is_missed_by_nobody(dev_server: RunningServer) -> None:
    with following(dev_server) as feed:
        place = int(str(next(feed).id))
    dev_server.kill()
    dev_server.start()
    made = ask(dev_server)
    with following(dev_server, last=place) as feed:
        assert next(events(feed))["subject"] == made


def test_another_projects_events_never(tmp_path: Path, database: str) -> None:
    options = ("--database", database, "--project", "other", "--name", "zoe", "--json")
    done = subprocess.run([SIGNOFF, "setup", *options], capture_output=True, check=True)
    zoe = json.loads(done.stdout)["key"]
    body, headers = {"name": "x", "kind": "human"}, {"Authorization": f"Bearer {zoe}"}
    with (
        RunningServer(tmp_path, database=database) as server,
        following(server) as mine,
        following(server, key=zoe) as others,
    ):
        next(mine), next(others)
        made = httpx.post(f"{server.url}/v1/principals", headers=headers, json=body).json()["id"]
        asked = ask(server)
        assert next(events(mine))["subject"] == asked
        assert next(events(others))["subject"] == made


def test_it_ends_within_a_second_of_its_key(dev_server: RunningServer) -> None:
    with httpx.Client(base_url=dev_server.url, headers=dev_server.reviewer()) as admin:
        principal = admin.get("/v1/principals").json()["data"][0]["id"]
        issued = admin.post("/v1/keys", json={"principal": principal, "scopes": ["audit:read"]}).json()
        with following(dev_server, key=issued["key"]) as feed:
            next(feed)
            begun = time.monotonic()
            assert admin.delete(f"/v1/keys/{issued['id']}").status_code == 204
            assert not list(events(feed))
            assert time.monotonic() - begun < 1
    headers = {"Authorization": f"Bearer {issued['key']}"}
    assert httpx.get(f"{dev_server.url}/v1/events/stream", headers=headers).status_code == 401


def unread(server: RunningServer) -> socket.socket:
    """A stream that nobody reads, with as little room as there can be."""
    address = urlsplit(server.url)
    tcp = socket.socket()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    tcp.connect((address.hostname, address.port))
    request = f"GET /v1/events/stream?after=0 HTTP/1.1\r\nHost: {address.netloc}\r\n"
    tcp.sendall(f"{request}Authorization: Bearer {server.reviewer_key}\r\n\r\n".encode())
    return tcp


def more_than_fits(server: RunningServer) -> None:
    """A ledger that is more than all the buffers between a server and a client hold."""
    with httpx.Client() as http:
        for _ in range(120):
            ask(server, http, context={"x": "y" * 60_000})


def test_a_stop_ends_every_stream_at_once(dev_server: RunningServer) -> None:
    more_than_fits(dev_server)
    with ExitStack() as stack:
        feeds = [stack.enter_context(following(dev_server)) for _ in range(20)]
        for feed in feeds:
            next(feed)
        stack.enter_context(unread(dev_server))
        until(dev_server, lambda found: found == len(feeds) + 1)
        begun = time.monotonic()
        dev_server.process.send_signal(signal.SIGTERM)
        # To its proper end: a cut connection would raise.
        assert all(not list(feed) for feed in feeds)
        assert dev_server.wait() == 0
        assert time.monotonic() - begun < _STOPS_WITHIN
    assert "Traceback" not in dev_server.log()


def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path, database: str) -> None:
    with RunningServer(tmp_path, database=database, code=_LITTLE_PATIENCE) as server:
        more_than_fits(server)
        with unread(server), following(server) as feed:
            until(server, lambda found: found == 2)
            until(server, lambda found: found == 1)
            next(feed)
            made = ask(server)
            assert next(events(feed))["subject"] == made
        assert "Traceback" not in server.log()
