"""Holding a request until an approval leaves `pending`: a future in the hub, no connection, no thread."""

import asyncio
from typing import Final

from signoff_server import limits
from signoff_server.core.refusals import Refusal
from signoff_server.store.approvals import ApprovalView
from signoff_server.web.call import Call

_FULL_RETRY: Final = 5


async def hold(call: Call, approval: str, seconds: int) -> ApprovalView:
    """The approval once it is decided, or as it is when the time is over. Raises `Refusal`.

    It listens before it reads, so that no wake-up can fall between. Without a wake-up it would still be right, only
    late: the follower wakes whoever a hint did not reach.
    """
    server, caller = call.server, call.caller
    if seconds == 0:
        return await server.approvals.get(caller, approval)
    if not server.waits.take(caller.key):
        raise Refusal("rate_limited", f"One key waits for {limits.WAITS} approvals at most.", retry_after=_FULL_RETRY)
    held = _Held(call, seconds)
    try:
        with server.hub.listening((approval, caller.key), held.wake):
            while True:
                was_woken, held.woken = held.woken, False
                await server.authenticator.caller(call.request.headers)
                view = await server.approvals.just_closed(caller, approval) if was_woken else None
                view = view or await server.approvals.get(caller, approval)
                if view.state.status != "pending" or held.over():
                    return view
                if server.hub.stopping:
                    raise Refusal("unavailable", "The server is restarting; ask again.", retry_after=1)
                await held.rest()
    finally:
        server.waits.give_back(caller.key)


class _Held:
    """A request that is held: until it is woken, its time is over, or its client has hung up. Few bytes, no task."""

    __slots__ = ("_deadline", "_gone", "_receive", "_resting", "woken")

    def __init__(self, call: Call, seconds: int) -> None:
        self.woken = False
        self._receive = call.request.receive
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._gone = False
        self._resting: asyncio.Timeout | None = None

    def wake(self, _subject: str) -> None:
        self.woken = True
        if self._resting is not None and not self._resting.expired():
            self._resting.reschedule(0)

    def over(self) -> bool:
        return self._gone or asyncio.get_running_loop().time() >= self._deadline

    async def rest(self) -> None:
        if self.woken:
            return
        try:
            async with asyncio.timeout_at(self._deadline) as self._resting:
                while (await self._receive())["type"] != "http.disconnect":
                    pass
                self._gone = True
        except TimeoutError:
            pass
        finally:
            self._resting = None
