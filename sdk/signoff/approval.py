"""`Approval`: what was asked and what was said, and the one door to acting on it.

An approval is data. Entering it (`with approval:` or `async with approval:`) redeems it with a redeemer made afresh, so
that of all entries anywhere exactly one runs its block; leaving reports what came of it. What an approval needs for
that is lent to it by the client that made it.
"""

import asyncio
import threading
from collections.abc import Hashable
from types import TracebackType
from typing import Any, Final, Protocol, Self, runtime_checkable

from pydantic import PrivateAttr

from signoff.errors import ConfigurationError
from signoff.flow import refusal_of
from signoff.protocol import models

_LOST: Final = "This approval came from no client that could redeem it: read it again with approvals.get()."


class Entry(Protocol):
    """One entry into a block: a redemption that this process holds."""

    approval: "Approval"

    def leave(self, error: BaseException | None) -> None: ...


class AsyncEntry(Protocol):
    approval: "Approval"

    async def leave(self, error: BaseException | None) -> None: ...


@runtime_checkable
class Redeemer(Protocol):
    """What a client lends to its approvals so that they can be entered."""

    def enter(self, approval: "Approval") -> Entry: ...


@runtime_checkable
class AsyncRedeemer(Protocol):
    async def enter_async(self, approval: "Approval") -> AsyncEntry: ...


class Approval(models.Approval):
    """One approval, frozen as it was when it was read.

    `with` redeems it: exactly one entry anywhere runs its block. Raises on entering `AlreadyRedeemed`,
    `OutcomeUnknown`, `ApprovalExpired`, `BindingMismatch` and the errors of the connection.
    """

    reattached: bool = False

    _redeemer: Redeemer | AsyncRedeemer | None = PrivateAttr(default=None)
    _entries: dict[Hashable, list[Any]] = PrivateAttr(default_factory=dict)

    def raise_unless_approved(self) -> None:
        """Return if this is approved and can still be redeemed in time; else raise what it is instead.

        Raises `ApprovalRejected` (`PolicyDenied` where a policy said it), `ApprovalExpired`, `ApprovalCancelled`, and
        `ApprovalConflict` while it is pending.
        """
        refusal = refusal_of(self)
        if refusal is not None:
            raise refusal

    def __enter__(self) -> "Approval":
        if not isinstance(self._redeemer, Redeemer):
            raise ConfigurationError(_LOST if self._redeemer is None else "This client is async: use `async with`.")
        entry = self._redeemer.enter(self)
        self._entries.setdefault(_here(), []).append(entry)
        return entry.approval

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pop().leave(error)

    async def __aenter__(self) -> "Approval":
        if not isinstance(self._redeemer, AsyncRedeemer):
            raise ConfigurationError(_LOST if self._redeemer is None else "This client is not async: use `with`.")
        entry = await self._redeemer.enter_async(self)
        self._entries.setdefault(_here(), []).append(entry)
        return entry.approval

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pop().leave(error)

    def _pop(self) -> Any:
        entries = self._entries[_here()]
        entry = entries.pop()
        if not entries:
            del self._entries[_here()]
        return entry

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if isinstance(other, Approval) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> Any:
        # The client that lent its hand has sockets and stays behind.
        return _restore, (self.model_dump(),)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self


def approval_of(
    reply: models.Approval, *, redeemer: Redeemer | AsyncRedeemer | None, reattached: bool = False
) -> Approval:
    """The public form of a reply, able to be entered by way of `redeemer`."""
    fields = {name: getattr(reply, name) for name in models.Approval.model_fields}
    approval = Approval.model_construct(**fields, reattached=reattached)
    approval._redeemer = redeemer
    return approval


def _restore(fields: dict[str, Any]) -> Approval:
    return Approval.model_validate(fields)


def _here() -> Hashable:
    """The task, or else the thread, that runs now: one approval may be tried from many at once."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident() if task is None else task
