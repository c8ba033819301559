"""Every exception: its place in the tree, its attributes, its text, and its way through pickle."""

import pickle
from typing import Any

import pytest

from signoff import errors, problems
from signoff.protocol.models import Decision, Principal
from signoff.protocol.workflows import ExecutionFailure
from signoff_server.core.refusals import CODES
from tests.sdk import replies

ADA = Principal(id="prn_1", name="ada", kind="human")
ABOUT: dict[str, Any] = {"approval_id": "apr_1", "name": "pay", "url": "http://x", "current": {"status": "rejected"}}
DECISION = Decision.model_validate(replies.decided("rejected", reason="secret 4711")["decisions"][0])
RUN: dict[str, Any] = {"execution_id": "exe_1", "url": "http://x"}
FAILURE = ExecutionFailure(
    code="approval_rejected", node_id="submit", message="secret 4711", decided_by=ADA, comment="secret 4711"
)
API: dict[str, Any] = {"status_code": 403, "code": "forbidden", "request_id": "req_1"}

MADE: list[errors.SignoffError] = [
    errors.SignoffError(),
    errors.ApprovalError(**ABOUT),
    errors.ApprovalNotGranted(**ABOUT),
    errors.ApprovalRejected(reason="secret 4711", decided_by=ADA, decisions=[DECISION], **ABOUT),
    errors.PolicyDenied(rule="r", reason="secret 4711", decided_by=ADA, decisions=[DECISION], **ABOUT),
    errors.ApprovalExpired(**ABOUT),
    errors.ApprovalCancelled(reason="secret 4711", cancelled_by=ADA, **ABOUT),
    errors.ApprovalTimeout(**ABOUT),
    errors.OutcomeUnknown(**ABOUT),
    errors.ApprovalConflict(**ABOUT),
    errors.IdempotencyConflict(pointers=["/context/a"], **ABOUT),
    errors.AlreadyDecided(**ABOUT),
    errors.AlreadyRedeemed(outcome="succeeded", **ABOUT),
    errors.BindingMismatch(**ABOUT),
    errors.ExecutionError(**RUN),
    errors.ExecutionFailed(failure=FAILURE, **RUN),
    errors.ExecutionCancelled(**RUN),
    errors.ExecutionTimeout(**RUN),
    errors.ExecutionFinished(current={"status": "failed", "comment": "secret 4711"}, **RUN),
    errors.InvalidRequest(errors=[("/context/a", "no")], code="invalid", request_id="req_1"),
    errors.AmbiguousNode(pending=["a", "b"], code="ambiguous_node", request_id="req_1"),
    errors.WorkflowInvalid(errors=[("/nodes/a", "line 3, column 5: no")], code="workflow_invalid", request_id="req_1"),
    errors.APIError(**API),
    errors.AuthenticationError(**API),
    errors.PermissionDenied(**API),
    errors.NotFound(**API),
    errors.VersionExists(**API),
    errors.RateLimited(retry_after=3.0, **API),
    errors.ServerError(retry_after=3.0, **API),
    errors.APIConnectionError(sent=False),
    errors.ConfigurationError(),
    errors.ToolFailed(retryable=False),
]


def every_class() -> set[type[errors.SignoffError]]:
    found = {errors.SignoffError}
    grown = True
    while grown:
        below = {each for cls in found for each in cls.__subclasses__()}
        grown = not below <= found
        found |= below
    return found


def test_the_table_above_has_every_class() -> None:
    assert {type(each) for each in MADE} == every_class()


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_pickling_keeps_every_attribute(error: errors.SignoffError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.__dict__ == error.__dict__
    assert str(again) == str(error)
    assert again.args == error.args


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_the_docstring_is_the_default_message_and_no_secret_is_in_it(error: errors.SignoffError) -> None:
    assert type(error).__doc__
    assert " ".join(type(error).__doc__.split()) == error.message
    assert error.message in str(error)
    assert "4711" not in str(error)
    assert "4711" not in repr(error)


def test_the_tree() -> None:
    for cls in (errors.ApprovalRejected, errors.ApprovalExpired, errors.ApprovalCancelled):
        assert issubclass(cls, errors.ApprovalNotGranted)
    for cls in (errors.ApprovalTimeout, errors.OutcomeUnknown, errors.ApprovalConflict):
        assert issubclass(cls, errors.ApprovalError)
        assert not issubclass(cls, errors.ApprovalNotGranted)
    assert issubclass(errors.PolicyDenied, errors.ApprovalRejected)
    for cls in (errors.ExecutionFailed, errors.ExecutionCancelled, errors.ExecutionTimeout, errors.ExecutionFinished):
        assert issubclass(cls, errors.ExecutionError)
        assert not issubclass(cls, errors.ApprovalError)
    assert issubclass(errors.ApprovalTimeout, TimeoutError)
    assert issubclass(errors.ExecutionTimeout, TimeoutError)
    for invalid in (errors.AmbiguousNode, errors.WorkflowInvalid):
        assert issubclass(invalid, errors.InvalidRequest)
    assert issubclass(errors.APIConnectionError, ConnectionError)


def test_every_code_of_the_server_has_its_exception() -> None:
    assert set(CODES) <= set(problems.EXCEPTIONS)


@pytest.mark.parametrize("code", sorted(problems.EXCEPTIONS))
def test_a_problem_becomes_its_exception(code: str) -> None:
    status = CODES[code].status if code in CODES else 429
    current = {**replies.reported("failed"), "id": replies.ID, "pending": ["a", "b"]}
    reply = replies.problem(status, code, current=current, errors=[{"pointer": "/context/a", "message": "m"}])
    error = problems.error_from(status, dict(reply.headers), reply.content, problems.NOTHING_KNOWN)
    assert type(error) is problems.EXCEPTIONS[code]
    if isinstance(error, errors.APIError):
        assert (error.status_code, error.code, error.request_id) == (status, code, "req_1")
    if isinstance(error, errors.ApprovalError):
        assert (error.approval_id, error.name, error.current) == (replies.ID, replies.NAME, current)
        assert "50000" not in str(error)
    if isinstance(error, errors.AlreadyRedeemed):
        assert error.outcome == "failed"
    if isinstance(error, errors.IdempotencyConflict):
        assert error.pointers == ("/context/a",)
    if isinstance(error, errors.InvalidRequest):
        assert (error.errors, error.code, error.request_id) == ((("/context/a", "m"),), code, "req_1")
    if isinstance(error, errors.AmbiguousNode):
        assert error.pending == ("a", "b")
    if isinstance(error, errors.ExecutionFinished):
        assert (error.execution_id, error.current) == (replies.ID, current)
        assert "50000" not in str(error)


@pytest.mark.parametrize("code", sorted(problems.EXCEPTIONS))
def test_a_code_alone_becomes_its_exception(code: str) -> None:
    error = problems.error_for_code(code, problems.About(replies.ID))
    assert type(error) is problems.EXCEPTIONS[code]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.APIError),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDenied),
        (404, errors.NotFound),
        (409, errors.APIError),
        (429, errors.RateLimited),
        (500, errors.ServerError),
        (503, errors.ServerError),
        (599, errors.ServerError),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"code": 1}', b"[" * 5_000])
def test_an_error_that_is_none_of_ours_is_told_by_its_status(
    status: int, error: type[errors.SignoffError], body: bytes
) -> None:
    for kind in ("text/html", "application/problem+json"):
        made = problems.error_from(status, {"content-type": kind}, body, problems.NOTHING_KNOWN)
        assert type(made) is error


def test_an_unknown_code_and_a_problem_that_contradicts_its_status() -> None:
    reply = replies.problem(409, "something_new")
    made = problems.error_from(409, dict(reply.headers), reply.content, problems.NOTHING_KNOWN)
    assert isinstance(made, errors.APIError)
    assert made.code == "something_new"
    reply = replies.problem(404, "not_found")
    assert (
        type(problems.error_from(500, dict(reply.headers), reply.content, problems.NOTHING_KNOWN)) is errors.ServerError
    )


@pytest.mark.parametrize("current", [None, {}, {"redemption": None}, {"redemption": 1}, {"redemption": {"outcome": 1}}])
def test_a_current_state_of_another_form_is_no_trap(current: Any) -> None:
    for code in ("already_redeemed", "not_pending"):
        reply = replies.problem(409, code, current=current)
        made = problems.error_from(409, dict(reply.headers), reply.content, problems.About("apr_1"))
        assert isinstance(made, errors.ApprovalError)
        assert made.approval_id == "apr_1"


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, None), ("3", 3.0), (" 3 ", 3.0), ("-1", None), ("Wed, 21 Oct", None), ("9" * 20, None)]
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert problems.read_retry_after(text) == seconds


@pytest.mark.parametrize("current", [None, {}, {"pending": None}, {"pending": "ab"}, {"pending": {"a": 1}}])
def test_pending_nodes_of_another_form_are_no_trap(current: Any) -> None:
    reply = replies.problem(400, "ambiguous_node", current=current)
    made = problems.error_from(400, dict(reply.headers), reply.content, problems.NOTHING_KNOWN)
    assert isinstance(made, errors.AmbiguousNode)
    assert made.pending == ()


def test_of_a_run_what_is_not_pending_was_not_cancelled() -> None:
    reply = replies.problem(409, "not_pending", current={"status": "running"})
    made = problems.error_from(409, dict(reply.headers), reply.content, problems.About(execution_id="exe_1"))
    assert type(made) is errors.ApprovalConflict
    assert made.message == "it is not_pending"
    assert made.current == {"status": "running"}


def test_a_failure_is_told_by_its_code_and_node() -> None:
    failed = errors.ExecutionFailed(failure=FAILURE, **RUN)
    assert str(failed).endswith("[exe_1 approval_rejected submit]")
    assert str(errors.ExecutionFailed(**RUN)).endswith("[exe_1]")
    assert str(errors.AmbiguousNode(pending=["a", "b"])).endswith("[a, b]")


def test_text_from_outside_cannot_reach_the_terminal() -> None:
    assert errors.printable("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
    assert len(errors.printable("x" * 10_000)) == 500
    assert "\n" not in str(errors.ApprovalError(approval_id="a\nb", name="\u202eevil"))
    assert "\u202e" not in str(errors.ApprovalError(name="\u202eevil"))
    evil = ExecutionFailure(code="\x1b[31m", node_id="\u202eevil", message="")
    for error in (errors.ExecutionFailed(failure=evil, execution_id="a\nb"), errors.AmbiguousNode(pending=["\x1b"])):
        assert str(error).isprintable()
