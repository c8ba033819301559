"""One run of a workflow, as its events left it.

    running ◀──▶ parked
       └──────────┴──▶ completed | failed | cancelled

A run is a set of places where it stands: nodes that are ready to be entered, and visits of nodes that were. What a
visit needs for what follows (where it leads, how it is retried) came with the event that began it, so that no decision
and no report ever has to read the definition.

Rules of the room: `evolve` folds one event and never refuses. The state holds what is under way and nothing of what is
done: a run of a thousand steps is as small at its end as at its start. A visit ends once; its fence only grows. A run
that is over stays over: what its workers still report ends their visits and moves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from signoff_server.core.changing import changed
from signoff_server.core.events import Actor, Recorded, from_text
from signoff_server.core.graph import NO_RETRY, Retry

OVER: Final = ("completed", "failed", "cancelled")
# A visit in one of these gets on without anybody's word.
MOVING: Final = ("scheduled", "retrying", "running")


@dataclass(frozen=True, slots=True)
class Ready:
    """A node that is to be entered. `branch` is the first node of the branch of `within` that it is in."""

    node: str
    within: str | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A node that was entered and not left.

    `status` is `scheduled`, `retrying`, `running`, `awaiting_approval`, `waiting`, `outcome_unknown`, or `open` (a
    parallel node whose `open` branches run). `routes` are where else it may lead: `rejected`, `expired`, `timeout`.
    `settled` is the last fence whose report no longer counts; `began` tells that its approval was redeemed.
    """

    node: str
    number: int
    type: str
    status: str
    at: int
    next: str | None = None
    within: str | None = None
    branch: str | None = None
    routes: Mapping[str, str | None] | None = None
    tool: str | None = None
    item: str | None = None
    approval: str | None = None
    retry: Retry = NO_RETRY
    timeout: int | None = None
    attempt: int = 0
    failures: int = 0
    lost: int = 0
    fence: int = 0
    settled: int = 0
    idempotent: bool = False
    began: bool = False
    due_at: int | None = None
    approved_until: int | None = None
    event: str | None = None
    open: tuple[str, ...] = ()
    worker: str | None = None
    input_seq: int | None = None

    @property
    def unheard(self) -> bool:
        """Whether it was handed out and nobody said yet what came of that."""
        return self.fence > self.settled


@dataclass(frozen=True, slots=True)
class Execution:
    """`definition` is the subject of the workflow's version; `policy_seq` the event of the project's policy that it
    keeps, 0 for none. `signals` are those that came before anybody waited: (name, seq), oldest first.
    """

    id: str
    definition: str
    workflow_id: str
    version: str
    digest: str
    policy_seq: int
    status: str
    initiator: Actor
    owner: str | None
    max_steps: int
    max_lost_leases: int
    started_at: int
    started_seq: int
    updated_at: int
    ready: tuple[Ready, ...] = ()
    visits: tuple[Visit, ...] = ()
    signals: tuple[tuple[str, int], ...] = ()
    steps: int = 0
    ended_at: int | None = None
    ended_seq: int | None = None

    @property
    def over(self) -> bool:
        return self.status in OVER

    def at(self, node: str) -> Visit | None:
        """The visit of this node that is under way."""
        return next((visit for visit in self.visits if visit.node == node), None)

    def of_item(self, item: str) -> Visit | None:
        return next((visit for visit in self.visits if visit.item == item), None)

    def of_approval(self, approval: str) -> Visit | None:
        return next((visit for visit in self.visits if visit.approval == approval), None)


def evolve(state: Execution | None, event: Recorded) -> Execution:
    """The run after `event`."""
    if state is None:
        return _started(event)
    kind, _, what = event.type.partition(".")
    if kind == "execution":
        return _run(state, what, event)
    node = event.facts["node"]
    if what == "skipped":
        return changed(state, updated_at=event.at, ready=tuple(each for each in state.ready if each.node != node))
    visit = state.at(node)
    if visit is None:
        return _entered(state, what, event)
    if what in ("completed", "failed", "blocked", "cancelled") or _ends(event):
        return _left(state, visit, event)
    return changed(state, updated_at=event.at, visits=_with(state.visits, _moved(visit, what, event)))


def _started(event: Recorded) -> Execution:
    facts = event.facts
    start = facts["start"]
    return Execution(
        id=event.subject,
        definition=facts["definition"],
        workflow_id=facts["workflow_id"],
        version=facts["version"],
        digest=facts["digest"],
        policy_seq=facts["policy_seq"],
        status="running",
        initiator=event.actor,
        owner=facts["owner"],
        max_steps=facts["max_steps"],
        max_lost_leases=facts["max_lost_leases"],
        started_at=event.at,
        started_seq=event.seq,
        updated_at=event.at,
        ready=() if start is None else (Ready(start),),
    )


def _run(state: Execution, what: str, event: Recorded) -> Execution:
    match what:
        case "parked":
            return changed(state, updated_at=event.at, status="parked")
        case "resumed":
            return changed(state, updated_at=event.at, status="running")
        case "signalled":
            kept = ((event.facts["name"], event.seq),) if event.facts["kept"] else ()
            return changed(state, updated_at=event.at, signals=state.signals + kept)
        case "completed" | "failed" | "cancelled":
            return changed(state, updated_at=event.at, status=what, ready=(), ended_at=event.at, ended_seq=event.seq)
    raise ValueError(f"{event.type} does not follow on {state.status}")


def _ends(event: Recorded) -> bool:
    return event.type == "node.resolved" and event.facts["outcome"] != "retry"


# ---------------------------------------------------------------- into a node


def _entered(state: Execution, what: str, event: Recorded) -> Execution:
    facts = event.facts
    found = next((each for each in state.ready if each.node == facts["node"]), None)
    if found is None:
        raise ValueError(f"{event.type} of {facts['node']} does not follow")
    ready, steps = tuple(each for each in state.ready if each is not found), state.steps + 1
    visit = _visit(found, what, event)
    if what in ("completed", "failed", "blocked"):
        entered = changed(state, ready=ready, steps=steps, signals=_without(state, facts))
        return _left(entered, visit, event)
    if what == "started":
        ready += tuple(Ready(branch, found.node, branch) for branch in visit.open)
    return changed(state, updated_at=event.at, ready=ready, steps=steps, visits=_with(state.visits, visit))


def _visit(found: Ready, what: str, event: Recorded) -> Visit:
    facts = event.facts
    retry, due_at = facts.get("retry"), facts.get("due_at")
    return Visit(
        node=found.node,
        number=facts["visit"],
        type=facts["type"],
        status=_STATUS.get((facts["type"], what), what),
        at=event.at,
        next=facts.get("next"),
        within=found.within,
        branch=found.branch,
        routes=facts.get("routes"),
        tool=facts.get("tool"),
        item=facts.get("item"),
        approval=facts.get("approval"),
        retry=Retry(**retry) if retry else NO_RETRY,
        timeout=facts.get("timeout"),
        due_at=None if due_at is None else from_text(due_at),
        event=facts.get("event"),
        open=tuple(facts.get("branches", ())),
        input_seq=event.seq,
    )


_STATUS: Final = {
    ("wait", "scheduled"): "waiting",
    ("parallel", "started"): "open",
    ("tool", "approval_required"): "awaiting_approval",
    ("human_approval", "approval_required"): "awaiting_approval",
}


def _without(state: Execution, facts: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """The kept signals without the one that this node took."""
    taken = next((signal for signal in state.signals if signal[0] == facts.get("event")), None)
    return tuple(signal for signal in state.signals if signal is not taken)


# ---------------------------------------------------------------- within a visit, and out of it


def _moved(visit: Visit, what: str, event: Recorded) -> Visit:
    facts = event.facts
    match what:
        case "scheduled":
            until = facts.get("approved_until")
            return changed(
                visit,
                status="scheduled",
                due_at=event.at,
                lost=facts.get("lost", visit.lost),
                approved_until=visit.approved_until if until is None else from_text(until),
            )
        case "started":
            return changed(
                visit,
                status="running",
                attempt=facts["attempt"],
                fence=facts["fence"],
                idempotent=facts["idempotent"],
                worker=facts["worker"],
                began=visit.approval is not None,
                due_at=None if visit.timeout is None else event.at + visit.timeout,
            )
        case "retry_scheduled":
            due_at = from_text(facts["due_at"])
            more = visit.failures + 1
            return changed(visit, status="retrying", due_at=due_at, failures=more, settled=visit.fence)
        case "outcome_unknown":
            return changed(visit, status="outcome_unknown", due_at=None)
        case "resolved":
            until = facts.get("approved_until")
            return changed(
                visit,
                status="scheduled",
                due_at=event.at,
                approved_until=None if until is None else from_text(until),
                began=False,
                lost=0,
                settled=visit.fence,
            )
    raise ValueError(f"{event.type} does not follow on {visit.status}")


def _left(state: Execution, visit: Visit, event: Recorded) -> Execution:
    """Out of a node: on to where it leads, or to the end of its branch. A run that is over goes nowhere."""
    ready, visits = state.ready, tuple(each for each in state.visits if each.node != visit.node)
    if not state.over and _succeeded(event):
        following = event.facts.get("next", visit.next)
        parallel = None if visit.within is None else state.at(visit.within)
        if following is not None:
            ready = (*ready, Ready(following, visit.within, visit.branch))
        elif parallel is not None:
            still = tuple(each for each in parallel.open if each != visit.branch)
            visits = _with(visits, changed(parallel, open=still))
    return changed(state, updated_at=event.at, ready=ready, visits=visits)


def _succeeded(event: Recorded) -> bool:
    return event.type == "node.completed" or event.facts.get("outcome") == "succeeded"


def _with(visits: tuple[Visit, ...], visit: Visit) -> tuple[Visit, ...]:
    """The visits, of which this one is how its node's stands now."""
    return (*(each for each in visits if each.node != visit.node), visit)
