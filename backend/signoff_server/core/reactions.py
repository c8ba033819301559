"""What follows from an event: the only such list.

Rules of the room: a reaction is data. `Put` makes or replaces a row of the agenda, `Drop` takes one away; both are
carried out in the transaction that records the event. A lease counts from the moment its row is made, also when the
agenda is rebuilt, so that nobody loses a lease to a rebuild.
"""

from dataclasses import dataclass
from typing import Final

from signoff_server.core.approvals import LEASE, Approval
from signoff_server.core.events import Recorded

EXPIRE: Final = "expire"
LEASE_QUEUE: Final = "lease"


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


def agenda_key(queue: str, subject: str) -> str:
    """One row for each queue and subject."""
    return f"{queue}:{subject}"


def reactions(event: Recorded, state: object) -> list[Put | Drop]:
    """What follows from `event`, which left its subject in `state`."""
    if not isinstance(state, Approval):
        return []
    match event.type:
        case "approval.requested":
            return [Put(EXPIRE, event.subject, at=state.expires_at)]
        case "approval.approved" | "approval.rejected" | "approval.expired" | "approval.cancelled":
            return [Drop(EXPIRE, event.subject)]
        case "approval.redeemed":
            return [Put(LEASE_QUEUE, event.subject, within=LEASE, fence=state.fence)]
        case "approval.outcome_reported" | "approval.outcome_unknown" | "approval.resolved":
            return [Drop(LEASE_QUEUE, event.subject)]
    return []
