"""The whole state space of runs, by search: every small graph, every command at every telling moment.

The core never looks into the name of a node: what a node leads to is a name like any other. So each kind by itself,
each pair of kinds in a row, in a loop and side by side make up what larger graphs are made of; walks at random through
larger ones (`test_walks.py`) show that nothing comes of their being larger.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import pytest

from signoff_server.core import approvals, executions, gates
from signoff_server.core.approvals import Cancel
from signoff_server.core.events import SYSTEM
from signoff_server.core.graph import Retry
from signoff_server.core.refusals import Refusal
from signoff_server.core.turn import Turn
from tests.core.rules import Tried, check
from tests.core.runs import FORKED, KINDS, Graph, Limits, Node, Project, begin, carry_out, commands, key, later

SINGLE: Final = tuple(kind for kind in KINDS if kind != "fork")
LIGHT: Final = Limits(Retry(2, "fixed", 10_000))
ONE_ATTEMPT: Final = Limits(Retry(1), lost=0)
FEW_STEPS: Final = Limits(Retry(1), steps=3, lost=0)
# What a run needs of nobody's leave to come to its end.
BY_LEAVE: Final = executions.Cancel | executions.Withhold | Cancel


def tries(project: Project) -> Iterator[Tried]:
    """Every command that anybody could try at this moment, with what comes of it."""
    for subject, command, actor in commands(project):
        try:
            after, steps = carry_out(project, subject, command, actor)
        except Refusal as refusal:
            yield Tried(project, subject, command, project, refusal=refusal)
        else:
            yield Tried(project, subject, command, after, tuple(steps))


class Explored:
    """All that is reachable in a graph, each step of it checked."""

    def __init__(self, graph: Graph, limits: Limits = LIGHT) -> None:
        first = begin(graph, limits)
        self.seen: dict[Any, str] = {key(first): first.run.status}
        self.types: set[str] = set()
        self.codes: set[str] = set()
        self._from: dict[Any, list[Any]] = {}
        self._queue = deque([first])
        while self._queue:
            self._expand(self._queue.popleft())

    def _expand(self, project: Project) -> None:
        here = key(project)
        if (moved := later(project)) is not None:
            self._meet(here, moved)
        for tried in tries(project):
            check(tried)
            if tried.refusal is not None:
                self.codes.add(tried.refusal.code)
            if tried.steps:
                self.types.update(tried.types)
                self._meet(None if isinstance(tried.command, BY_LEAVE) else here, tried.after)

    def _meet(self, here: Any, project: Project) -> None:
        found = key(project)
        if here is not None:
            self._from.setdefault(found, []).append(here)
        if found not in self.seen:
            self.seen[found] = project.run.status
            self._queue.append(project)

    def stuck(self) -> int:
        """How many states there are from which no decisions, reports and time lead to the end of the run."""
        ends = [state for state, status in self.seen.items() if status in ("completed", "failed", "cancelled")]
        leading, queue = set(ends), deque(ends)
        while queue:
            for before in self._from.get(queue.popleft(), ()):
                if before not in leading:
                    leading.add(before)
                    queue.append(before)
        return len(self.seen) - len(leading)


def explore(graph: Graph, limits: Limits = LIGHT) -> Explored:
    explored = Explored(graph, limits)
    assert explored.stuck() == 0
    return explored


def node(kind: str, next_: str | None = None, other: str | None = None) -> Node:
    return Node(kind, next_, other if kind in FORKED else None)


def side_by_side(*kinds: str, next_: str | None = None) -> dict[str, Node]:
    """A parallel node with a branch of each kind."""
    branches = {f"a{at}": node(kind) for at, kind in enumerate(kinds)}
    return {"a": Node("fork", next_, branches=tuple(branches)), **branches}


# ---------------------------------------------------------------- the graphs


@pytest.mark.parametrize("kind", SINGLE)
def test_one_node(kind: str) -> None:
    explored = explore({"a": node(kind)}, Limits(Retry(3, "exponential", 10_000, 15_000), lost=2))
    assert set(explored.seen.values()) >= {"running", "cancelled"}


@pytest.mark.parametrize("kind", SINGLE)
def test_two_nodes_in_a_row(kind: str) -> None:
    for second in SINGLE:
        graph = {"a": node(kind, "b"), "b": node(second)}
        explore(graph, ONE_ATTEMPT)
    if kind in FORKED:
        explore({"a": node(kind, "b", "c"), "b": node("tool"), "c": node("gated")}, ONE_ATTEMPT)
        explore({"a": node(kind, None, "b"), "b": node("gated")}, ONE_ATTEMPT)


@pytest.mark.parametrize("kind", SINGLE)
def test_loops(kind: str) -> None:
    explore({"a": node(kind, "a")}, FEW_STEPS)
    explore({"a": node("choice", None, "b"), "b": node(kind, "a", "b")}, FEW_STEPS)
    explore({"a": node(kind, "b", "a"), "b": node("tool", "a")}, FEW_STEPS)


@pytest.mark.parametrize("kind", SINGLE)
def test_two_nodes_side_by_side(kind: str) -> None:
    for other in SINGLE[SINGLE.index(kind) :]:
        explore(side_by_side(kind, other), ONE_ATTEMPT)
    explore(side_by_side(kind, "timer", next_="c") | {"c": node("tool")}, ONE_ATTEMPT)


@pytest.mark.parametrize("kind", SINGLE)
def test_branches_of_two_nodes_and_loops_within_a_branch_and_around_it(kind: str) -> None:
    row = side_by_side(kind, "tool")
    explore(row | {"a1": node("tool", "b"), "b": node(kind)}, FEW_STEPS)
    explore(row | {"a0": node(kind, "a0", None)}, FEW_STEPS)
    explore(side_by_side(kind, "tool", next_="a"), FEW_STEPS)


@pytest.mark.parametrize("kind", SINGLE)
def test_parallel_nodes_within_one_another(kind: str) -> None:
    inner = {"a1": Node("fork", branches=("b0", "b1")), "b0": node(kind), "b1": node("timer")}
    explore(side_by_side("ask", "fork") | inner, ONE_ATTEMPT)


def test_the_search_meets_every_event_and_every_refusal_of_a_run() -> None:
    types: set[str] = set()
    codes: set[str] = set()
    for graph in ({"a": node("gated")}, side_by_side("routed", "tool"), {"a": node("blocked")}, {"a": node("fault")}):
        explored = explore(graph)
        types |= explored.types
        codes |= explored.codes
    run = {"signalled", "parked", "resumed", "completed", "failed", "cancelled"}
    visit = {"scheduled", "approval_required", "started", "retry_scheduled", "outcome_unknown", "resolved"}
    ends = {"completed", "failed", "blocked", "cancelled", "skipped"}
    asked = {"requested", "approved", "rejected", "expired", "cancelled", "redeemed", "resolved"}
    used = {"outcome_reported", "outcome_unknown"}
    assert types == (
        {f"execution.{what}" for what in run}
        | {f"node.{what}" for what in visit | ends}
        | {f"approval.{what}" for what in asked | used}
    )
    refused = {"stale_fence", "nothing_to_resolve", "execution_finished"}
    assert refused <= codes


# ---------------------------------------------------------------- the rules can fail


def broken(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The core with one rule of it left out."""
    ways: dict[str, tuple[Any, str, Any]] = {
        "an approval is used when its time is over": (executions, "_lapsed", lambda _turn, _visit: False),
        "an approval that was begun lapses": (executions, "_lapsed", _lapses_always),
        "a failing branch withdraws nothing": (Turn, "withdraw", lambda _turn: None),
        "nobody hears what a use came to": (Turn, "end_use", lambda _turn, _visit, _outcome: None),
        "a lost lease counts as none": (executions, "_spent", lambda _turn, _visit: False),
        "a parallel node never ends": (Turn, "close_parallels", lambda _turn: None),
        "a run is told nothing of its approvals": (gates, "_tells", lambda *_: []),
        "a withdrawal is refused when its approval is overdue": (gates, "_follow", _cancels),
    }
    monkeypatch.setattr(*ways[what])


def _lapses_always(turn: Turn, visit: Any) -> bool:
    return visit.approved_until is not None and turn.now >= visit.approved_until


def _cancels(state: Any, command: Any, now: int, follow: Any = gates._follow) -> list[Any]:
    """As if a run took its questions back the way that an admin does."""
    withdrawn = isinstance(command, gates.Withdraw)
    return [*approvals.decide(state, Cancel(SYSTEM, {}, admin=True), now)] if withdrawn else follow(state, command, now)


@pytest.mark.parametrize(
    ("what", "graph"),
    [
        ("an approval is used when its time is over", {"a": node("gated")}),
        ("an approval that was begun lapses", {"a": node("gated")}),
        ("a failing branch withdraws nothing", side_by_side("ask", "tool")),
        ("nobody hears what a use came to", {"a": node("gated")}),
        ("a lost lease counts as none", {"a": node("tool")}),
        ("a parallel node never ends", side_by_side("timer", "timer")),
        ("a run is told nothing of its approvals", {"a": node("ask")}),
        ("a withdrawal is refused when its approval is overdue", side_by_side("ask", "ask")),
    ],
)
def test_the_rules_notice(monkeypatch: pytest.MonkeyPatch, what: str, graph: Graph) -> None:
    broken(monkeypatch, what)
    with pytest.raises(AssertionError):
        explore(graph, LIGHT if len(graph) == 1 else ONE_ATTEMPT)
