"""How much the server does: requests that carry nothing, creations, decisions and whole gates, many in flight.

Each is measured in slices, in turn with the machine's own limits, and the median slice counts: a neighbour that takes
the machine for a second spoils one slice of everything.
"""

import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from bench.calls import ASK, LANES, creation, decision, outcome, redeeming
from bench.databases import Commits
from bench.echo import Echo, echoing
from bench.generator import Driven, Requests, Script, drive, expect
from bench.generator import run as run_loop
from bench.machine import Used, usage
from bench.report import Aim, Figure, percentiles
from bench.run import Run
from bench.sdk_gates import through_the_sdk
from bench.server import Server
from bench.watch import Watch

_SLICES: Final = 5
_OWN: Final = os.getpid()


def measure(run: Run) -> None:
    commits = run.databases.commits()
    with run.server() as server, echoing() as echo:
        slices = _Slices(run, server, echo, commits)
        slices.warm_up()
        for _ in range(_SLICES):
            slices.take()
        for figure in slices.figures():
            run.report.add(figure)
        run.report.add(run_loop(through_the_sdk(server, LANES, run.count(1_000, least=2))))
    commits.close()


class _Slices:
    """The slices so far: for each thing measured, its rates and what was used."""

    def __init__(self, run: Run, server: Server, echo: Echo, commits: Commits) -> None:
        self._run, self._server, self._echo, self._commits = run, server, echo, commits
        self._app = Requests(server.url, server.app_key)
        self._reviewer = Requests(server.url, server.reviewer_key)
        self._rates: dict[str, list[float]] = defaultdict(list)
        self._used: dict[str, list[tuple[int, Used]]] = defaultdict(list)
        self._durations: dict[str, list[float]] = defaultdict(list)

    def warm_up(self) -> None:
        self.take()
        for kept in (self._rates, self._used, self._durations):
            kept.clear()

    def take(self) -> None:
        count = self._run.count
        self._commit("commits", [1] * count(200))
        self._commit("commits_grouped", [LANES] * count(20))
        self._drive("bare", self._same(self._app.post("/", ASK), count(3_000)), self._echo.url, self._echo.pid)
        self._drive("healthz", self._same(self._app.get("/healthz"), count(3_000)))
        made: list[str] = []
        self._drive("creates", self._creations(count(1_000), made))
        self._drive("decisions", self._decisions(made))
        self._gates(count(500))

    def _commit(self, name: str, groups: list[int]) -> None:
        self._rates[name].append(sum(groups) / sum(map(self._commits.group, groups)))

    def _drive(self, name: str, scripts: list[Script], url: str | None = None, pid: int | None = None) -> None:
        with usage(server=pid or self._server.pid, client=_OWN) as used:
            driven = run_loop(drive(url or self._server.url, scripts, min(LANES, len(scripts))))
        self._keep(name, len(scripts), driven, used)

    def _gates(self, count: int) -> None:
        async def together() -> Driven:
            watch = await Watch.dial(self._app, self._server.url)
            scripts = [_gate(self._app, self._reviewer, watch) for _ in range(count)]
            try:
                return await drive(self._server.url, scripts, min(LANES, count))
            finally:
                watch.close()

        with usage(server=self._server.pid, client=_OWN) as used:
            driven = run_loop(together())
        self._keep("gates", count, driven, used)

    def _keep(self, name: str, count: int, driven: Driven, used: Used) -> None:
        self._rates[name].append(count / driven.seconds)
        self._used[name].append((count, used))
        self._durations[name] += driven.durations

    # ------------------------------------------------------------ the scripts

    def _same(self, request: bytes, count: int) -> list[Script]:
        def script() -> Script:
            expect((yield request), 200)

        return [script() for _ in range(count)]

    def _creations(self, count: int, made: list[str]) -> list[Script]:
        def script() -> Script:
            made.append(expect((yield creation(self._app)), 201).json()["id"])

        return [script() for _ in range(count)]

    def _decisions(self, ids: list[str]) -> list[Script]:
        def script(approval: str) -> Script:
            expect((yield decision(self._reviewer, approval)), 200)

        return [script(approval) for approval in ids]

    # ------------------------------------------------------------ what came of it

    def figures(self) -> Iterator[Figure]:
        rate = {name: statistics.median(rates) for name, rates in self._rates.items()}
        yield self._rate("commits_per_second", "commits", "one row in a transaction, one after another")
        yield self._rate("commits_per_second.grouped", "commits_grouped", f"{LANES} rows in a transaction")
        yield self._rate("requests_per_second.bare", "bare", "a POST to the server's stack with nothing on it")
        yield self._rate(
            "requests_per_second.healthz",
            "healthz",
            "a GET of the server that asks for nothing",
            limit={"per_second": rate["bare"]},
            limit_is="the bare stack",
        )
        floor = {"per_second": rate["bare"]}
        yield self._rate("creates_per_second", "creates", "", limit=floor, limit_is="the bare stack")
        yield self._rate(
            "decisions_per_second",
            "decisions",
            "",
            limit=floor,
            limit_is="the bare stack",
            aims=(Aim("per_second", 1_000, at_least=True),),
        )
        yield self._rate(
            "gates_per_second",
            "gates",
            "create, wait on a shared watch socket, decide, resumed, redeem, outcome",
            limit={"per_second": rate["bare"] / 4},
            limit_is="four requests of the bare stack",
            aims=(Aim("per_second", 500, at_least=True),),
        )

    def _rate(self, figure: str, name: str, note: str, **more: Any) -> Figure:
        rates = self._rates[name]
        spread = f"{_SLICES} slices, {min(rates):.0f} to {max(rates):.0f}"
        told = "; ".join(part for part in (note, spread) if part)
        values = {"per_second": statistics.median(rates)}
        if name not in self._used:
            return Figure(figure, values, "1/s", note=told, **more)
        used = self._used[name]
        count = sum(each for each, _ in used)
        values |= {f"{who}_cpu_ms_each": _total(used, who) / count * 1000 for who in ("server", "client")}
        took = percentiles(self._durations[name])
        told += f"; {LANES} in flight, each p50 {took['p50']:.1f} p99 {took['p99']:.1f} ms"
        cpu = {who: _total(used, who) for who in ("server", "client")}
        others = statistics.median(each.others for _, each in used)
        return Figure(figure, values, "1/s", note=told, cpu=cpu, others=others, **more)


def _total(used: list[tuple[int, Used]], who: str) -> float:
    return sum(each.cpu[who] for _, each in used)


def _gate(app: Requests, reviewer: Requests, watch: Watch) -> Script:
    """One whole gate. The decision is made once the server holds the wait, as it is when people decide."""
    asked = expect((yield creation(app)), 201).json()
    watching, resolved = watch.watch(asked["id"])
    yield watching
    expect((yield decision(reviewer, asked["id"])), 200)
    yield resolved
    redeemed = expect((yield redeeming(app, asked["id"], asked["binding"])), 200).json()
    expect((yield outcome(app, asked["id"], redeemed["fence"])), 200)
