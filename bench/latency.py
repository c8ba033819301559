"""Decide → resumed: from just before a decision is sent until `require_approval` has returned in another process.

Beside each round, in the same second: a websocket echo through the server's own stack to the SDK's own library, and one
commit that is on disk. Their sum is the least that telling somebody of a stored decision can take here.
"""

import os
import time
from typing import Any, Final

from bench.calls import decision, waited_for
from bench.databases import Commits
from bench.echo import echoing
from bench.generator import Connection, Requests, expect
from bench.machine import Used, usage
from bench.report import Aim, Figure, percentiles, used_by
from bench.run import Run
from bench.server import Server
from bench.waiter import heard, waiter

_WARM_UP: Final = 20
_SETTLE: Final = 0.002
_WAITERS: Final = {"async": "AsyncSignoff in a task", "sync": "Signoff in a thread"}
_WAYS: Final = {"websocket": "its watch socket", "poll": "a long poll"}
_AIMS: Final = (Aim("p50", 3.0, ratio=True), Aim("p99", 4.0, ratio=True))


def measure(run: Run) -> None:
    rounds = run.count(600, least=3)
    commits = run.databases.commits()
    with run.server() as server, echoing() as echo:
        for way in _WAYS:
            for colour in _WAITERS:
                arguments = (f"rounds-{colour}", "--transport", way, "--echo", "ws" + echo.url.removeprefix("http"))
                run.report.add(_figure(way, colour, _Rounds(server, commits).measure(rounds, *arguments)))
    commits.close()


class _Rounds:
    def __init__(self, server: Server, commits: Commits) -> None:
        self._server = server
        self._commits = commits
        self._reviewer = Connection(server.url)
        self._requests = Requests(server.url, server.reviewer_key)
        self.resumed: list[float] = []
        self.echo: list[float] = []
        self.commit: list[float] = []
        self.answered: list[float] = []
        self.used = Used()

    def measure(self, rounds: int, *arguments: str) -> "_Rounds":
        warm_up = min(_WARM_UP, rounds)
        with waiter(self._server, *arguments, "--count", rounds + warm_up) as process:
            for _ in range(warm_up):
                self._round(process)
            for kept in (self.resumed, self.echo, self.commit, self.answered):
                kept.clear()
            with usage(server=self._server.pid, client=process.pid, decider=os.getpid()) as self.used:
                for _ in range(rounds):
                    self._round(process)
        self._reviewer.close()
        return self

    def _round(self, process: Any) -> None:
        approval = heard(process)["pending"]
        self._until_it_waits()
        decided = decision(self._requests, approval)
        begun = time.monotonic()
        expect(self._reviewer.ask(decided), 200)
        self.answered.append(time.monotonic() - begun)
        self.resumed.append(heard(process)["resumed"] - begun)
        self.echo.append(heard(process)["echo"])
        self.commit.append(self._commits.one())

    def _until_it_waits(self) -> None:
        """Until the server holds the wait: people are slower than that, and it is not to be measured."""
        while waited_for(self._reviewer.ask(self._requests.get("/metrics")).body) < 2:
            pass
        time.sleep(_SETTLE)


def _figure(way: str, colour: str, rounds: _Rounds) -> Figure:
    limit = [echo + commit for echo, commit in zip(rounds.echo, rounds.commit, strict=True)]
    parts = {
        "websocket echo": rounds.echo,
        "commit": rounds.commit,
        "the decision's own reply": rounds.answered,
    }
    told = "; ".join(
        f"{name} p50 {percentiles(seconds)['p50']:.2f} p99 {percentiles(seconds)['p99']:.2f} ms"
        for name, seconds in parts.items()
    )
    return Figure(
        f"decide_resumed.{way}.{colour}",
        percentiles(rounds.resumed),
        "ms",
        limit=percentiles(limit),
        limit_is="a websocket echo and a synced commit, paired by round",
        aims=_AIMS,
        note=f"{_WAITERS[colour]} over {_WAYS[way]}, {len(rounds.resumed)} rounds; {told}",
        **used_by(rounds.used),
    )
