"""What a step of a long run costs: its first hundred steps beside its last hundred."""

import time
from collections import defaultdict
from typing import Final

from bench.generator import Connection, expect
from bench.machine import usage
from bench.report import Aim, Figure, percentile
from bench.run import Run
from bench.runs import Calls, register
from bench.server import Server

_TOOL: Final = "accounts.step"
_LOOP: Final = """
workflow: {id: loop, version: 1.0.0, start: step, limits: {max_steps: 100000}}
nodes:
  step: {type: tool, tool_ref: accounts.step, input: {account: "${{ input.account }}"}, next: again}
  again: {type: condition, branches: [{when: "input.amount == '0.00'", next: end}], default: step}
"""
# A step is a tool and the condition after it.
_NODES: Final = 2


def measure(run: Run) -> None:
    steps, window = run.count(1_000, least=40), run.count(100, least=10) // _NODES
    taken: dict[str, list[float]] = defaultdict(list)
    times = run.count(3)
    with run.server() as server:
        register(server, _LOOP)
        _Steps(server).go(window)
        for _ in range(times):
            long = _Steps(server)
            _keep(taken, "first", server, long, window)
            long.go(steps // _NODES - 2 * window)
            _keep(taken, "last", server, long, window)
            long.close()
    cpu = {name: sum(taken[f"{name}_cpu"]) / (times * window * _NODES) * 1000 for name in ("first", "last")}
    p50 = {name: percentile(taken[name], 0.5) / _NODES * 1000 for name in ("first", "last")}
    run.report.add(
        Figure(
            "step_of_a_long_run",
            {"p50": p50["last"], "server_cpu": cpu["last"]},
            "ms",
            limit={"p50": p50["first"], "server_cpu": cpu["first"]},
            limit_is="the same at the beginning of the run",
            aims=(Aim("p50", 1.1, ratio=True), Aim("server_cpu", 1.1, ratio=True)),
            note=f"of a run of {steps} steps (a tool, a condition, and again) its last {window * _NODES} beside its "
            f"first {window * _NODES}; {times} runs, one step after another",
        )
    )


class _Steps:
    """A run that goes on until nobody works on it any more."""

    def __init__(self, server: Server) -> None:
        self._calls, self._connection = Calls(server), Connection(server.url)
        expect(self._connection.ask(self._calls.start("loop")), 201)
        self.seconds: list[float] = []

    def go(self, times: int) -> None:
        for _ in range(times):
            begun = time.monotonic()
            (item,) = expect(self._connection.ask(self._calls.lease([_TOOL], most=1, wait=30)), 200).json()["items"]
            expect(self._connection.ask(self._calls.complete(item)), 200)
            self.seconds.append(time.monotonic() - begun)

    def close(self) -> None:
        self._connection.close()


def _keep(taken: dict[str, list[float]], name: str, server: Server, steps: _Steps, window: int) -> None:
    with usage(server=server.pid) as used:
        steps.go(window)
    taken[name] += steps.seconds[-window:]
    taken[f"{name}_cpu"].append(used.cpu["server"])
