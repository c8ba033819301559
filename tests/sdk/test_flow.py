"""The flow alone: no client, no clock, no network."""

from typing import Any

import pytest

from signoff import errors, flow
from signoff.asking import ask
from signoff.protocol.models import Approval, Redeemed, ResolvedApproval
from tests.sdk import replies


def an(data: dict[str, Any]) -> Approval:
    return Approval.model_validate(data)


def question(**options: Any) -> flow.Ask:
    return ask(replies.NAME, replies.CONTEXT, idempotency_key="k", **options)


def end_of(steps: Any, value: Any) -> Any:
    with pytest.raises(StopIteration) as end:
        steps.send(value)
    return end.value.value


def test_a_pending_approval_is_told_waited_for_and_returned() -> None:
    steps = flow.require(question())
    created = next(steps)
    assert isinstance(created, flow.Create)
    told = steps.send(flow.Created(an(replies.approval()), False))
    assert isinstance(told, flow.Tell)
    waited = steps.send(None)
    assert isinstance(waited, flow.Wait)
    granted = end_of(steps, an(replies.approved()))
    assert granted.approval.status == "approved"
    assert granted.reattached is False


def test_news_without_payload_is_joined_with_what_was_asked() -> None:
    steps = flow.require(question())
    next(steps)
    steps.send(flow.Created(an(replies.approval()), False))
    steps.send(None)
    granted = end_of(steps, ResolvedApproval.model_validate(replies.resolved()))
    assert granted.approval.context == replies.CONTEXT
    assert granted.approval.nonce == replies.NONCE
    assert granted.approval.decided_by.name == "ada"


def test_a_wait_that_ends_while_pending_is_waited_for_again() -> None:
    steps = flow.require(question())
    next(steps)
    steps.send(flow.Created(an(replies.approval()), False))
    steps.send(None)
    again = steps.send(an(replies.approval()))
    assert isinstance(again, flow.Wait)


def test_what_was_decided_before_is_neither_told_nor_waited_for() -> None:
    steps = flow.require(question())
    next(steps)
    granted = end_of(steps, flow.Created(an(replies.approved()), True))
    assert granted.reattached is True


def test_the_end_of_patience_raises_and_names_the_approval() -> None:
    steps = flow.require(question())
    next(steps)
    steps.send(flow.Created(an(replies.approval()), False))
    steps.send(None)
    with pytest.raises(errors.ApprovalTimeout) as raised:
        steps.send(None)
    assert raised.value.approval_id == replies.ID
    assert isinstance(raised.value, TimeoutError)


def test_without_a_key_it_says_so_and_makes_one() -> None:
    first, second = (ask(replies.NAME, replies.CONTEXT) for _ in range(2))
    assert first.idempotency_key != second.idempotency_key
    steps = flow.require(first)
    assert isinstance(next(steps), flow.Log)
    assert isinstance(steps.send(None), flow.Create)
    granted = end_of(steps, flow.Created(an(replies.approved()), True))
    assert granted.reattached is False, "a replay under a key made here is the answer to a second attempt"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (replies.decided("rejected", reason="no"), errors.ApprovalRejected),
        (replies.decided("rejected", via="policy", reason="no"), errors.PolicyDenied),
        (replies.approval(status="expired"), errors.ApprovalExpired),
        (replies.approval(status="cancelled", reason="oops", decided_by=replies.APP), errors.ApprovalCancelled),
        (replies.approved(lapsed=True), errors.ApprovalExpired),
    ],
)
@pytest.mark.parametrize("at", ["creation", "waiting"])
def test_what_is_not_approved_raises(reply: dict[str, Any], error: type[errors.ApprovalNotGranted], at: str) -> None:
    steps = flow.require(question())
    next(steps)
    if at == "waiting":
        steps.send(flow.Created(an(replies.approval()), False))
        steps.send(None)
    with pytest.raises(error) as raised:
        steps.send(flow.Created(an(reply), False) if at == "creation" else an(reply))
    assert type(raised.value) is error
    assert raised.value.approval_id == replies.ID
    assert raised.value.name == replies.NAME
    assert "50000" not in str(raised.value)


def test_a_rejection_carries_who_why_and_every_decision() -> None:
    refusal = flow.refusal_of(an(replies.decided("rejected", reason="too much")))
    assert isinstance(refusal, errors.ApprovalRejected)
    assert refusal.reason == "too much"
    assert refusal.decided_by.name == "ada"
    assert [each.decision for each in refusal.decisions] == ["rejected"]
    assert "too much" not in str(refusal)


def test_a_policy_denial_names_its_rule() -> None:
    requirement = {"rule": "no-wires", "approvals": 1, "kinds": ["human"], "reviewers": [], "on_expiry": "expire"}
    refusal = flow.refusal_of(an(replies.decided("rejected", via="policy", requirement=requirement)))
    assert isinstance(refusal, errors.PolicyDenied)
    assert refusal.rule == "no-wires"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "payments.other"},
        {"context": {"amount": "1.00"}},
        {"arguments": {"to": "me"}},
        {"nonce": "other", "binding": replies.approval()["binding"]},
        {"binding": "sha256:" + "0" * 64},
        {"project": "prj_other", "binding": replies.approval()["binding"]},
        {"context": {"amount": "1.00"}, "binding": replies.approval()["binding"]},
    ],
)
def test_another_approval_than_was_asked_for_raises(changes: dict[str, Any]) -> None:
    steps = flow.require(question())
    next(steps)
    with pytest.raises(errors.BindingMismatch):
        steps.send(flow.Created(an(replies.approved(**changes)), False))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": replies.OTHER_ID},
        {"name": "payments.other"},
        {"project": "prj_other"},
        {"binding": "sha256:" + "0" * 64},
        {"execution_key": "other"},
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_news_of_another_approval_raises(changes: dict[str, Any], whole: bool) -> None:
    steps = flow.require(question())
    next(steps)
    steps.send(flow.Created(an(replies.approval()), False))
    steps.send(None)
    news = an(replies.approved(**changes)) if whole else ResolvedApproval.model_validate(replies.resolved(**changes))
    with pytest.raises(errors.BindingMismatch):
        steps.send(news)


def test_arguments_are_bound_too() -> None:
    asked = ask(replies.NAME, replies.CONTEXT, arguments={"iban": "DE"}, idempotency_key="k")
    steps = flow.require(asked)
    next(steps)
    assert end_of(steps, flow.Created(an(replies.approved(arguments={"iban": "DE"})), False))
    steps = flow.require(asked)
    next(steps)
    with pytest.raises(errors.BindingMismatch):
        steps.send(flow.Created(an(replies.approved()), False))


def test_entering_redeems_once_and_checks_the_answer() -> None:
    steps = flow.enter(an(replies.approved()), "me")
    step = next(steps)
    assert step == flow.Redeem(an(replies.approved()), "me")
    assert flow.finished(steps, Redeemed.model_validate(replies.redeemed())).fence == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (replies.redeemed(id=replies.OTHER_ID), errors.BindingMismatch),
        (replies.redeemed(binding="sha256:" + "1" * 64), errors.BindingMismatch),
        (replies.redeemed(status="pending"), errors.ServerError),
        (replies.redeemed(redemption=None), errors.ServerError),
        ({**replies.redeemed(), "fence": 2}, errors.ServerError),
        ({**replies.redeemed(), "approval": replies.reported()}, errors.ServerError),
    ],
)
def test_an_answer_to_redeeming_that_contradicts_raises(
    reply: dict[str, Any], error: type[errors.SignoffError]
) -> None:
    steps = flow.enter(an(replies.approved()), "me")
    next(steps)
    with pytest.raises(error):
        steps.send(Redeemed.model_validate(reply))


def test_what_is_not_approved_is_not_redeemed() -> None:
    with pytest.raises(errors.ApprovalConflict):
        next(flow.enter(an(replies.approval()), "me"))
    with pytest.raises(errors.ApprovalRejected):
        next(flow.enter(an(replies.decided("rejected", reason="no")), "me"))


def test_leaving_reports_the_type_of_an_error_and_never_its_text() -> None:
    held = Redeemed.model_validate(replies.redeemed())
    assert next(flow.leave(held, None)) == flow.Report(held.approval, 1, "succeeded", None)
    assert next(flow.leave(held, KeyError("secret"))) == flow.Report(held.approval, 1, "failed", "KeyError")
