"""One approval: asked, decided once, redeemed once.

    pending ──▶ approved ──▶ redeemed ──▶ succeeded | failed
       │                        └──▶ unknown ──▶ (reported or resolved) succeeded | failed
       │                                └──▶ released: may be redeemed once more, with the next fence
       └──▶ rejected | expired | cancelled

Rules of the room: `decide` answers the events that follow from a command, or raises `Refusal` and changes nothing; an
empty answer means that it was so already. `evolve` folds one event and never refuses. Leaving `pending` happens once.
A fence only grows, and at most one redemption stands at a time. A deadline is over when its moment has come.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from signoff_server.core.events import Actor, Event, Payload, Recorded, from_text, to_text
from signoff_server.core.refusals import Refusal

LEASE: Final = 60_000
APPROVED_FOR: Final = 24 * 3_600_000
_CAP_RETRY: Final = 10


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
    kind: str = "sdk"
    execution_id: str | None = None
    node_id: str | None = None
    tool: str | None = None


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


# ---------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class Request:
    """`waiting` counts what this requester has pending, of which there are `most` at once; None is no limit."""

    actor: Actor
    payload: Payload
    name: str
    binding: str
    expires_in: int
    requirement: Requirement = Requirement()
    source: Source = Source()
    owner: str | None = None
    on_behalf_of: str | None = None
    initiator: str | None = None
    approved_for: int = APPROVED_FOR
    waiting: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Decide:
    actor: Actor
    payload: Payload
    decision: str
    reason_given: bool
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    actor: Actor
    payload: Payload
    admin: bool


@dataclass(frozen=True, slots=True)
class Expire:
    payload: Payload


@dataclass(frozen=True, slots=True)
class Redeem:
    """`lease_until` is that of the lease as it stands in the agenda, None where there is none."""

    actor: Actor
    payload: Payload
    binding: str
    redeemer: str
    lease_until: int | None


@dataclass(frozen=True, slots=True)
class Report:
    actor: Actor
    payload: Payload
    fence: int
    outcome: str


@dataclass(frozen=True, slots=True)
class LoseLease:
    payload: Payload
    fence: int


@dataclass(frozen=True, slots=True)
class Resolve:
    actor: Actor
    payload: Payload
    outcome: str
    permitted: bool


Command = Request | Decide | Cancel | Expire | Redeem | Report | LoseLease | Resolve


# ---------------------------------------------------------------- decide


def decide(state: Approval | None, command: Command, now: int) -> list[Event]:
    """The events that follow from `command` at `now`, on an approval as it stands. Raises `Refusal`."""
    if isinstance(command, Request):
        return _request(state, command, now)
    if state is None:
        raise Refusal("not_found", "There is no such approval.")
    match command:
        case Decide():
            return _decide(state, command, now)
        case Cancel():
            return _cancel(state, command, now)
        case Expire():
            due = state.status == "pending" and now >= state.expires_at
            return [Event("approval.expired", {}, command.payload)] if due else []
        case Redeem():
            return _redeem(state, command, now)
        case Report():
            return _report(state, command, now)
        case LoseLease():
            held = state.redemption
            lost = held is not None and held.fence == command.fence and held.outcome is None
            return [Event("approval.outcome_unknown", {"fence": command.fence}, command.payload)] if lost else []
        case Resolve():
            return _resolve(state, command, now)


def _request(state: Approval | None, command: Request, now: int) -> list[Event]:
    if state is not None:
        raise Refusal("already_decided", "An approval with this id exists.", current=standing(state, now))
    if command.most is not None and command.waiting >= command.most:
        told = (
            f"{command.waiting} approvals that you asked for are pending, and {command.most} may be: wait, or cancel."
        )
        raise Refusal("pending_cap", told, retry_after=_CAP_RETRY)
    need, source = command.requirement, command.source
    facts = {
        "name": command.name,
        "requirement": {
            "rule": need.rule,
            "approvals": need.approvals,
            "kinds": list(need.kinds),
            "reviewers": list(need.reviewers),
            "on_expiry": need.on_expiry,
        },
        "binding": command.binding,
        "expires_at": to_text(now + command.expires_in),
        "approved_for": command.approved_for // 1000,
        "source": {
            "kind": source.kind,
            "execution_id": source.execution_id,
            "node_id": source.node_id,
            "tool": source.tool,
        },
        "owner": command.owner,
        "on_behalf_of": command.on_behalf_of,
        "initiator": command.initiator,
    }
    return [Event("approval.requested", facts, command.payload)]


def _decide(state: Approval, command: Decide, now: int) -> list[Event]:
    _check_reviewer(state, command.actor)
    if command.decision == "rejected" and not command.reason_given:
        raise Refusal("invalid", "A rejection needs a reason.", errors=[("/reason", "required for a rejection")])
    _check_pending(state, now)
    if command.seen is not None and command.seen != state.binding:
        raise Refusal("view_stale", "Look again: this is not what was shown.", current=standing(state, now))
    if command.decision == "rejected":
        return [Event("approval.rejected", {}, command.payload)]
    return [Event("approval.approved", {"approved_until": to_text(now + state.approved_for)}, command.payload)]


def _check_reviewer(state: Approval, actor: Actor) -> None:
    if actor.kind not in state.requirement.kinds:
        kinds = ", ".join(state.requirement.kinds)
        raise Refusal("kind_not_allowed", f"This asks for a decision by: {kinds}. You are: {actor.kind}.")
    if actor.id in state.excluded:
        raise Refusal("self_decision", "You asked for this, answer for who asked, or are who it was asked for.")
    if state.requirement.reviewers and actor.id not in state.requirement.reviewers:
        raise Refusal("reviewer_not_eligible", "This was asked of other reviewers by name.")


def _check_pending(state: Approval, now: int) -> None:
    if state.status == "pending" and now < state.expires_at:
        return
    current = standing(state, now)
    if state.status in ("pending", "expired"):
        raise Refusal("expired", f"It expired at {to_text(state.expires_at)}.", current=current)
    if state.status == "cancelled":
        raise Refusal("not_pending", "It was cancelled.", current=current)
    raise Refusal("already_decided", f"It was {state.status} before.", current=current)


def _cancel(state: Approval, command: Cancel, now: int) -> list[Event]:
    if not command.admin and command.actor.id != state.requested_by.id:
        raise Refusal("forbidden", "Only its requester or an admin cancels an approval.")
    _check_pending(state, now)
    return [Event("approval.cancelled", {}, command.payload)]


def _redeem(state: Approval, command: Redeem, now: int) -> list[Event]:
    if command.binding != state.binding:
        raise Refusal("binding_mismatch", "This approval is for something else; nothing was redeemed.")
    current = standing(state, now)
    if state.status != "approved":
        raise Refusal("not_approved", f"It is {state.status}.", current=current)
    held = state.redemption
    if held is None:
        if state.lapsed(now):
            raise Refusal("expired", "The time to use this approval is over; ask again.", current=current)
        facts = {"fence": state.fence + 1, "redeemer": command.redeemer}
        return [Event("approval.redeemed", facts, command.payload)]
    leased = held.outcome is None and command.lease_until is not None and now < command.lease_until
    if leased and held.redeemer == command.redeemer:
        return []
    if leased or held.outcome in ("succeeded", "failed"):
        raise Refusal("already_redeemed", "Somebody holds it or has finished it.", current=current)
    raise Refusal("outcome_unknown", "It was redeemed and nothing was reported; resolve it first.", current=current)


def _report(state: Approval, command: Report, now: int) -> list[Event]:
    held = state.redemption
    if held is None or held.fence != command.fence or held.resolved:
        raise Refusal("stale_fence", "This fence no longer counts.", current=standing(state, now))
    if held.outcome == command.outcome:
        return []
    if held.outcome in ("succeeded", "failed"):
        raise Refusal("stale_fence", f"It was reported as {held.outcome} before.", current=standing(state, now))
    facts = {"fence": command.fence, "outcome": command.outcome}
    return [Event("approval.outcome_reported", facts, command.payload)]


def _resolve(state: Approval, command: Resolve, now: int) -> list[Event]:
    if not command.permitted:
        raise Refusal("forbidden", "A human who may decide, or an admin, resolves an unknown outcome.")
    held = state.redemption
    if held is None or held.outcome != "unknown":
        raise Refusal("nothing_to_resolve", "Only an unknown outcome is resolved.", current=standing(state, now))
    facts: dict[str, Any] = {"fence": held.fence, "outcome": command.outcome}
    if command.outcome == "release":
        facts["approved_until"] = to_text(now + state.approved_for)
    return [Event("approval.resolved", facts, command.payload)]


# ---------------------------------------------------------------- evolve


def evolve(state: Approval | None, event: Recorded) -> Approval:
    """The approval after `event`."""
    if state is None:
        return _requested(event)
    facts = event.facts
    held = state.redemption
    match event.type:
        case "approval.approved":
            return replace(_closed(state, "approved", event), approved_until=from_text(facts["approved_until"]))
        case "approval.rejected":
            return _closed(state, "rejected", event)
        case "approval.expired":
            # It was over when its time was, also where nobody came to record it then; `standing` says the same.
            return replace(_closed(state, "expired", event), closed_at=state.expires_at)
        case "approval.cancelled":
            return _closed(state, "cancelled", event)
        case "approval.redeemed":
            redemption = Redemption(facts["fence"], facts["redeemer"], event.at)
            return replace(state, fence=facts["fence"], redemption=redemption)
        case "approval.outcome_unknown" if held:
            return replace(state, redemption=replace(held, outcome="unknown"))
        case "approval.outcome_reported" if held:
            return replace(state, redemption=replace(held, outcome=facts["outcome"], seq=event.seq))
        case "approval.resolved" if held:
            if facts["outcome"] == "release":
                return replace(state, redemption=None, approved_until=from_text(facts["approved_until"]))
            return replace(state, redemption=replace(held, outcome=facts["outcome"], resolved=True, seq=event.seq))
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
    return replace(state, status=status, votes=votes, closed_by=event.actor, closed_at=event.at, closed_seq=event.seq)


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
