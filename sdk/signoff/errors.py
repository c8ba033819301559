"""Every exception of the SDK.

    SignoffError
    ├─ ApprovalError                 .approval_id .name .url .current
    │  ├─ ApprovalNotGranted         catch this one to fail closed
    │  │  ├─ ApprovalRejected        .reason .decided_by .decisions
    │  │  │  └─ PolicyDenied         .rule
    │  │  ├─ ApprovalExpired
    │  │  └─ ApprovalCancelled       .reason .cancelled_by
    │  ├─ ApprovalTimeout            also TimeoutError; still pending, wait again
    │  ├─ OutcomeUnknown             redeemed before, and nobody knows whether it ran
    │  └─ ApprovalConflict
    │     ├─ IdempotencyConflict     .pointers
    │     ├─ AlreadyDecided          .current
    │     ├─ AlreadyRedeemed         .outcome
    │     └─ BindingMismatch
    ├─ ExecutionError                .execution_id .url
    │  ├─ ExecutionFailed            .failure: .code .node_id .message .decided_by .comment
    │  ├─ ExecutionCancelled
    │  ├─ ExecutionTimeout           also TimeoutError; the run goes on, wait again
    │  └─ ExecutionFinished          .current
    ├─ InvalidRequest                .errors
    │  ├─ AmbiguousNode              .pending
    │  └─ WorkflowInvalid            .errors, each with its line and column
    ├─ APIError                      .status_code .code .request_id
    │  ├─ AuthenticationError
    │  ├─ PermissionDenied
    │  ├─ NotFound
    │  ├─ VersionExists
    │  ├─ RateLimited                .retry_after
    │  └─ ServerError                .retry_after
    ├─ APIConnectionError            also ConnectionError
    ├─ ConfigurationError
    └─ ToolFailed                    .retryable; raised by a worker's tools

Rules of the room: each one can be pickled with all its attributes; `str()` shows neither context, arguments, inputs,
reasons, comments nor secrets; the docstring of a class is its default message and says what to do next.
"""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signoff.protocol.models import Decision, Principal
    from signoff.protocol.workflows import ExecutionFailure


class SignoffError(Exception):
    """Something went wrong in signoff; catch the classes below this one to tell what."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or _default_message(type(self))
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class ApprovalError(SignoffError):
    """The approval cannot be used; look at the approval's page for its state."""

    def __init__(
        self,
        message: str | None = None,
        *,
        approval_id: str | None = None,
        name: str | None = None,
        url: str | None = None,
        current: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.approval_id = approval_id
        self.name = name
        self.url = url
        self.current = current

    def __str__(self) -> str:
        about = " ".join(printable(part) for part in (self.name, self.approval_id) if part)
        return f"{self.message} [{about}]" if about else self.message


class ApprovalNotGranted(ApprovalError):
    """The approval was not granted: do not go on."""


class ApprovalRejected(ApprovalNotGranted):
    """The approval was rejected: do not go on; `reason` and `decided_by` say why and by whom."""

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        decided_by: "Principal | None" = None,
        decisions: "Sequence[Decision]" = (),
        **about: Any,
    ) -> None:
        super().__init__(message, **about)
        self.reason = reason
        self.decided_by = decided_by or nobody()
        self.decisions = tuple(decisions)


class PolicyDenied(ApprovalRejected):
    """A policy of the project denied it: do not go on; `rule` names the rule that spoke."""

    def __init__(self, message: str | None = None, *, rule: str | None = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.rule = rule


class ApprovalExpired(ApprovalNotGranted):
    """The approval's time is over: ask again with another idempotency key if it is still wanted."""


class ApprovalCancelled(ApprovalNotGranted):
    """The approval was cancelled: do not go on; `cancelled_by` says by whom."""

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        cancelled_by: "Principal | None" = None,
        **about: Any,
    ) -> None:
        super().__init__(message, **about)
        self.reason = reason
        self.cancelled_by = cancelled_by or nobody()


class ApprovalTimeout(ApprovalError, TimeoutError):
    """Nobody decided within `timeout`; the approval stays open: call again with the same idempotency key to wait on."""


class OutcomeUnknown(ApprovalError):
    """It was redeemed before and nobody knows whether it ran: find out, then resolve the approval's outcome by hand."""


class ApprovalConflict(ApprovalError):
    """The approval's state does not allow this: read the approval again."""


class IdempotencyConflict(ApprovalConflict):
    """The idempotency key belongs to another request: `pointers` names what differs; use a key of its own for each."""

    def __init__(self, message: str | None = None, *, pointers: Sequence[str] = (), **about: Any) -> None:
        super().__init__(message, **about)
        self.pointers = tuple(pointers)


class AlreadyDecided(ApprovalConflict):
    """It was decided before: `current` holds the decision that stands."""


class AlreadyRedeemed(ApprovalConflict):
    """Another entry holds it or has finished it: do not run it again; `outcome` is None while it runs elsewhere."""

    def __init__(self, message: str | None = None, *, outcome: str | None = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.outcome = outcome


class BindingMismatch(ApprovalConflict):
    """What was approved is not what was asked for: do not go on, and find out who changed it."""


class ExecutionError(SignoffError):
    """The run is not what is wanted; look at the run's page for its state."""

    def __init__(self, message: str | None = None, *, execution_id: str | None = None, url: str | None = None) -> None:
        super().__init__(message)
        self.execution_id = execution_id
        self.url = url

    def __str__(self) -> str:
        about = " ".join(printable(fact) for fact in self._facts() if fact)
        return f"{self.message} [{about}]" if about else self.message

    def _facts(self) -> "Sequence[str | None]":
        return (self.execution_id,)


class ExecutionFailed(ExecutionError):
    """The run failed: do not go on; `failure` says by which code, at which node, and why."""

    def __init__(self, message: str | None = None, *, failure: "ExecutionFailure | None" = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.failure = failure

    def _facts(self) -> "Sequence[str | None]":
        # Not its message: it may quote what a tool said, or a comment.
        return (self.execution_id, *(() if self.failure is None else (self.failure.code, self.failure.node_id)))


class ExecutionCancelled(ExecutionError):
    """The run was cancelled: do not go on; its events say by whom."""


class ExecutionTimeout(ExecutionError, TimeoutError):
    """The run did not end within `timeout`; it goes on by itself: wait again with its id."""


class ExecutionFinished(ExecutionError):
    """The run is over and cannot be changed: `current` says how it ended."""

    def __init__(self, message: str | None = None, *, current: dict[str, Any] | None = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.current = current


class InvalidRequest(SignoffError):
    """The request is not valid: `errors` names each place by its JSON pointer."""

    def __init__(
        self,
        message: str | None = None,
        *,
        errors: Sequence[tuple[str, str]] = (),
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.errors = tuple((pointer, text) for pointer, text in errors)
        self.code = code
        self.request_id = request_id

    def __str__(self) -> str:
        places = "; ".join(f"{printable(pointer) or '(whole)'}: {printable(text)}" for pointer, text in self.errors)
        return f"{self.message} ({places})" if places else self.message


class AmbiguousNode(InvalidRequest):
    """Several nodes await a decision: name one of `pending` as `node_id`."""

    def __init__(self, message: str | None = None, *, pending: Sequence[str] = (), **about: Any) -> None:
        super().__init__(message, **about)
        self.pending = tuple(pending)

    def __str__(self) -> str:
        nodes = ", ".join(printable(node) for node in self.pending)
        return f"{super().__str__()} [{nodes}]" if nodes else super().__str__()


class WorkflowInvalid(InvalidRequest):
    """The workflow file is not valid: `errors` names each fault by its place in the file; mend them all."""


class APIError(SignoffError):
    """The server refused: `code` says why."""

    def __init__(
        self,
        message: str | None = None,
        *,
        status_code: int = 0,
        code: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        facts = [f"HTTP {self.status_code}" if self.status_code else "", self.code, self.request_id or ""]
        about = ", ".join(printable(fact) for fact in facts if fact)
        return f"{self.message} ({about})" if about else self.message


class AuthenticationError(APIError):
    """The API key is missing, unknown, expired or revoked: set another one."""


class PermissionDenied(APIError):
    """This key may not do this: use one with the scope, or of the principal, that it takes."""


class NotFound(APIError):
    """There is no such thing in this key's project: check the id and the key."""


class VersionExists(APIError):
    """This version is registered with another content: raise it in the file, or register with on_conflict="build"."""


class RateLimited(APIError):
    """Too many requests: wait `retry_after` seconds and try again."""


class ServerError(APIError):
    """The server failed or its answer cannot be trusted: nothing is known to be approved; try again later."""


class APIConnectionError(SignoffError, ConnectionError):
    """The server cannot be reached: check the URL and that it runs; `sent`: it may have got the request."""

    def __init__(self, message: str | None = None, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class ConfigurationError(SignoffError):
    """The SDK is not configured for this: pass `url` and `api_key`, or set SIGNOFF_URL and SIGNOFF_API_KEY."""


class ToolFailed(SignoffError):
    """The tool was tried, and nothing happened; `retryable`: another attempt may do better."""

    def __init__(self, message: str | None = None, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class FloatWarning(UserWarning):
    """A float stands in what a person approves; money and other exact amounts belong in text or Decimal."""


def nobody() -> "Principal":
    """The system itself, for what no principal did."""
    # The models are most of what an import costs; the command line reads its configuration without them.
    from signoff.protocol.models import Principal

    return Principal(id=None, name=None, kind="system")


def printable(text: str) -> str:
    """`text` on one line without control or invisible characters, at most 500 characters."""
    shown = text if text.isprintable() else text.encode("unicode_escape").decode()
    return shown if len(shown) <= 500 else shown[:499] + "…"


def _default_message(cls: type) -> str:
    return " ".join(inspect.cleandoc(cls.__doc__ or cls.__name__).split())
