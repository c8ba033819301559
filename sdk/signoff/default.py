"""The client that the module-level functions share: one for each configuration in a process.

Threads share its connections; a forked child and a second event loop open their own (see the sessions).
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from signoff.approval import Approval
from signoff.async_client import ApprovalRequest, AsyncOnPending, AsyncSignoff
from signoff.config import Config, load_app_config
from signoff.guards import refuse_in_loop
from signoff.sync_client import OnPending, Signoff

Clients = tuple[Signoff, AsyncSignoff]
_lock = threading.Lock()
_clients: dict[Config, Clients] = {}
_stand_in: Callable[[], Clients] | None = None


def require_approval(
    name: str,
    context: Any = None,
    *,
    arguments: Any = None,
    idempotency_key: str | None = None,
    timeout: float | None = None,
    expires_in: int | None = None,
    reviewers: Sequence[str] = (),
    summary: str | None = None,
    metadata: Mapping[str, str] | None = None,
    on_behalf_of: str | None = None,
    on_pending: OnPending | None = None,
) -> Approval:
    """Ask for an approval, wait for the decision, and return only if it was approved.

    Called plainly it answers "was this approved?" and may be asked again. In a `with` statement it also redeems, so
    that exactly one entry anywhere runs the block; it renews the lease while the block runs and reports the outcome.

    name: what is to be done, like `payments.wire_transfer`; 1–128 characters.
    context: what the reviewer sees: a mapping, dataclass or pydantic model; see `signoff.normalise` for its values.
    arguments: what will be executed, where that is more than what is shown. Both are bound to the approval.
    idempotency_key: the same key attaches to the same approval after a crash. Without one a crash asks anew.
    timeout: this caller's patience in seconds; None waits until it is decided. The approval stays open beyond it.
    expires_in: the approval's life on the server in seconds; 7 days unless given.
    reviewers: `user:NAME` of those who alone may decide.
    summary, metadata, on_behalf_of: shown to the reviewer, bound to nothing.
    on_pending: called once with the pending approval, to print its `url` or post it; not called where the approval
        was decided already when it was created or attached to.

    Raises `ApprovalNotGranted` (`ApprovalRejected`, `PolicyDenied`, `ApprovalExpired`, `ApprovalCancelled`),
    `ApprovalTimeout`, `IdempotencyConflict`, `BindingMismatch`, `InvalidRequest`, `APIError` in its kinds, and
    `ConfigurationError`, also inside a running event loop. With a `timeout`, `APIConnectionError` where not even the
    asking got through.
    """
    refuse_in_loop("require_approval", "require_approval_async")
    return default_client().require_approval(
        name,
        context,
        arguments=arguments,
        idempotency_key=idempotency_key,
        timeout=timeout,
        expires_in=expires_in,
        reviewers=reviewers,
        summary=summary,
        metadata=metadata,
        on_behalf_of=on_behalf_of,
        on_pending=on_pending,
    )


def require_approval_async(
    name: str,
    context: Any = None,
    *,
    arguments: Any = None,
    idempotency_key: str | None = None,
    timeout: float | None = None,
    expires_in: int | None = None,
    reviewers: Sequence[str] = (),
    summary: str | None = None,
    metadata: Mapping[str, str] | None = None,
    on_behalf_of: str | None = None,
    on_pending: AsyncOnPending | None = None,
) -> ApprovalRequest:
    """As `require_approval`, for an event loop: await what it returns, or enter it with `async with`.

    `on_pending` may also be a coroutine function. Cancelling the task stops the waiting and not the approval.
    """
    return default_async_client().require_approval(
        name,
        context,
        arguments=arguments,
        idempotency_key=idempotency_key,
        timeout=timeout,
        expires_in=expires_in,
        reviewers=reviewers,
        summary=summary,
        metadata=metadata,
        on_behalf_of=on_behalf_of,
        on_pending=on_pending,
    )


def default_client() -> Signoff:
    """The shared client for threads. Raises `ConfigurationError`."""
    return _shared()[0]


def default_async_client() -> AsyncSignoff:
    """The shared client for event loops. Raises `ConfigurationError`."""
    return _shared()[1]


def stand_in(clients: Callable[[], Clients] | None) -> None:
    """Let other clients take the place of the shared ones; None ends it. For `signoff.testing`."""
    global _stand_in
    _stand_in = clients


def _shared() -> Clients:
    if _stand_in is not None:
        return _stand_in()
    config = load_app_config()
    with _lock:
        if config not in _clients:
            _clients[config] = (Signoff._of(config), AsyncSignoff._of(config))
        return _clients[config]


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
