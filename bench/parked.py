"""What it costs to wait: memory of both sides, processor time, and SQL, with thousands parked.

Memory is the growth of a process's resident set from just before the waits until all of them are held and both sides
are at rest; nothing is taken off but what was there before. The processes are warm by then: imports are done,
connections open, and the database's own page caches full.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from bench.calls import LANES, decision, make_pending, waited_for
from bench.echo import HOLD, echoing
from bench.generator import Connection, Requests, Script, drive, expect
from bench.generator import run as run_loop
from bench.machine import Memory, memory
from bench.report import Aim, Figure
from bench.rest import at_rest, counted, until_quiet
from bench.run import Run
from bench.server import Server
from bench.waiter import heard, tell, waiter

_KIB: Final = 1024
_WARM_UP: Final = 2_000
_CALLS: Final = {
    "as_completed": "all in one `approvals.as_completed(ids)`",
    "wait": "a task with `approvals.wait(id)` for each, which keeps the approval that it has read",
}


class _Grown(NamedTuple):
    client: Memory
    server: Memory


def measure(run: Run) -> None:
    waits = run.count(10_000, least=20)
    parked, idle = counted(run), counted(run)
    with parked.server as server, idle.server:
        ids = make_pending(server, waits)
        bare = _bare_tasks(server, ids)
        for call in _CALLS:
            _warm(server, ids)
            with _parked(server, ids, call) as (process, grown):
                run.report.add(_waits(call, waits, grown, bare))
                if call == "as_completed":
                    told = f"{waits} pending with a waiter each on one watch socket"
                    seconds = run.count(20)
                    run.report.add(at_rest("parked_at_rest", parked, idle, seconds, told, client=process.pid))
        _warm(server, ids)
        run.report.add(_polls(server, ids[: run.count(2_000, least=20)]))


def _warm(server: Server, ids: list[str]) -> None:
    """A new process that has read as much as its database keeps in memory anyway."""
    server.restart()
    app = Requests(server.url, server.app_key)

    def look(approval: str) -> Script:
        expect((yield app.get(f"/v1/approvals/{approval}")), 200)

    some = ids[:: max(1, len(ids) // _WARM_UP)]
    run_loop(drive(server.url, [look(approval) for approval in some], min(LANES, len(some))))


# ---------------------------------------------------------------- on one socket


@contextmanager
def _parked(server: Server, ids: list[str], call: str) -> "Iterator[tuple[subprocess.Popen[str], _Grown]]":
    """A process that waits for all of `ids` through the SDK, and how both sides have grown by it."""
    with waiter(server, "parked", "--call", call) as process:
        tell(process, json.dumps(ids))
        _decide(server, heard(process)["pending"])
        heard(process)
        until_quiet(server.pid, process.pid)
        before = _Grown(memory(process.pid), memory(server.pid))
        tell(process, "go")
        _until_waited_for(server, len(ids))
        until_quiet(server.pid, process.pid)
        after = _Grown(memory(process.pid), memory(server.pid))
        yield process, _Grown(after.client - before.client, after.server - before.server)


def _waits(call: str, count: int, grown: _Grown, bare: float) -> Figure:
    client, server = (grew.rss / count / _KIB for grew in grown)
    private = ", ".join(f"{who} {grew.private / count / _KIB:.2f}" for who, grew in grown._asdict().items())
    return Figure(
        f"memory_of_a_wait.{call}",
        {"both": client + server, "client": client, "server": server},
        "KiB",
        limit={"client": bare},
        limit_is="a task that awaits a future in a dictionary",
        aims=(Aim("both", 6.0),),
        note=f"{count} waits of one process on one watch socket, {_CALLS[call]}; private memory alone: {private}",
    )


def _bare_tasks(server: Server, ids: list[str]) -> float:
    """KiB for each of as many tasks that only wait."""
    with waiter(server, "tasks") as process:
        tell(process, json.dumps(ids))
        return float(heard(process)["rss"]) / len(ids) / _KIB


def _decide(server: Server, approval: str) -> None:
    """Decide it once it is waited for, so that the process has its socket open from then on."""
    _until_waited_for(server, 1)
    connection = Connection(server.url)
    expect(connection.ask(decision(Requests(server.url, server.reviewer_key), approval)), 200)
    connection.close()


# ---------------------------------------------------------------- by long polls


def _polls(server: Server, ids: list[str]) -> Figure:
    """Requests held by raw sockets, beside as many that the server's stack holds with nothing on it."""
    app = Requests(server.url, server.app_key)
    requests = [app.get(f"/v1/approvals/{approval}?wait=60") for approval in ids]
    with echoing() as echo:
        bare = _held(echo.url, echo.pid, [Requests(echo.url, "none").get(HOLD)] * len(ids))
    held = _held(server.url, server.pid, requests, server)
    return Figure(
        "memory_of_a_held_poll",
        {"server": held},
        "KiB",
        limit={"server": bare},
        limit_is="a request held by the server's stack with nothing on it",
        aims=(Aim("server", 18.0),),
        note=f"{len(ids)} connections, each with `GET /v1/approvals/ID?wait=60` of its own",
    )


def _held(url: str, pid: int, requests: list[bytes], server: Server | None = None) -> float:
    """KiB of the process at `pid` for each of the requests while it holds them all."""
    until_quiet(pid)
    before = memory(pid)
    connections = [Connection(url) for _ in requests]
    for connection, request in zip(connections, requests, strict=True):
        connection.send(request)
    if server is not None:
        _until_waited_for(server, len(requests))
    until_quiet(pid)
    grown = memory(pid) - before
    for connection in connections:
        connection.close()
    return grown.rss / len(requests) / _KIB


# ---------------------------------------------------------------- when it is time


def _until_waited_for(server: Server, approvals: int) -> None:
    """Until the server holds so many waits, and the key of their waiter beside them."""
    connection, metrics = Connection(server.url), Requests(server.url, "none").get("/metrics")
    while waited_for(connection.ask(metrics).body) < approvals + 1:
        time.sleep(0.01)
    connection.close()
