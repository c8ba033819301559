"""The approval of a workflow's node: it tells its run how it closed, and its redemption follows the node's visit.

Rules of the room: every command to an approval comes through here. An approval that a node waits for is redeemed by the
first handing out of the node's work and by nothing else: there is no lease between attempts, and nobody redeems it or
reports on it by hand. A person's word on its unknown outcome is their word on the node, whichever of the two they name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from signoff_server.core import approvals
from signoff_server.core.approval_state import Approval
from signoff_server.core.events import Actor, Event, Payload, Step, Tell, from_text, to_text
from signoff_server.core.refusals import Refusal

_CLOSING: Final = {f"approval.{status}": status for status in ("approved", "rejected", "expired", "cancelled")}
_BY_ITS_NODE: Final = approvals.Redeem | approvals.Report | approvals.LoseLease


@dataclass(frozen=True, slots=True)
class Closed:
    """What a run is told. `until` is how long the approval may be used, where it was approved."""

    approval: str
    node: str
    status: str
    by: Actor
    comment: str | None
    until: int | None


@dataclass(frozen=True, slots=True)
class Resolve:
    """A person's word on a node whose outcome is unknown: `succeeded`, `failed` or `retry`."""

    node: str
    outcome: str
    payload: Payload
    reason: str
    permitted: bool
    # Pins the visit that is meant: that of this approval.
    approval: str | None = None


# ---------------------------------------------------------------- what a run tells its approval


@dataclass(frozen=True, slots=True)
class Begin:
    """The node's work is handed out, the first time since it was approved or released."""

    redeemer: str


@dataclass(frozen=True, slots=True)
class End:
    """The visit came to this: `succeeded`, `failed` or `unknown`."""

    outcome: str


@dataclass(frozen=True, slots=True)
class Settle:
    """A person's word on an unknown outcome: `succeeded`, `failed` or `release`, which approves anew until `until`."""

    outcome: str
    reason: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The node is given up, so nobody is asked any more."""


Command = approvals.Command | Begin | End | Settle | Withdraw


def decide(state: Approval | None, command: Command, actor: Actor, now: int) -> list[Step]:
    """What follows from a command to any approval. Raises `Refusal`."""
    if isinstance(command, Begin | End | Settle | Withdraw):
        return [] if state is None else _follow(state, command, now)
    gated = state is not None and state.source.execution_id is not None
    if gated and isinstance(command, _BY_ITS_NODE):
        assert state is not None
        raise Refusal("forbidden", f"It belongs to {state.source.execution_id}, whose workers use it.")
    if gated and isinstance(command, approvals.Resolve):
        assert state is not None
        return [_resolved(state, command)]
    events = approvals.decide(state, command, now)
    return [*events, *_tells(state, command, events, actor)] if gated and state is not None else [*events]


def _resolved(state: Approval, command: approvals.Resolve) -> Tell:
    outcome = "retry" if command.outcome == "release" else command.outcome
    node, permitted = state.source.node_id or "", command.permitted
    word = Resolve(node, outcome, command.payload, command.reason, permitted, state.id)
    return Tell(state.source.execution_id or "", word)


def _tells(state: Approval, command: approvals.Command, events: Sequence[Event], actor: Actor) -> list[Tell]:
    closing = next((event for event in events if event.type in _CLOSING), None)
    if closing is None or state.source.execution_id is None:
        return []
    until = approved_until(closing)
    comment = command.reason if isinstance(command, approvals.Decide) else None
    closed = Closed(state.id, state.source.node_id or "", _CLOSING[closing.type], actor, comment, until)
    return [Tell(state.source.execution_id, closed)]


def approved_until(closing: Event) -> int | None:
    """Until when what this event approved may be used; None where it approved nothing."""
    text = closing.facts.get("approved_until")
    return None if text is None else from_text(text)


def _follow(state: Approval, command: Begin | End | Settle | Withdraw, now: int) -> list[Step]:
    """No refusals: a run knows in which state its approval is, and is not held up where a deadline was faster."""
    held = state.redemption
    if isinstance(command, Withdraw):
        what = "expired" if now >= state.expires_at else "cancelled"
        return _event(f"approval.{what}", {}) if state.status == "pending" else []
    if isinstance(command, Begin):
        return _event("approval.redeemed", {"fence": state.fence + 1, "redeemer": command.redeemer})
    if held is None:
        return []
    if isinstance(command, Settle):
        facts: dict[str, Any] = {"fence": held.fence, "outcome": command.outcome}
        if command.until is not None:
            facts["approved_until"] = to_text(command.until)
        return [Event("approval.resolved", facts, {"detail": command.reason})]
    if command.outcome == "unknown":
        return _event("approval.outcome_unknown", {"fence": held.fence})
    return _event("approval.outcome_reported", {"fence": held.fence, "outcome": command.outcome})


def _event(type_: str, facts: dict[str, Any]) -> list[Step]:
    return [Event(type_, facts, {})]
