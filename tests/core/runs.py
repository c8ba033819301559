"""A project in memory for the pure core: a run, its approvals, the agenda and a clock, behind one write door.

Graphs need no expressions here: a condition is decided by whoever advances, so that a search takes both ways.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Final

from signoff_server.core import approval_state, approvals, entries, execution_state, executions, gates
from signoff_server.core.approval_state import Approval, Source
from signoff_server.core.entries import Entry
from signoff_server.core.events import SYSTEM, Actor, Event, Payload, Recorded, Tell
from signoff_server.core.execution_state import Execution, Visit
from signoff_server.core.graph import Retry
from signoff_server.core.reactions import ADVANCE, EXPIRE, LAPSE, LEASE_QUEUE, TIMER, Put, reactions, timer, work_queue

NOTHING: Final = Payload(b"{}", b"", "")
APP: Final = Actor("prn_app", "service", "api")
ALICE: Final = Actor("prn_alice", "human", "api")
WORKER: Final = Actor("prn_worker", "service", "api")
T0: Final = 1_790_000_000_000
RUN: Final = "exe_1"
PROJECT: Final = "prj_1"
EXPIRES_IN: Final = 100_000
PAUSE: Final = 50_000
EVENT: Final = "go"


@dataclass(frozen=True, slots=True)
class Node:
    """`kind` is one of `KINDS`; `other` is a second way on, `branches` are those of a parallel node."""

    kind: str
    next: str | None = None
    other: str | None = None
    branches: tuple[str, ...] = ()


KINDS: Final = (
    "tool",
    "gated",
    "ask",
    "routed",
    "choice",
    "timer",
    "event",
    "timed",
    "detour",
    "fork",
    "blocked",
    "fault",
)
# Kinds that lead to two nodes.
FORKED: Final = ("routed", "choice", "detour")
Graph = Mapping[str, Node]


_RETRY: Final = Retry(max_attempts=2, backoff="fixed", base_delay=10_000)


@dataclass(frozen=True, slots=True)
class Limits:
    retry: Retry = _RETRY
    steps: int = 50
    lost: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """An event with the state that it left its stream in."""

    event: Recorded
    state: Any


@dataclass(frozen=True, slots=True)
class Project:
    """`agenda` holds (due, fence) by the row's key; `visits` how often each node was entered."""

    graph: Graph
    limits: Limits
    now: int = T0
    streams: Mapping[str, Any] = field(default_factory=dict)
    agenda: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    visits: Mapping[str, int] = field(default_factory=dict)
    seq: int = 0

    @property
    def run(self) -> Execution:
        found = self.streams[RUN]
        assert isinstance(found, Execution)
        return found

    @property
    def approvals(self) -> list[Approval]:
        return [state for state in self.streams.values() if isinstance(state, Approval)]

    def approval(self, visit: Visit) -> Approval:
        assert visit.approval is not None
        found = self.streams[visit.approval]
        assert isinstance(found, Approval)
        return found


# ---------------------------------------------------------------- the write door


class Door:
    """One command with all that it tells, as the write door carries it out."""

    def __init__(self, project: Project) -> None:
        self._before = project
        self._streams = dict(project.streams)
        self._agenda = dict(project.agenda)
        self._visits = dict(project.visits)
        self.steps: list[Step] = []

    def decide(self, subject: str, command: Any, actor: Actor, *, new: bool = False) -> None:
        state = None if new else self._streams.get(subject)
        decide: Any = executions.decide if subject == RUN else gates.decide
        steps = decide(state, command, actor, self._before.now)
        for step in steps:
            if isinstance(step, Event):
                self._record(subject, step, actor)
        for step in steps:
            if isinstance(step, Tell):
                asked = isinstance(step.command, approvals.Request)
                self.decide(step.subject, step.command, step.actor or actor, new=asked)

    def _record(self, subject: str, event: Event, actor: Actor) -> None:
        before, seq = self._before, self._before.seq + len(self.steps) + 1
        recorded = Recorded(seq, f"evt_{seq}", event.type, 1, subject, seq, before.now, actor, event.facts, "")
        evolve: Any = execution_state.evolve if subject == RUN else approval_state.evolve
        state = self._streams[subject] = evolve(self._streams.get(subject), recorded)
        self.steps.append(Step(recorded, state))
        if "type" in event.facts:
            self._visits[event.facts["node"]] = event.facts["visit"]
        for reaction in reactions(recorded, state, PROJECT):
            self._agenda.pop(reaction.key, None)
            if isinstance(reaction, Put):
                self._agenda[reaction.key] = (reaction.due(before.now), reaction.fence)

    def after(self) -> Project:
        return replace(
            self._before,
            streams=self._streams,
            agenda=self._agenda,
            visits=self._visits,
            seq=self._before.seq + len(self.steps),
        )


def carry_out(project: Project, subject: str, command: Any, actor: Actor) -> tuple[Project, list[Step]]:
    """The project after a command, and what was recorded. Raises `Refusal`."""
    door = Door(project)
    door.decide(subject, command, actor)
    return door.after(), door.steps


def begin(graph: Graph, limits: Limits = Limits(), start: str | None = "a") -> Project:
    """A run of which no node was entered yet."""
    command = executions.Start(
        APP, NOTHING, "wfl_1", "flow", "1.0.0", "sha256:0", 0, start, limits.steps, limits.lost, owner="prn_owner"
    )
    door = Door(Project(graph, limits))
    door.decide(RUN, command, APP, new=True)
    return door.after()


# ---------------------------------------------------------------- what nodes come to


def entered(project: Project) -> Iterator[tuple[Entry, ...]]:
    """What the ready nodes come to: every way that a condition could be decided."""
    signals = sum(name == EVENT for name, _ in project.run.signals)
    ways = []
    for ready in project.run.ready:
        node = project.graph[ready.node]
        kept = node.kind in ("event", "timed", "detour") and signals > 0
        signals -= kept
        ways.append(list(_entries(project, ready.node, node, kept=kept)))
    yield from product(*ways)


def _entries(project: Project, name: str, node: Node, *, kept: bool) -> Iterator[Entry]:
    visit = project.visits.get(name, 0) + 1
    item, approval, retry = f"wrk_{name}{visit}", f"apr_{name}{visit}", project.limits.retry
    match node.kind:
        case "tool":
            yield entries.Work(name, visit, "t", item, NOTHING, node.next, retry)
        case "gated":
            request = _request(name, visit, "t")
            yield entries.Gate(name, visit, "t", item, approval, request, node.next, retry)
        case "ask":
            yield entries.Ask(name, visit, approval, _request(name, visit, None), {"approved": node.next})
        case "routed":
            routes = {"approved": node.next, "rejected": node.other, "expired": node.other}
            yield entries.Ask(name, visit, approval, _request(name, visit, None), routes)
        case "choice":
            yield entries.Choose(name, visit, node.next)
            yield entries.Choose(name, visit, node.other)
        case "fork":
            yield entries.Fork(name, visit, node.branches, node.next)
        case "timer":
            yield entries.Pause(name, visit, node.next, PAUSE)
        case "blocked":
            yield entries.Block(name, visit, "tool", "t", "project/blocked_tools/t")
        case "fault":
            yield entries.Fault(name, visit, "tool", "expression_failed", "no such key")
        case _:
            yield _event(name, visit, node, kept=kept)


def _event(name: str, visit: int, node: Node, *, kept: bool) -> Entry:
    timeout = None if node.kind == "event" else PAUSE
    routes = {"timeout": node.other} if node.kind == "detour" else None
    return entries.Pause(name, visit, node.next, None, EVENT, timeout, routes, NOTHING if kept else None)


def _request(node: str, visit: int, tool: str | None) -> approvals.Request:
    source = Source("workflow", RUN, node, tool, visit)
    return approvals.Request(APP, NOTHING, "t", "sha256:x", EXPIRES_IN, source=source)


# ---------------------------------------------------------------- what a state demands


def demanded(project: Project) -> dict[str, tuple[int | None, int]]:
    """The agenda that the streams as they stand ask for; a due time of None is any."""
    return rows(PROJECT, project.run, project.approvals)


def rows(project: str, run: Execution, asked: list[Approval]) -> dict[str, tuple[int | None, int]]:
    """The rows of the agenda for a run and its approvals: (due, fence) by their key."""
    rows: list[Put] = [Put(ADVANCE, run.id)] if run.ready else []
    rows += [Put(EXPIRE, each.id, at=each.expires_at) for each in asked if each.status == "pending"]
    for visit in run.visits:
        item = visit.item or ""
        if visit.status in ("scheduled", "retrying"):
            rows.append(Put(work_queue(project, visit.tool or ""), item, at=visit.due_at))
        if visit.status == "scheduled" and visit.approved_until is not None and not visit.began:
            rows.append(Put(LAPSE, item, at=visit.approved_until))
        if visit.status == "running":
            rows.append(Put(LEASE_QUEUE, item, fence=visit.fence))
        if visit.status == "waiting" and visit.due_at is not None:
            rows.append(Put(TIMER, timer(run.id, visit.node, visit.number), at=visit.due_at))
    return {row.key: (row.at, row.fence) for row in rows}


def moments(project: Project) -> Iterator[int]:
    """When what a command comes to could change."""
    yield from (each.expires_at for each in project.approvals if each.status == "pending")
    for visit in project.run.visits:
        if visit.due_at is not None:
            yield visit.due_at
        if visit.approved_until is not None:
            yield visit.approved_until


def later(project: Project) -> Project | None:
    """The project at the next telling moment."""
    found = min((moment for moment in moments(project) if moment > project.now), default=None)
    return None if found is None else replace(project, now=found)


# ---------------------------------------------------------------- what anybody could try


def commands(project: Project) -> Iterator[tuple[str, Any, Actor]]:
    """Every command at this moment: subject, command, actor."""
    run = project.run
    if run.ready:
        yield from ((RUN, executions.Advance(made), SYSTEM) for made in entered(project))
    for visit in run.visits:
        yield from ((RUN, command, WORKER) for command in _of_visit(visit))
    if len(run.signals) < 2:
        yield RUN, executions.Signal(EVENT, NOTHING, NOTHING), APP
    if not run.signals:
        yield RUN, executions.Signal("other", NOTHING, NOTHING), APP
    yield RUN, executions.Cancel(NOTHING), APP
    for approval in project.approvals:
        yield from ((approval.id, command, actor) for command, actor in _of_approval(approval))


def _of_visit(visit: Visit) -> Iterator[Any]:
    for number in (visit.number - 1, visit.number):
        yield executions.TimeUp(visit.node, number)
    for outcome in ("succeeded", "failed", "retry"):
        yield gates.Resolve(visit.node, outcome, NOTHING, "asked", permitted=True)
    yield gates.Resolve(visit.node, "succeeded", NOTHING, "asked", permitted=False)
    if visit.item is None:
        return
    for idempotent in {visit.approval is not None, False}:
        yield executions.Take(visit.item, idempotent, "w", "r")
    yield executions.Withhold(visit.item, "it is not what was approved")
    yield executions.Lapse(visit.item)
    for fence in {visit.fence - 1, visit.fence, visit.fence + 1}:
        yield executions.LoseLease(visit.item, fence)
        for outcome in ("completed", "failed", "unknown"):
            yield executions.Report(visit.item, fence, outcome, NOTHING, "no")
        yield executions.Report(visit.item, fence, "failed", NOTHING, "no", again=False)


def _of_approval(approval: Approval) -> Iterator[tuple[Any, Actor]]:
    for decision in ("approved", "rejected"):
        yield approvals.Decide(ALICE, NOTHING, decision, "because"), ALICE
    yield approvals.Cancel(APP, NOTHING, admin=False), APP
    yield approvals.Expire(NOTHING), SYSTEM
    for outcome in ("succeeded", "failed", "release"):
        yield approvals.Resolve(ALICE, NOTHING, outcome, permitted=True), ALICE
    yield approvals.Redeem(APP, NOTHING, approval.binding, "r", None), APP
    yield approvals.Report(APP, NOTHING, approval.fence, "succeeded"), APP
    yield approvals.LoseLease(NOTHING, approval.fence), SYSTEM


# ---------------------------------------------------------------- what tells two projects apart


def key(project: Project) -> tuple[Any, ...]:
    """All that bears on what follows. Times count from now; of fences only whether the last one is settled."""
    run, now = project.run, project.now
    steps = run.steps if project.limits.steps < 10 else 0
    signals = tuple(sorted(name for name, _ in run.signals))
    visits = tuple(sorted((_visit(project, visit) for visit in run.visits), key=lambda each: str(each[0])))
    ready = tuple(sorted(each.node for each in run.ready))
    return run.status, ready, visits, signals, steps, _from(now, None)


def _visit(project: Project, visit: Visit) -> tuple[Any, ...]:
    now, approval = project.now, None if visit.approval is None else project.approval(visit)
    asked = None
    if approval is not None:
        held = approval.redemption
        expires = _from(now, approval.expires_at) if approval.status == "pending" else None
        asked = approval.status, expires, None if held is None else (held.outcome, held.resolved)
    return (
        visit.node,
        visit.status,
        visit.unheard,
        visit.failures,
        visit.lost,
        visit.idempotent and visit.status == "running",
        visit.began,
        _from(now, visit.due_at),
        _from(now, visit.approved_until),
        visit.open,
        asked,
    )


def _from(now: int, moment: int | None) -> int | None:
    return None if moment is None else max(0, moment - now)
