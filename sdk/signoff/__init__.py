"""Put a human decision in front of a risky action, and never lose it.

    from signoff import require_approval

    with require_approval("payments.wire_transfer", {"amount": "50000.00"}, idempotency_key="wire:17") as approval:
        bank.transfer(..., idempotency_key=approval.execution_key)

The names below are loaded when they are first used, so that `import signoff` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from signoff._version import __version__

if TYPE_CHECKING:
    from signoff.approval import Approval
    from signoff.async_client import ApprovalRequest, AsyncSignoff
    from signoff.config import Config, load_app_config, load_reviewer_config
    from signoff.default import require_approval, require_approval_async
    from signoff.errors import (
        AlreadyDecided,
        AlreadyRedeemed,
        AmbiguousNode,
        APIConnectionError,
        APIError,
        ApprovalCancelled,
        ApprovalConflict,
        ApprovalError,
        ApprovalExpired,
        ApprovalNotGranted,
        ApprovalRejected,
        ApprovalTimeout,
        AuthenticationError,
        BindingMismatch,
        ConfigurationError,
        ExecutionCancelled,
        ExecutionError,
        ExecutionFailed,
        ExecutionFinished,
        ExecutionTimeout,
        FloatWarning,
        IdempotencyConflict,
        InvalidRequest,
        NotFound,
        OutcomeUnknown,
        PermissionDenied,
        PolicyDenied,
        RateLimited,
        ServerError,
        SignoffError,
        ToolFailed,
        VersionExists,
        WorkflowInvalid,
    )
    from signoff.gate import approval_required
    from signoff.protocol.models import Decision, Event, Principal, Redeemed
    from signoff.protocol.workflows import (
        Execution,
        ExecutionApproval,
        ExecutionFailure,
        ExecutionSummary,
        Workflow,
        WorkflowSummary,
    )
    from signoff.sync_client import Signoff
    from signoff.worker.context import ToolContext
    from signoff.worker.declaring import tool

_HOMES = {
    "approval": ("Approval",),
    "async_client": ("ApprovalRequest", "AsyncSignoff"),
    "config": ("Config", "load_app_config", "load_reviewer_config"),
    "default": ("require_approval", "require_approval_async"),
    "errors": (
        "APIConnectionError",
        "APIError",
        "AlreadyDecided",
        "AlreadyRedeemed",
        "AmbiguousNode",
        "ApprovalCancelled",
        "ApprovalConflict",
        "ApprovalError",
        "ApprovalExpired",
        "ApprovalNotGranted",
        "ApprovalRejected",
        "ApprovalTimeout",
        "AuthenticationError",
        "BindingMismatch",
        "ConfigurationError",
        "ExecutionCancelled",
        "ExecutionError",
        "ExecutionFailed",
        "ExecutionFinished",
        "ExecutionTimeout",
        "FloatWarning",
        "IdempotencyConflict",
        "InvalidRequest",
        "NotFound",
        "OutcomeUnknown",
        "PermissionDenied",
        "PolicyDenied",
        "RateLimited",
        "ServerError",
        "SignoffError",
        "ToolFailed",
        "VersionExists",
        "WorkflowInvalid",
    ),
    "gate": ("approval_required",),
    "protocol.models": ("Decision", "Event", "Principal", "Redeemed"),
    "protocol.workflows": (
        "Execution",
        "ExecutionApproval",
        "ExecutionFailure",
        "ExecutionSummary",
        "Workflow",
        "WorkflowSummary",
    ),
    "sync_client": ("Signoff",),
    "worker.context": ("ToolContext",),
    "worker.declaring": ("tool",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "APIConnectionError",
    "APIError",
    "AlreadyDecided",
    "AlreadyRedeemed",
    "AmbiguousNode",
    "Approval",
    "ApprovalCancelled",
    "ApprovalConflict",
    "ApprovalError",
    "ApprovalExpired",
    "ApprovalNotGranted",
    "ApprovalRejected",
    "ApprovalRequest",
    "ApprovalTimeout",
    "AsyncSignoff",
    "AuthenticationError",
    "BindingMismatch",
    "Config",
    "ConfigurationError",
    "Decision",
    "Event",
    "Execution",
    "ExecutionApproval",
    "ExecutionCancelled",
    "ExecutionError",
    "ExecutionFailed",
    "ExecutionFailure",
    "ExecutionFinished",
    "ExecutionSummary",
    "ExecutionTimeout",
    "FloatWarning",
    "IdempotencyConflict",
    "InvalidRequest",
    "NotFound",
    "OutcomeUnknown",
    "PermissionDenied",
    "PolicyDenied",
    "Principal",
    "RateLimited",
    "Redeemed",
    "ServerError",
    "Signoff",
    "SignoffError",
    "ToolContext",
    "ToolFailed",
    "VersionExists",
    "Workflow",
    "WorkflowInvalid",
    "WorkflowSummary",
    "__version__",
    "approval_required",
    "load_app_config",
    "load_reviewer_config",
    "require_approval",
    "require_approval_async",
    "tool",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'signoff' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"signoff.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
