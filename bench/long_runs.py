"""What a step of a long run costs: its last hundred steps beside the first hundred of another one.

They are taken in turns, a few of each: what else the machine and the growing database do to a step, they do to both.
"""

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
_TURNS: Final = 5


def measure(run: Run) -> None:
    steps, turn = run.count(1_000, least=40), run.count(100, least=20) // _NODES // _TURNS
    taken: dict[str, list[float]] = defaultdict(list)
    times = run.count(3)
    with run.server() as server:
        register(server, _LOOP)
        _Steps(server).go(turn * _TURNS)
        for _ in range(times):
            long, fresh = _Steps(server), _Steps(server)
            long.go(steps // _NODES - turn * _TURNS)
            for _ in range(_TURNS):
                _keep(taken, "first", server, fresh, turn)
                _keep(taken, "last", server, long, turn)
            long.close()
            fresh.close()
    cpu = {name: sum(taken[f"{name}_cpu"]) / (times * turn * _TURNS * _NODES) * 1000 for name in ("first", "last")}
    p50 = {name: percentile(taken[name], 0.5) / _NODES * 1000 for name in ("first", "last")}
    run.report.add(
        Figure(
            "step_of_a_long_run",
            {"p50": p50["last"], "server_cpu": cpu["last"]},
            "ms",
            limit={"p50": p50["first"], "server_cpu": cpu["first"]},
            limit_is="the same at the beginning of another run, in turns",
            aims=(Aim("p50", 1.1, ratio=True), Aim("server_cpu", 1.1, ratio=True)),
            note=f"of a run of {steps} steps (a tool, a condition, again) the last {turn * _TURNS * _NODES}, beside "
            f"as many of the first of another one; {times} times, one step after another",
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
