"""One approval, as its events left it.

    pending ──▶ approved ──▶ redeemed ──▶ succeeded | failed
       │                        └──▶ unknown ──▶ (reported or resolved) succeeded | failed
       │                                └──▶ released: may be redeemed once more, with the next fence
       └──▶ rejected | expired | cancelled

Rules of the room: `evolve` folds one event and never refuses. Leaving `pending` happens once. A fence only grows, and
at most one redemption stands at a time. A deadline is over when its moment has come.
"""

from dataclasses import dataclass
from typing import Any, Final

from signoff_server.core.changing import changed
from signoff_server.core.events import Actor, Recorded, from_text, to_text


@dataclass(frozen=True, slots=True)
class Requirement:
    """What it takes. `reviewers` are principal ids; empty means everyone of the kinds."""

    rule: str | None = None
    approvals: int = 1
    kinds: tuple[str, ...] = ("human",)
    reviewers: tuple[str, ...] = ()
    on_expiry: str = "expire"


@dataclass(frozen=True, slots=True)
class Source:
    """`visit` counts the visits of the node."""

    kind: str = "sdk"
    execution_id: str | None = None
    node_id: str | None = None
    tool: str | None = None
    visit: int | None = None


BY_ONE_HUMAN: Final = Requirement()
FROM_THE_SDK: Final = Source()


@dataclass(frozen=True, slots=True)
class Vote:
    """One reviewer's word; its reason is in the payload of event `seq`."""

    decision: str
    by: Actor
    at: int
    seq: int


@dataclass(frozen=True, slots=True)
class Redemption:
    """The use of an approval. `redeemer` is a digest; `outcome` is None while the lease stands."""

    fence: int
    redeemer: str
    at: int
    outcome: str | None = None
    resolved: bool = False
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    id: str
    name: str
    status: str
    binding: str
    requirement: Requirement
    source: Source
    requested_by: Actor
    excluded: tuple[str, ...]
    created_at: int
    expires_at: int
    approved_for: int
    requested_seq: int
    votes: tuple[Vote, ...] = ()
    closed_by: Actor | None = None
    closed_at: int | None = None
    closed_seq: int | None = None
    approved_until: int | None = None
    fence: int = 0
    redemption: Redemption | None = None

    def lapsed(self, now: int) -> bool:
        return self.approved_until is not None and now >= self.approved_until


def evolve(state: Approval | None, event: Recorded) -> Approval:
    """The approval after `event`."""
    if state is None:
        return _requested(event)
    facts = event.facts
    held = state.redemption
    match event.type:
        case "approval.approved":
            return changed(_closed(state, "approved", event), approved_until=from_text(facts["approved_until"]))
        case "approval.rejected":
            return _closed(state, "rejected", event)
        case "approval.expired":
            # It was over when its time was, also where nobody came to record it then; `standing` says the same.
            return changed(_closed(state, "expired", event), closed_at=state.expires_at)
        case "approval.cancelled":
            return _closed(state, "cancelled", event)
        case "approval.redeemed":
            redemption = Redemption(facts["fence"], facts["redeemer"], event.at)
            return changed(state, fence=facts["fence"], redemption=redemption)
        case "approval.outcome_unknown" if held:
            return changed(state, redemption=changed(held, outcome="unknown"))
        case "approval.outcome_reported" if held:
            return changed(state, redemption=changed(held, outcome=facts["outcome"], seq=event.seq))
        case "approval.resolved" if held:
            if facts["outcome"] == "release":
                return changed(state, redemption=None, approved_until=from_text(facts["approved_until"]))
            return changed(state, redemption=changed(held, outcome=facts["outcome"], resolved=True, seq=event.seq))
    raise ValueError(f"{event.type} does not follow on {state.status}")


def _requested(event: Recorded) -> Approval:
    facts = event.facts
    need = dict(facts["requirement"])
    need |= {"kinds": tuple(need["kinds"]), "reviewers": tuple(need["reviewers"])}
    others = (event.actor.id, facts["owner"], facts["on_behalf_of"], facts["initiator"])
    return Approval(
        id=event.subject,
        name=facts["name"],
        status="pending",
        binding=facts["binding"],
        requirement=Requirement(**need),
        source=Source(**facts["source"]),
        requested_by=event.actor,
        excluded=tuple(dict.fromkeys(other for other in others if other is not None)),
        created_at=event.at,
        expires_at=from_text(facts["expires_at"]),
        approved_for=facts["approved_for"] * 1000,
        requested_seq=event.seq,
    )


def _closed(state: Approval, status: str, event: Recorded) -> Approval:
    votes = state.votes
    if status in ("approved", "rejected"):
        votes = (*votes, Vote(status, event.actor, event.at, event.seq))
    return changed(state, status=status, votes=votes, closed_by=event.actor, closed_at=event.at, closed_seq=event.seq)


def standing(state: Approval, now: int) -> dict[str, Any]:
    """The state that stands, for whoever came too late: status, who and when, and the redemption."""
    overdue = state.status == "pending" and now >= state.expires_at
    closed_at = state.expires_at if overdue else state.closed_at
    by = Actor(None, "system", "system") if overdue else state.closed_by
    held = state.redemption
    return {
        "id": state.id,
        "status": "expired" if overdue else state.status,
        "decided_by": None if by is None else {"id": by.id, "kind": by.kind},
        "via": None if by is None else by.via,
        "decided_at": None if closed_at is None else to_text(closed_at),
        "approved_until": None if state.approved_until is None else to_text(state.approved_until),
        "redemption": None
        if held is None
        else {"fence": held.fence, "redeemed_at": to_text(held.at), "outcome": held.outcome},
    }
