"""What follows from an event: the only such list.

Rules of the room: a reaction is data. `Put` makes or replaces a row of the agenda, `Drop` takes one away; both are
carried out in the transaction that records the event. A lease counts from the moment its row is made, also when the
agenda is rebuilt, so that nobody loses a lease to a rebuild.
"""

from dataclasses import dataclass
from typing import Final

from signoff_server.core import executions
from signoff_server.core.approval_state import Approval
from signoff_server.core.approvals import LEASE
from signoff_server.core.events import Recorded
from signoff_server.core.execution_state import Execution, Visit

EXPIRE: Final = "expire"
LEASE_QUEUE: Final = "lease"
ADVANCE: Final = "advance"
LAPSE: Final = "lapse"
TIMER: Final = "timer"
# Whoever recorded what makes a run go on makes it go on at once; this is for when that process died.
_ADVANCE_AFTER: Final = 1_000


@dataclass(frozen=True, slots=True)
class Put:
    """Due at `at`, or `within` milliseconds from when the row is made."""

    queue: str
    subject: str
    at: int | None = None
    within: int | None = None
    fence: int = 0

    @property
    def key(self) -> str:
        return agenda_key(self.queue, self.subject)

    def due(self, now: int) -> int:
        return self.at if self.at is not None else now + (self.within or 0)


@dataclass(frozen=True, slots=True)
class Drop:
    queue: str
    subject: str

    @property
    def key(self) -> str:
        return agenda_key(self.queue, self.subject)


Reaction = Put | Drop


def agenda_key(queue: str, subject: str) -> str:
    """One row for each queue and subject."""
    return f"{queue}:{subject}"


def work_queue(project: str, tool: str) -> str:
    """Each tool has its own, so that what nobody offers stands in nobody's way."""
    return f"work/{project}/{tool}"


def timer(execution: str, node: str, visit: int) -> str:
    return f"{execution}/{node}/{visit}"


def reactions(event: Recorded, state: object, project: str) -> list[Reaction]:
    """What follows from `event`, which left its subject in `state`."""
    if isinstance(state, Approval):
        return _of_approval(event, state)
    if isinstance(state, Execution):
        return [*_of_node(event, state, project), _advance(state)]
    return []


def _of_approval(event: Recorded, state: Approval) -> list[Reaction]:
    match event.type:
        case "approval.requested":
            return [Put(EXPIRE, event.subject, at=state.expires_at)]
        case "approval.approved" | "approval.rejected" | "approval.expired" | "approval.cancelled":
            return [Drop(EXPIRE, event.subject)]
        case "approval.redeemed" if state.source.execution_id is None:
            return [Put(LEASE_QUEUE, event.subject, within=LEASE, fence=state.fence)]
        case "approval.outcome_reported" | "approval.outcome_unknown" | "approval.resolved":
            return [Drop(LEASE_QUEUE, event.subject)]
    return []


def _advance(state: Execution) -> Reaction:
    return Put(ADVANCE, state.id, within=_ADVANCE_AFTER) if state.ready else Drop(ADVANCE, state.id)


def _of_node(event: Recorded, state: Execution, project: str) -> list[Reaction]:
    facts = event.facts
    if not event.type.startswith("node.") or "visit" not in facts:
        return []
    visit = state.at(facts["node"])
    item = facts.get("item")
    if item is not None:
        return _of_item(item, visit, project, facts.get("tool"))
    subject = timer(state.id, facts["node"], facts["visit"])
    if visit is not None and visit.status == "waiting" and visit.due_at is not None:
        return [Put(TIMER, subject, at=visit.due_at)]
    return [Drop(TIMER, subject)] if visit is None else []


def _of_item(item: str, visit: Visit | None, project: str, tool: str | None) -> list[Reaction]:
    """Where the item stands: due for a worker, leased by one, or neither."""
    status = None if visit is None else visit.status
    queue = work_queue(project, tool or "")
    match status:
        case "scheduled" | "retrying" if visit is not None:
            lapse = [] if visit.approved_until is None or visit.began else [Put(LAPSE, item, at=visit.approved_until)]
            return [Drop(LEASE_QUEUE, item), Put(queue, item, at=visit.due_at), *lapse]
        case "running" if visit is not None:
            lease = Put(LEASE_QUEUE, item, within=executions.LEASE, fence=visit.fence)
            return [Drop(queue, item), Drop(LAPSE, item), lease]
        case "awaiting_approval":
            return []
    return [Drop(queue, item), Drop(LEASE_QUEUE, item), Drop(LAPSE, item)]
