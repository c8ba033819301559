"""Walks at random through graphs of every shape, each step checked by the same rules; and all of them end."""

from random import Random
from typing import Any, Final

import pytest

from signoff_server.core import approvals, executions, gates
from signoff_server.core.events import SYSTEM, Actor
from signoff_server.core.execution_state import Execution, Visit
from signoff_server.core.graph import Retry
from signoff_server.core.refusals import Refusal
from tests.core.rules import Tried, check
from tests.core.runs import (
    ALICE,
    APP,
    EVENT,
    FORKED,
    KINDS,
    NOTHING,
    RUN,
    WORKER,
    Graph,
    Limits,
    Node,
    Project,
    begin,
    carry_out,
    commands,
    entered,
    later,
)

LIMITS: Final = Limits(Retry(3, "linear", 7_000), steps=14, lost=2)
LENGTH: Final = 60
Move = tuple[str, Any, Actor]


def graph(random: Random, first: str = "a", depth: int = 0) -> dict[str, Node]:
    """A region: its nodes lead to one another and to its end; a parallel node's branches are regions of their own."""
    names = [first, *(f"{first}.{at}" for at in range(random.randrange(3)))]
    found: dict[str, Node] = {}
    for at, name in enumerate(names):
        kind = random.choice(KINDS if random.random() < 0.2 else (*KINDS[:-2], "fork"))
        following = names[at + 1] if at + 1 < len(names) else None
        other = random.choice([None, *names]) if kind in FORKED else None
        if kind == "fork" and depth == 2:
            kind = "tool"
        branches = tuple(f"{name}-{at}" for at in range(random.choice((2, 3)))) if kind == "fork" else ()
        for branch in branches:
            found |= graph(random, branch, depth + 1)
        found[name] = Node(kind, following or random.choice([None, None, *names]), other, branches)
    return found


def tried(project: Project, move: Move) -> Project:
    """The project after a move that keeps to every rule."""
    subject, command, actor = move
    try:
        after, steps = carry_out(project, subject, command, actor)
    except Refusal as refusal:
        check(Tried(project, subject, command, project, refusal=refusal))
        return project
    check(Tried(project, subject, command, after, tuple(steps)))
    return after


def walk(random: Random, project: Project) -> Project:
    for _ in range(LENGTH):
        if random.random() < 0.1:
            project = later(project) or project
        moves = [move for move in commands(project) if not ends(move) or random.random() < 0.02]
        if moves:
            project = tried(project, random.choice(moves))
    return project


def ends(move: Move) -> bool:
    """What ends a run at once is tried seldom."""
    return isinstance(move[1], executions.Cancel | executions.Withhold | approvals.Cancel)


# ---------------------------------------------------------------- the way home


def homeward(project: Project) -> Move | None:
    """What everybody does who wants the run to come to its end; None where only time can do something."""
    if project.run.ready:
        made = next(iter(entered(project)))
        return RUN, executions.Advance(made), SYSTEM
    moves = (_on(project, visit) for visit in project.run.visits)
    return next((move for move in moves if move is not None), None)


def _on(project: Project, visit: Visit) -> Move | None:
    now, item = project.now, visit.item or ""
    due = visit.due_at is not None and now >= visit.due_at
    match visit.status:
        case "awaiting_approval" if now < project.approval(visit).expires_at:
            return visit.approval or "", approvals.Decide(ALICE, NOTHING, "approved", None), ALICE
        case "awaiting_approval":
            return visit.approval or "", approvals.Expire(NOTHING), SYSTEM
        case "scheduled" | "retrying" if due:
            return RUN, executions.Take(item, True, "w", "r"), WORKER
        case "running":
            return RUN, executions.Report(item, visit.fence, "completed", NOTHING), WORKER
        case "outcome_unknown":
            return RUN, gates.Resolve(visit.node, "succeeded", NOTHING, "asked", permitted=True), ALICE
        case "waiting" if due:
            return RUN, executions.TimeUp(visit.node, visit.number), SYSTEM
        case "waiting" if visit.event is not None and visit.due_at is None:
            return RUN, executions.Signal(EVENT, NOTHING, NOTHING), APP
    return None


def brought_home(project: Project) -> Execution:
    for _ in range(20 * LIMITS.steps):
        if project.run.over:
            return project.run
        move = homeward(project)
        after = tried(project, move) if move is not None else later(project)
        assert after is not None
        assert after is not project
        project = after
    raise AssertionError(f"it never ends: {project.run}")


@pytest.mark.parametrize("seed", range(40))
def test_every_walk_keeps_to_the_rules_and_ends(seed: int) -> None:
    random = Random(seed)
    for _ in range(5):
        made: Graph = graph(random)
        brought_home(walk(random, begin(made, LIMITS)))


def test_the_graphs_are_of_every_sort() -> None:
    made = [graph(Random(seed)) for seed in range(200)]
    assert {node.kind for each in made for node in each.values()} == set(KINDS)
    assert max(len(each) for each in made) > 12
    nested = [name for each in made for name, node in each.items() if node.kind == "fork" and "-" in name]
    loops = [name for each in made for name, node in each.items() if node.next == name]
    assert len(nested) > 20
    assert len(loops) > 20
