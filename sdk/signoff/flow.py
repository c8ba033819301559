"""The life of one `require_approval`, as generators without I/O and without a clock.

A generator yields what is to be done and is sent what came of it; `Signoff` and `AsyncSignoff` are two small pumps for
the same generators (the pattern of httpx's `_auth.py`).

Rules of the room: they return only for a well-formed answer whose id, name and binding are those that were asked for,
whose status is `approved` and not lapsed, and which says who approved; whatever else comes raises.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from signoff.errors import (
    ApprovalCancelled,
    ApprovalConflict,
    ApprovalError,
    ApprovalExpired,
    ApprovalRejected,
    ApprovalTimeout,
    BindingMismatch,
    PolicyDenied,
    ServerError,
    nobody,
)
from signoff.protocol import canonical
from signoff.protocol.models import Approval, CreateApproval, Redeemed, ResolvedApproval

NO_KEY: Final = (
    "signoff: require_approval without idempotency_key: a crash while it waits asks the reviewers anew; "
    "pass a key that is the same after a restart"
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, checked and ready to be sent. `own_key` is false where the SDK made the idempotency key."""

    body: CreateApproval
    idempotency_key: str
    own_key: bool


@dataclass(frozen=True, slots=True)
class Log:
    """Say this once in the life of the process. Sent back: None."""

    message: str


@dataclass(frozen=True, slots=True)
class Create:
    """Ask, or attach to what was asked under the same key. Sent back: `Created`."""

    ask: Ask


@dataclass(frozen=True, slots=True)
class Created:
    approval: Approval
    replayed: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """Call `on_pending` with this approval. Sent back: None."""

    approval: Approval
    reattached: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until it leaves `pending`. Sent back: `ResolvedApproval` or `Approval`; None when the patience is over."""

    approval: Approval


@dataclass(frozen=True, slots=True)
class Redeem:
    """Take the one use of it. Sent back: `Redeemed`."""

    approval: Approval
    redeemer: str


@dataclass(frozen=True, slots=True)
class Report:
    """Say what came of it. Sent back: None."""

    approval: Approval
    fence: int
    outcome: Literal["succeeded", "failed"]
    detail: str | None


@dataclass(frozen=True, slots=True)
class Granted:
    """What `require` returns."""

    approval: Approval
    reattached: bool


Step: TypeAlias = Log | Create | Tell | Wait
Requiring: TypeAlias = Generator[Step, Any, Granted]


def require(ask: Ask) -> Requiring:
    """Ask, wait and return what was granted.

    Raises `ApprovalNotGranted` in its kinds, `ApprovalTimeout`, `BindingMismatch`, `ServerError`.
    """
    if not ask.own_key:
        yield Log(NO_KEY)
    created = yield from create(ask)
    approval = created.approval
    if approval.status == "pending":
        yield Tell(approval, created.replayed)
    while approval.status == "pending":
        approval = yield from _wait(approval)
    refusal = refusal_of(approval)
    if refusal is not None:
        raise refusal
    return Granted(approval, created.replayed)


def create(ask: Ask) -> Generator[Create, Any, Created]:
    """Ask and return the approval in whatever state it is, checked to be the one that was asked for."""
    created: Created = yield Create(ask)
    check_asked(ask, created.approval)
    # With a key made here, a replay is the answer to our own second attempt and not an earlier call's approval.
    return Created(created.approval, created.replayed and ask.own_key)


def wait(approval: Approval) -> Generator[Wait, Any, Approval]:
    """Wait until `approval` is decided and return it, whatever was decided."""
    while approval.status == "pending":
        approval = yield from _wait(approval)
    return approval


def enter(approval: Approval, redeemer: str) -> Generator[Redeem, Any, Redeemed]:
    """Redeem, and make sure that what was redeemed is what was approved.

    Raises `AlreadyRedeemed`, `OutcomeUnknown`, `ApprovalExpired`, `BindingMismatch`, `ServerError`.
    """
    refusal = refusal_of(approval)
    if refusal is not None:
        raise refusal
    redeemed: Redeemed = yield Redeem(approval, redeemer)
    merge(approval, redeemed.approval)
    held = redeemed.approval.redemption
    # It may have lapsed since: it was redeemed in time, or this would be no such answer.
    if not _is_granted(redeemed.approval) or held is None or held.fence != redeemed.fence or held.outcome:
        raise ServerError("The server's answer to redeeming contradicts itself: nothing was run.")
    return redeemed


def redeem(approval: Approval, binding: str | None, redeemer: str) -> Generator[Redeem, Any, Redeemed]:
    """As `enter`, for a caller who may have kept the binding apart from the server."""
    if binding is not None and binding != approval.binding:
        raise _mismatch(approval)
    return (yield from enter(approval, redeemer))


def finished(steps: Generator[Any, Any, Any], last: Any) -> Any:
    """What a flow returns when `last` is sent to it as the answer to its last step."""
    try:
        steps.send(last)
    except StopIteration as end:
        return end.value
    raise RuntimeError("the flow has another step")


def leave(redeemed: Redeemed, error: BaseException | None) -> Generator[Report, Any, None]:
    """Report what came of the block; of an error only its type, since its text may hold secrets."""
    if error is None:
        yield Report(redeemed.approval, redeemed.fence, "succeeded", None)
    else:
        yield Report(redeemed.approval, redeemed.fence, "failed", type(error).__name__[:200])


def _wait(approval: Approval) -> Generator[Wait, Any, Approval]:
    news: ResolvedApproval | None = yield Wait(approval)
    if news is None:
        raise ApprovalTimeout(approval_id=approval.id, name=approval.name, url=approval.url)
    return merge(approval, news)


def merge(known: Approval, news: ResolvedApproval) -> Approval:
    """The news of an approval, joined with what its waiter has. Raises `BindingMismatch` where they differ in kind."""
    if not (
        news.id == known.id
        and news.name == known.name
        and news.project == known.project
        and news.binding == known.binding
        and news.execution_key == known.execution_key
    ):
        raise _mismatch(known)
    if isinstance(news, Approval):
        check_bound(news)
    fields: dict[str, Any] = {name: getattr(news, name) for name in ResolvedApproval.model_fields}
    for name in ("context", "arguments", "summary", "nonce"):
        fields[name] = getattr(known, name)
    return Approval.model_construct(**fields)


def refusal_of(approval: Approval) -> ApprovalError | None:
    """Why this approval lets nobody go on; None where it does."""
    about: dict[str, Any] = {"approval_id": approval.id, "name": approval.name, "url": approval.url}
    if approval.status == "approved":
        if not _is_granted(approval):
            return ApprovalConflict("The answer says that it is approved, and nobody approved it.", **about)
        return ApprovalExpired(**about) if approval.lapsed else None
    who = approval.decided_by or nobody()
    if approval.status == "rejected":
        about |= {"reason": approval.reason, "decided_by": who, "decisions": approval.decisions}
        if any(each.via == "policy" and each.decision == "rejected" for each in approval.decisions):
            return PolicyDenied(rule=approval.requirement.rule, **about)
        return ApprovalRejected(**about)
    if approval.status == "expired":
        return ApprovalExpired(**about)
    if approval.status == "cancelled":
        return ApprovalCancelled(reason=approval.reason, cancelled_by=who, **about)
    return ApprovalConflict("It is still pending: wait for it.", **about)


def _is_granted(approval: ResolvedApproval) -> bool:
    return approval.status == "approved" and any(each.decision == "approved" for each in approval.decisions)


def check_asked(ask: Ask, reply: Approval) -> None:
    """Raise `BindingMismatch` unless `reply` is about exactly what was asked."""
    asked = ask.body
    if reply.name != asked.name or reply.binding != _binding(reply, asked.context, asked.arguments):
        raise _mismatch(reply)
    check_bound(reply)


def check_bound(reply: Approval) -> None:
    """Raise `BindingMismatch` unless the binding of `reply` is that of what it shows."""
    if reply.binding != _binding(reply, reply.context, reply.arguments):
        raise _mismatch(reply)


def _binding(reply: Approval, context: Any, arguments: Any) -> str:
    try:
        return canonical.binding(
            project=reply.project, name=reply.name, context=context, arguments=arguments, nonce=reply.nonce
        )
    except canonical.NotCanonical as error:
        raise ServerError("The server's answer holds what JSON cannot bind: nothing is approved.") from error


def _mismatch(approval: Approval) -> BindingMismatch:
    return BindingMismatch(approval_id=approval.id, name=approval.name, url=approval.url)
