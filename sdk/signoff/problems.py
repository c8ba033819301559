"""From an error reply to the exception that it means.

Rules of the room: what is not a well-formed problem document of ours is still an error; nothing in here ever turns a
reply into a success.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from signoff import errors
from signoff.protocol import canonical
from signoff.protocol.models import Principal, Problem


class About(NamedTuple):
    """What the caller knows of the approval, or of the run, that a request is about."""

    approval_id: str | None = None
    name: str | None = None
    url: str | None = None
    execution_id: str | None = None


NOTHING_KNOWN: Final = About()

EXCEPTIONS: Final[dict[str, type[errors.SignoffError]]] = {
    "malformed_request": errors.APIError,
    "malformed_json": errors.InvalidRequest,
    "invalid_parameter": errors.InvalidRequest,
    "ambiguous_node": errors.AmbiguousNode,
    "host_not_allowed": errors.APIError,
    "unauthenticated": errors.AuthenticationError,
    "forbidden": errors.PermissionDenied,
    "self_decision": errors.PermissionDenied,
    "kind_not_allowed": errors.PermissionDenied,
    "reviewer_not_eligible": errors.PermissionDenied,
    "not_found": errors.NotFound,
    "method_not_allowed": errors.APIError,
    "request_timeout": errors.APIError,
    "already_decided": errors.AlreadyDecided,
    "expired": errors.ApprovalExpired,
    "not_pending": errors.ApprovalCancelled,
    "not_approved": errors.ApprovalConflict,
    "already_redeemed": errors.AlreadyRedeemed,
    "outcome_unknown": errors.OutcomeUnknown,
    "nothing_to_resolve": errors.ApprovalConflict,
    "stale_fence": errors.ApprovalConflict,
    "binding_mismatch": errors.BindingMismatch,
    "view_stale": errors.BindingMismatch,
    "execution_finished": errors.ExecutionFinished,
    "version_exists": errors.VersionExists,
    "name_taken": errors.APIError,
    "last_admin": errors.APIError,
    "too_large": errors.InvalidRequest,
    "media_type": errors.APIError,
    "invalid": errors.InvalidRequest,
    "workflow_invalid": errors.WorkflowInvalid,
    "idempotency_key_reuse": errors.IdempotencyConflict,
    "no_eligible_reviewer": errors.InvalidRequest,
    "rate_limited": errors.RateLimited,
    "sign_in_locked": errors.RateLimited,
    "signals_cap": errors.RateLimited,
    "pending_cap": errors.RateLimited,
    "headers_too_large": errors.APIError,
    "internal": errors.ServerError,
    "unavailable": errors.ServerError,
    "storage_full": errors.ServerError,
}
# Of a run it says that no node, or not this one, awaits a decision; nothing was cancelled by that.
_OF_EXECUTIONS: Final[dict[str, type[errors.SignoffError]]] = {"not_pending": errors.ApprovalConflict}
_BY_STATUS: Final[dict[int, type[errors.APIError]]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    429: errors.RateLimited,
}


def error_from(status: int, headers: Mapping[str, str], body: bytes, about: About) -> errors.SignoffError:
    """The exception for a reply that is not a success; `headers` have lower-case names."""
    retry_after = read_retry_after(headers.get("retry-after"))
    problem = _problem(status, headers, body)
    if problem is None:
        return _by_status(status, f"The answer is not one of a signoff server: HTTP {status}", retry_after)
    kind = _kind(problem.code, about)
    if kind is None:
        return _by_status(status, errors.printable(problem.detail), retry_after, problem)
    return _of_kind(kind, problem, retry_after, about)


def error_for_code(code: str, about: About) -> errors.SignoffError:
    """The exception for a code alone, as the watch socket tells it."""
    kind = EXCEPTIONS.get(code, errors.APIError)
    if issubclass(kind, errors.ApprovalError):
        return kind(approval_id=about.approval_id, name=about.name, url=about.url)
    if issubclass(kind, errors.APIError):
        return kind(code=code)
    return kind()


def read_retry_after(text: str | None) -> float | None:
    """Seconds of a `Retry-After` header; None for the date form and for nonsense, which the back-off then covers."""
    if text is None or not text.isascii() or not text.strip().isdigit() or len(text) > 8:
        return None
    return float(text)


def _kind(code: str, about: About) -> type[errors.SignoffError] | None:
    found = EXCEPTIONS.get(code)
    return found if about.execution_id is None else _OF_EXECUTIONS.get(code, found)


def _problem(status: int, headers: Mapping[str, str], body: bytes) -> Problem | None:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/problem+json":
        return None
    try:
        canonical.loads(body)
        problem = Problem.model_validate_json(body, strict=True)
    except (canonical.MalformedJSON, canonical.NotCanonical, ValidationError):
        return None
    return problem if problem.status == status else None


def _by_status(
    status: int, message: str, retry_after: float | None, problem: Problem | None = None
) -> errors.SignoffError:
    fallback = errors.APIError if 400 <= status < 500 else errors.ServerError
    return _BY_STATUS.get(status, fallback)(
        message,
        status_code=status,
        code=problem.code if problem else "",
        request_id=problem.request_id if problem else None,
        retry_after=retry_after,
    )


def _of_kind(
    kind: type[errors.SignoffError], problem: Problem, retry_after: float | None, about: About
) -> errors.SignoffError:
    if issubclass(kind, errors.ApprovalError):
        return _approval_error(kind, problem, about)
    if issubclass(kind, errors.ExecutionFinished):
        return kind(execution_id=about.execution_id or _text(problem.current, "id"), current=problem.current)
    detail = errors.printable(problem.detail)
    if issubclass(kind, errors.APIError):
        return kind(
            detail,
            status_code=problem.status,
            code=problem.code,
            request_id=problem.request_id,
            retry_after=retry_after,
        )
    return _invalid(kind, detail, problem)


def _invalid(kind: type[errors.SignoffError], detail: str, problem: Problem) -> errors.InvalidRequest:
    places = [(each.pointer, each.message) for each in problem.errors or ()]
    known: dict[str, Any] = {"errors": places, "code": problem.code, "request_id": problem.request_id}
    if issubclass(kind, errors.AmbiguousNode):
        return kind(detail, pending=_texts(problem.current, "pending"), **known)
    return kind(detail, **known) if issubclass(kind, errors.InvalidRequest) else errors.InvalidRequest(detail, **known)


def _approval_error(kind: type[errors.ApprovalError], problem: Problem, about: About) -> errors.ApprovalError:
    current = problem.current
    known: dict[str, Any] = {**_known(current or {}, about), "current": current}
    if kind is errors.ApprovalConflict and about.execution_id is not None:
        # Its own message tells to read an approval, and there may be none.
        known["message"] = errors.printable(problem.detail)
    elif issubclass(kind, errors.IdempotencyConflict):
        known["pointers"] = [each.pointer for each in problem.errors or ()]
    elif issubclass(kind, errors.AlreadyRedeemed):
        known["outcome"] = _outcome(current)
    elif issubclass(kind, errors.ApprovalCancelled):
        known |= {"reason": _text(current, "reason"), "cancelled_by": _principal(current)}
    return kind(**known)


def _known(current: Mapping[str, Any], about: About) -> dict[str, Any]:
    return {
        "approval_id": about.approval_id or _text(current, "id"),
        "name": about.name or _text(current, "name"),
        "url": about.url or _text(current, "url"),
    }


def _text(current: Mapping[str, Any] | None, key: str) -> str | None:
    value = (current or {}).get(key)
    return value if isinstance(value, str) else None


def _texts(current: Mapping[str, Any] | None, key: str) -> list[str]:
    value = (current or {}).get(key)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _outcome(current: Mapping[str, Any] | None) -> str | None:
    redemption = (current or {}).get("redemption")
    return _text(redemption, "outcome") if isinstance(redemption, dict) else None


def _principal(current: Mapping[str, Any] | None) -> Principal:
    try:
        return Principal.model_validate((current or {}).get("decided_by"))
    except ValidationError:
        return errors.nobody()
