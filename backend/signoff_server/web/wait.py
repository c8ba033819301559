"""Holding a request until something happens: a future in the hub, no connection, no thread."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from signoff_server import limits
from signoff_server.core.refusals import Refusal
from signoff_server.store.approvals import ApprovalView
from signoff_server.store.executions import ExecutionView
from signoff_server.web.call import Call

T = TypeVar("T")
_FULL_RETRY: Final = 5


def hold(call: Call, approval: str, seconds: int) -> Coroutine[Any, Any, ApprovalView]:
    """The approval once it is decided, or as it is when the time is over. Raises `Refusal`."""
    approvals, caller = call.server.approvals, call.caller

    async def look(woken: bool) -> tuple[ApprovalView, bool]:
        view = await approvals.just_closed(caller, approval) if woken else None
        view = view or await approvals.get(caller, approval)
        return view, view.state.status != "pending"

    # Not awaited here: each coroutine between a request and its rest costs half a KiB for as long as it is held.
    return until(call, (approval,), seconds, look)


def hold_run(call: Call, execution: str, seconds: int, seen: int) -> Coroutine[Any, Any, ExecutionView]:
    """The run once it is no longer `running`; with `seen`, once it has more events than that, or is over."""

    async def look(_woken: bool) -> tuple[ExecutionView, bool]:
        view = await call.server.executions.get(call.caller, execution)
        news = view.version > seen if seen else view.state.status != "running"
        return view, news or view.state.over

    return until(call, (execution,), seconds, look)


async def until(
    call: Call,
    subjects: Sequence[str],
    seconds: int,
    look: Callable[[bool], Awaitable[tuple[T, bool]]],
    *,
    at_most: float | None = None,
) -> T:
    """What `look` finds, once it says that this is it, or when the time is over; it is told whether it was woken.

    It listens before it looks, so that no wake-up can fall between. Without a wake-up it would still be right, only
    late: the follower wakes whoever a hint did not reach. `at_most` is for how many seconds it rests unwoken.
    """
    server, caller = call.server, call.caller
    if seconds == 0:
        return (await look(False))[0]
    if not server.waits.take(caller.key):
        told = f"One key waits for {limits.WAITS} things at most."
        raise Refusal("rate_limited", told, retry_after=_FULL_RETRY)
    held = _Held(call, seconds)
    try:
        with server.hub.listening((*subjects, caller.key), held.wake):
            while True:
                was_woken, held.woken = held.woken, False
                await server.authenticator.caller(call.request.headers)
                found, is_it = await look(was_woken)
                if is_it or held.over():
                    return found
                if server.hub.stopping:
                    raise Refusal("unavailable", "The server is restarting; ask again.", retry_after=1)
                await held.rest(at_most)
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

    async def rest(self, at_most: float | None) -> None:
        if self.woken:
            return
        end = self._deadline
        if at_most is not None:
            end = min(end, asyncio.get_running_loop().time() + at_most)
        try:
            async with asyncio.timeout_at(end) as self._resting:
                while (await self._receive())["type"] != "http.disconnect":
                    pass
                self._gone = True
        except TimeoutError:
            pass
        finally:
            self._resting = None
