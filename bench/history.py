"""What a long history costs: the same calls on two servers, one of which has a million decided approvals besides.

Both have the same pending ones. They were asked for first: whoever looks for them from the newest on, without an index
that leads there, walks through the whole history. The two servers are asked in turn, by one connection each.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from bench.calls import creation, decision, make_pending, outcome, redeeming
from bench.fill import fill
from bench.generator import Connection, Requests, expect
from bench.machine import usage
from bench.report import Aim, Figure, percentile, percentiles
from bench.run import Run
from bench.server import Server

_WARM_UP: Final = 20
_LIST: Final = "pending_list"
CALLS: Final = {
    _LIST: "GET /v1/approvals?status=pending",
    "list": "GET /v1/approvals: the newest, whatever their status",
    "get": "GET /v1/approvals/ID",
    "create": "POST /v1/approvals",
    "decide": "POST /v1/approvals/ID/decision",
    "redeem": "POST /v1/approvals/ID/redeem",
    "outcome": "POST /v1/approvals/ID/outcome",
    "events_at_the_end": "GET /v1/events?after=SEQ, 50 before the end",
    "events_from_the_start": "GET /v1/events?after=0",
}


def measure(run: Run) -> None:
    pending, decided = run.count(10_000, least=60), run.count(1_000_000, least=60)
    with run.server() as first:
        make_pending(first, pending)
    long = run.databases.copy(first.database)
    begun = time.monotonic()
    fill(run.new_folder(), long, first.keys, decided)
    for database in (first.database, long):
        run.databases.settle(database)
    note = f"{pending} pending, {decided} decided (made in {time.monotonic() - begun:.0f} s)"
    with run.serve(first.database, first) as short, run.serve(long, first) as full:
        for figure in _compare(_Calls(short), _Calls(full), run.count(400, least=3), note):
            run.report.add(figure)
        run.report.add(_starts(short, full, run.count(5), note))


class _Calls:
    """The calls that are compared, each a request with its answer, on one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._connection = Connection(server.url)
        self._app = Requests(server.url, server.app_key)
        self._reviewer = Requests(server.url, server.reviewer_key)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._end = self._last_seq()

    def round(self) -> Iterator[None]:
        """Each call once; pauses between them, for the other server's turn."""
        for name, path in (
            (_LIST, "/v1/approvals?status=pending"),
            ("list", "/v1/approvals"),
            ("events_at_the_end", f"/v1/events?after={max(0, self._end - 50)}&limit=50"),
            ("events_from_the_start", "/v1/events?after=0&limit=50"),
        ):
            self._timed(name, self._reviewer.get(path))
            yield
        asked = self._timed("create", creation(self._app))
        yield
        self._timed("get", self._app.get(f"/v1/approvals/{asked['id']}"))
        yield
        self._timed("decide", decision(self._reviewer, asked["id"]))
        yield
        redeemed = self._timed("redeem", redeeming(self._app, asked["id"], asked["binding"]))
        yield
        self._timed("outcome", outcome(self._app, asked["id"], redeemed["fence"]))
        yield

    def lists(self, count: int) -> float:
        """Seconds of the server's processor time for so many pending lists."""
        request = self._reviewer.get("/v1/approvals?status=pending")
        with usage(server=self.server.pid) as used:
            for _ in range(count):
                expect(self._connection.ask(request), 200)
        return used.cpu["server"]

    def close(self) -> None:
        self._connection.close()

    def _timed(self, name: str, request: bytes) -> Any:
        begun = time.monotonic()
        reply = self._connection.ask(request)
        self.seconds[name].append(time.monotonic() - begun)
        return expect(reply, 200, 201).json()

    def _last_seq(self) -> int:
        """By what a filter that nothing fits says of where to read on."""
        found = self._connection.ask(self._reviewer.get("/v1/events?after=0&type=none.such"))
        return int(expect(found, 200).json()["next_after"])


def _compare(short: _Calls, full: _Calls, rounds: int, note: str) -> Iterator[Figure]:
    for at in range(rounds + min(_WARM_UP, rounds)):
        # In turn, and each as often the first.
        pair = (short, full) if at % 2 else (full, short)
        for _ in zip(*(calls.round() for calls in pair), strict=True):
            pass
    cpu = _cpu_of_lists(short, full, rounds)
    for name, told in CALLS.items():
        values, limit = (percentiles(calls.seconds[name][-rounds:]) for calls in (full, short))
        if name == _LIST:
            values, limit = values | {"server_cpu": cpu[full]}, limit | {"server_cpu": cpu[short]}
        yield Figure(
            f"with_a_history.{name}",
            values,
            "ms",
            limit=limit,
            limit_is="the same with nothing decided",
            aims=(Aim("p50", 1.1, ratio=True),) if name == _LIST else (),
            note=f"{told}; {note}; {rounds} rounds",
        )
    for calls in (short, full):
        calls.close()


def _cpu_of_lists(short: _Calls, full: _Calls, count: int) -> dict[_Calls, float]:
    """Milliseconds of processor time for one pending list of each server, a few at a time in turn."""
    turns, each = 10, max(1, count // 10)
    spent = dict.fromkeys((short, full), 0.0)
    for _ in range(turns):
        for calls in spent:
            spent[calls] += calls.lists(each)
    return {calls: seconds / (turns * each) * 1000 for calls, seconds in spent.items()}


def _starts(short: Server, full: Server, times: int, note: str) -> Figure:
    took = {server: [server.started_in] for server in (full, short)}
    for _ in range(times - 1):
        for server, seconds in took.items():
            server.restart()
            seconds.append(server.started_in)
    values, limit = ({"p50": percentile(seconds, 0.5)} for seconds in took.values())
    return Figure(
        "with_a_history.start",
        values,
        "s",
        limit=limit,
        limit_is="the same with nothing decided",
        note=f"`signoff serve` until it is ready; {note}; {times} times",
    )
