"""What runs cost while they wait for a person, ten thousand and a hundred thousand of them; and after a restart."""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from bench.calls import LANES, waited_for
from bench.fill import fill
from bench.generator import Connection, Requests, Script, drive, expect
from bench.generator import run as run_loop
from bench.machine import memory
from bench.report import Aim, Figure, percentile, percentiles
from bench.rest import Counted, at_rest, counted, counted_on, until_quiet
from bench.run import Run
from bench.runs import GATED, TOOLS, Calls, register
from bench.server import Server

_KIB: Final = 1024
_WARM_UP: Final = 20
_NO_DEARER: Final = Aim("p50", 1.2, ratio=True)


def measure(run: Run) -> None:
    with counted(run).server as bare:
        register(bare, GATED)
    idle = _copy(run, bare)
    with idle.server:
        _ten_thousand(run, bare, idle)
        _hundred_thousand(run, bare, idle)
    run.report.add(_restarts(run, run.count(1_000, least=2), run.count(7)))


def _ten_thousand(run: Run, bare: Server, idle: Counted) -> None:
    """Parked by the server itself, the last three quarters of them while its memory is watched."""
    count = run.count(10_000, least=8)
    full = _copy(run, bare)
    with full.server as server:
        park(server, count // 4)
        until_quiet(server.pid)
        before, more = memory(server.pid), count - count // 4
        park(server, more)
        until_quiet(server.pid)
        grown = memory(server.pid) - before
        run.report.add(
            Figure(
                "memory_of_a_parked_run",
                {"server": grown.rss / more / _KIB},
                "KiB",
                note=f"growth of the resident set by {more} runs that parked, after {count // 4}; "
                f"private memory alone: {grown.private / more / _KIB:.2f}",
            )
        )
        run.report.add(at_rest("parked_runs_at_rest", full, idle, run.count(20), f"{count} runs parked at a gate"))
        run.report.add(_decided("decide_started", server, idle.server, run.count(300, least=3), count))


def _hundred_thousand(run: Run, bare: Server, idle: Counted) -> None:
    count = run.count(100_000, least=20)
    full = _filled(run, bare, count)
    with full.server as server:
        until_quiet(server.pid, idle.server.pid)
        note = f"{count} runs parked at a gate (copied)"
        run.report.add(at_rest("parked_runs_at_rest.many", full, idle, run.count(20), note))
        run.report.add(_decided("decide_started.many", server, idle.server, run.count(300, least=3), count))


def _copy(run: Run, bare: Server) -> Counted:
    return counted_on(run, run.databases.copy(bare.database), bare)


def _filled(run: Run, bare: Server, count: int) -> Counted:
    database = run.databases.copy(bare.database)
    fill(run.new_folder(), database, bare.keys, count, a_parked_run)
    run.databases.settle(database)
    return counted_on(run, database, bare)


def a_parked_run(server: Server) -> Iterable[str]:
    """A run that waits for a decision; answers it, its approval and its work item."""
    connection, calls = Connection(server.url), Calls(server)
    begun = expect(connection.ask(calls.start("gated")), 201).json()
    found = expect(connection.ask(calls.app.get(f"/v1/executions/{begun['id']}/events")), 200).json()["data"]
    connection.close()
    facts = next(event["facts"] for event in found if event["type"] == "node.approval_required")
    return [begun["id"], facts["approval"], facts["item"]]


def park(server: Server, count: int) -> None:
    """So many runs that wait for a decision, and nobody gives one."""
    calls = Calls(server)

    def start() -> Script:
        expect((yield calls.start("gated")), 201)

    run_loop(drive(server.url, [start() for _ in range(count)], min(LANES, count)))


# ---------------------------------------------------------------- decide → node started


class _Deciding:
    """One run after another on one server: parked, decided, and handed to a worker that waits for it."""

    def __init__(self, server: Server) -> None:
        self._calls = Calls(server)
        self._people, self._worker = Connection(server.url), Connection(server.url)
        self._metrics = Requests(server.url, "none").get("/metrics")
        self.seconds: list[float] = []

    def round(self) -> None:
        """From just before the decision is sent until the node's work, which has started, is with the worker."""
        execution = expect(self._people.ask(self._calls.start("gated")), 201).json()["id"]
        self._worker.send(self._calls.lease(TOOLS, most=1, wait=30))
        # The queues of its tools, and its key.
        while waited_for(self._people.ask(self._metrics).body) < len(TOOLS) + 1:
            pass
        decide = self._calls.approve(execution)
        begun = time.monotonic()
        self._people.send(decide)
        (item,) = expect(self._worker.answer(), 200).json()["items"]
        self.seconds.append(time.monotonic() - begun)
        expect(self._people.answer(), 200)
        expect(self._people.ask(self._calls.complete(item)), 200)

    def close(self) -> None:
        self._people.close()
        self._worker.close()


def _decided(name: str, full: Server, alone: Server, rounds: int, count: int) -> Figure:
    """In turn on a server with many parked runs and on one that has the decided one alone."""
    pair = _Deciding(full), _Deciding(alone)
    for at in range(rounds + min(_WARM_UP, rounds)):
        for each in pair if at % 2 else reversed(pair):
            each.round()
    values, limit = (percentiles(each.seconds[-rounds:]) for each in pair)
    for each in pair:
        each.close()
    return Figure(
        name,
        values,
        "ms",
        limit=limit,
        limit_is="the same with no other run",
        aims=(_NO_DEARER,),
        note=f"decision sent → its node started and its work handed to a worker that waits, {count} other runs parked; "
        f"{rounds} rounds",
    )


# ---------------------------------------------------------------- after a restart


def _restarts(run: Run, count: int, times: int) -> Figure:
    """From the start of the process; an empty server has an empty list and nothing to decide."""
    took: dict[str, list[float]] = defaultdict(list)
    with run.server() as full, run.server() as empty:
        register(full, GATED)
        park(full, count)
        for _ in range(times):
            full.restart()
            ready = time.monotonic()
            execution = _first(full)
            took["decided"].append(full.started_in + _decide(full, execution) - ready)
            took["listed"].append(full.started_in + _list(full) - ready)
            empty.restart()
            ready = time.monotonic()
            took["empty"].append(empty.started_in + _list(empty) - ready)
    seconds = {name: percentile(each, 0.5) for name, each in took.items()}
    nothing = seconds.pop("empty")
    return Figure(
        "restart_with_parked_runs",
        seconds,
        "s",
        limit=dict.fromkeys(seconds, nothing),
        limit_is="the start of an empty server until it has told so",
        aims=tuple(Aim(name, 1.5, ratio=True) for name in seconds),
        note=f"`signoff serve` with {count} parked runs until the first is decided, and until all are listed; "
        f"{times} times, the median",
    )


def _first(server: Server) -> str:
    """The newest run that waits for a decision."""
    execution: str = next(_parked(server))["id"]
    return execution


def _decide(server: Server, execution: str) -> float:
    """When the decision was answered."""
    connection = Connection(server.url)
    expect(connection.ask(Calls(server).approve(execution)), 200)
    connection.close()
    return time.monotonic()


def _list(server: Server) -> float:
    """When the last of the parked runs was listed."""
    for _ in _parked(server):
        pass
    return time.monotonic()


def _parked(server: Server) -> Iterator[Any]:
    connection, calls, cursor = Connection(server.url), Calls(server), ""
    try:
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            path = f"/v1/executions?status=parked&limit=200{more}"
            page = json.loads(expect(connection.ask(calls.reviewer.get(path)), 200).body)
            yield from page["data"]
            cursor = page["next_cursor"]
    finally:
        connection.close()
