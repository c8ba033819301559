"""What runs of workflows cost: how many a server carries, what parked ones take, what a step of a long one takes.

A run has two nodes, as most that need a person have: a tool that looks something up, and a tool that acts and is gated.
"""

import os
import statistics
from collections.abc import Iterator
from typing import Final

from bench import long_runs, parked_runs
from bench.calls import LANES
from bench.echo import Echo, echoing
from bench.generator import Driven, Requests, Script, drive, expect
from bench.generator import run as run_loop
from bench.light_runs import runs_in_flight
from bench.machine import Used, usage
from bench.report import Aim, Figure, percentiles
from bench.run import Run
from bench.runs import GATED, TWO_NODES, Calls, register
from bench.sdk_worker import through_the_sdk
from bench.server import Server

_SLICES: Final = 5
_OWN: Final = os.getpid()
# A start and a decision of the caller's, two reports of the worker's; what it asks for comes in batches.
_REQUESTS: Final = 4


def measure(run: Run) -> None:
    with run.server() as server, echoing() as echo:
        register(server, TWO_NODES, GATED)
        slices = _Slices(run, server, echo)
        slices.take()
        slices.forget()
        for _ in range(_SLICES):
            slices.take()
        for figure in slices.figures():
            run.report.add(figure)
        run.report.add(run_loop(through_the_sdk(server, LANES, run.count(400, least=2), run.new_folder())))
    parked_runs.measure(run)
    long_runs.measure(run)


class _Slices:
    """Of starting, of whole runs and of the bare stack in turn: a neighbour spoils one slice of everything."""

    def __init__(self, run: Run, server: Server, echo: Echo) -> None:
        self._server, self._echo = server, echo
        self._calls = Calls(server)
        self._starts, self._runs = run.count(500), run.count(300)
        self.forget()

    def forget(self) -> None:
        self._of: dict[str, list[tuple[int, Driven, Used]]] = {"bare": [], "started": [], "completed": []}

    def take(self) -> None:
        lanes = min(LANES, self._starts)
        request = Requests(self._echo.url, "none").post("/", self._calls.start("gated"))
        with usage(server=self._echo.pid, client=_OWN) as used:
            driven = run_loop(drive(self._echo.url, [_ask(request, 200) for _ in range(self._starts)], lanes))
        self._of["bare"].append((self._starts, driven, used))
        starts = [_ask(self._calls.start("gated"), 201) for _ in range(self._starts)]
        with usage(server=self._server.pid, client=_OWN) as used:
            driven = run_loop(drive(self._server.url, starts, lanes))
        self._of["started"].append((self._starts, driven, used))
        with usage(server=self._server.pid, client=_OWN) as used:
            driven = run_loop(runs_in_flight(self._server, self._runs))
        self._of["completed"].append((self._runs, driven, used))

    def figures(self) -> Iterator[Figure]:
        bare = self._rates("bare")
        yield self._figure("started", "starts that park at a gate at once", statistics.median(bare), "the bare stack")
        yield self._figure(
            "completed",
            "an ungated tool and a gated one: started, worked on in batches, decided, told of by the live feed",
            statistics.median(bare) / _REQUESTS,
            f"{_REQUESTS} requests of the bare stack",
            Aim("per_second", 250, at_least=True),
        )

    def _rates(self, name: str) -> list[float]:
        return [count / driven.seconds for count, driven, _ in self._of[name]]

    def _figure(self, name: str, note: str, limit: float, limit_is: str, *aims: Aim) -> Figure:
        slices, rates = self._of[name], self._rates(name)
        count = sum(each for each, _, _ in slices)
        cpu = {who: sum(used.cpu[who] for _, _, used in slices) for who in ("server", "client")}
        took = percentiles([each for _, driven, _ in slices for each in driven.durations])
        return Figure(
            f"runs_{name}_per_second",
            {
                "per_second": statistics.median(rates),
                **{f"{who}_cpu_ms_each": seconds / count * 1000 for who, seconds in cpu.items()},
            },
            "1/s",
            limit={"per_second": limit},
            limit_is=limit_is,
            aims=aims,
            cpu=cpu,
            others=statistics.median(used.others for _, _, used in slices),
            note=f"{note}; {_SLICES} slices, {min(rates):.0f} to {max(rates):.0f}; {LANES} in flight, "
            f"each p50 {took['p50']:.1f} p99 {took['p99']:.1f} ms",
        )


def _ask(request: bytes, status: int) -> Script:
    expect((yield request), status)
