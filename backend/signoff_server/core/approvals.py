"""What happens to an approval: asked, decided once, redeemed once.

Rules of the room: `decide` answers the events that follow from a command, or raises `Refusal` and changes nothing; an
empty answer means that it was so already.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from signoff_server.core.approval_state import BY_ONE_HUMAN, FROM_THE_SDK, Approval, Requirement, Source, standing
from signoff_server.core.events import Actor, Event, Payload, to_text
from signoff_server.core.refusals import Refusal

LEASE: Final = 60_000
APPROVED_FOR: Final = 24 * 3_600_000
_CAP_RETRY: Final = 10


# ---------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class Request:
    """`waiting` counts what this requester has pending, of which there are `most` at once; None is no limit."""

    actor: Actor
    payload: Payload
    name: str
    binding: str
    expires_in: int
    requirement: Requirement = BY_ONE_HUMAN
    source: Source = FROM_THE_SDK
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
    reason: str | None
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """The word of a policy, which asks nobody."""

    payload: Mapping[str, Any]


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
    reason: str = ""


Command = Request | Decide | Deny | Cancel | Expire | Redeem | Report | LoseLease | Resolve


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
        case Deny():
            return [Event("approval.rejected", {}, command.payload)]
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
            **({} if source.visit is None else {"visit": source.visit}),
        },
        "owner": command.owner,
        "on_behalf_of": command.on_behalf_of,
        "initiator": command.initiator,
    }
    return [Event("approval.requested", facts, command.payload)]


def _decide(state: Approval, command: Decide, now: int) -> list[Event]:
    check_reviewer(state, command.actor)
    if command.decision == "rejected" and command.reason is None:
        raise Refusal("invalid", "A rejection needs a reason.", errors=[("/reason", "required for a rejection")])
    _check_pending(state, now)
    if command.seen is not None and command.seen != state.binding:
        raise Refusal("view_stale", "Look again: this is not what was shown.", current=standing(state, now))
    if command.decision == "rejected":
        return [Event("approval.rejected", {}, command.payload)]
    return [Event("approval.approved", {"approved_until": to_text(now + state.approved_for)}, command.payload)]


def check_reviewer(state: Approval, actor: Actor) -> None:
    """Raises `Refusal` where this is not theirs to decide, whenever that is."""
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
