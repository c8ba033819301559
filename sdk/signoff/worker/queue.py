"""The server as the loop sees it: four calls, tried again for as long as it takes.

Rules of the room: a server that is away, restarts or fails is waited for; only what no waiting cures is raised.
"""

import logging
from typing import Any, Final, Protocol, TypeVar

from signoff.calls import Call
from signoff.errors import APIError, ApprovalConflict, InvalidRequest, NotFound, ServerError, SignoffError
from signoff.exchange import AsyncCaller
from signoff.protocol.workflows import HeartbeatReply, LeaseWork
from signoff.retry import Deadline, Pace, pause_after
from signoff.transport import AsyncTransport
from signoff.worker import calls
from signoff.worker.calls import Leased
from signoff.worker.outcome import Failed, Unknown

T = TypeVar("T")
_LOG: Final = logging.getLogger("signoff")
# Before the next heartbeat is due.
_HEARTBEAT_PATIENCE: Final = 8.0
_TELL_AT: Final = 4


class NotOurs(Exception):
    """The fence is old: somebody else has the item, or it is over."""


class Refused(Exception):
    """The server does not take what was reported, however often; the message says why."""


class WorkQueue(Protocol):
    """What the loop needs. `SignoffError` is raised for what waiting does not cure, as a key that was revoked."""

    async def lease(self, ask: LeaseWork) -> Leased: ...

    async def heartbeat(self, item_id: str, fence: int) -> HeartbeatReply:
        """Raises `NotOurs`; also gives up while the server is away."""

    async def complete(self, item_id: str, fence: int, output: Any) -> str:
        """Answers what the node became. Raises `NotOurs`, `Refused`."""

    async def fail(self, item_id: str, fence: int, outcome: Failed | Unknown) -> str:
        """As `complete`."""


class HTTPWorkQueue:
    """The real one. An ask that is held has a connection of its own: it never stands in a report's way."""

    def __init__(self, asking: AsyncTransport, reporting: AsyncTransport, pace: Pace) -> None:
        self._asking = AsyncCaller(asking, pace)
        self._reporting = AsyncCaller(reporting, pace)
        self._pace = pace

    async def lease(self, ask: LeaseWork) -> Leased:
        return await self._until_answered(self._asking, calls.lease(ask), ServerError)

    async def heartbeat(self, item_id: str, fence: int) -> HeartbeatReply:
        deadline = self._pace.deadline(_HEARTBEAT_PATIENCE)
        try:
            return await self._reporting.call(calls.heartbeat(item_id, fence), deadline)
        except (ApprovalConflict, NotFound) as error:
            raise NotOurs from error

    async def complete(self, item_id: str, fence: int, output: Any) -> str:
        try:
            call = calls.complete(item_id, fence, output)
        except InvalidRequest as error:
            raise Refused(str(error)) from error
        return (await self._settled(call)).status

    async def fail(self, item_id: str, fence: int, outcome: Failed | Unknown) -> str:
        return (await self._settled(calls.fail(item_id, fence, outcome))).status

    async def _settled(self, call: Call[T]) -> T:
        try:
            # A key that was revoked ends the loop, and with it the trying.
            return await self._until_answered(self._reporting, call, APIError)
        except (ApprovalConflict, NotFound) as error:
            raise NotOurs from error
        except InvalidRequest as error:
            raise Refused(str(error)) from error

    async def _until_answered(self, caller: AsyncCaller, call: Call[T], again: type[SignoffError]) -> T:
        """Also after answers that `signoff.retry` does not try again: here nobody waits who could."""
        attempt = 0
        while True:
            try:
                return await caller.call(call, Deadline(None, self._pace.clock))
            except again as error:
                if isinstance(error, NotFound):
                    raise
                attempt += 1
                if attempt == _TELL_AT:
                    _LOG.warning("signoff: the server does not answer as it should, still trying: %s", error)
                await self._pace.asleep(pause_after(self._pace, error, attempt))
