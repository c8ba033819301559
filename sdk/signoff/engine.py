"""What a client keeps for one event loop: its connections, its waits and the renewing of its leases.

`AsyncSignoff` has one in each loop that it is used in; `Signoff` has one in a thread of its own, so that ten thousand
waits and renewals cost one thread.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Final, TypeVar

from signoff import calls, workflow_calls
from signoff.calls import Call
from signoff.errors import ApprovalError, ApprovalTimeout, SignoffError
from signoff.exchange import AsyncCaller
from signoff.execution_waits import ExecutionWaits, IsOver
from signoff.protocol.models import Approval, ResolvedApproval
from signoff.protocol.workflows import Execution
from signoff.retry import Deadline, Pace
from signoff.transport import TASK_CONNECTIONS, AsyncTransport
from signoff.waiting import POLLS, Mode, Waits
from signoff.wire import Wire

RENEW_EVERY: Final = 20.0
T = TypeVar("T")
_LOG: Final = logging.getLogger("signoff")


class Engine:
    """Bound to the event loop that it is first used in."""

    def __init__(self, wire: Wire, *, mode: Mode, pace: Pace) -> None:
        self._wire = wire
        self._pace = pace
        self._transport = wire.async_transport(TASK_CONNECTIONS)
        self._caller = AsyncCaller(self._transport, pace)
        self._poll_transport: AsyncTransport | None = None
        self._waits = Waits(wire.dial, self._fetch, mode=mode, pace=pace)
        self._execution_waits = ExecutionWaits(self._fetch_execution, pace=pace)

    async def call(self, call: Call[T], deadline: Deadline) -> T:
        """One call with its retries."""
        return await self._caller.call(call, deadline)

    async def wait(self, approval_id: str, deadline: Deadline) -> ResolvedApproval | None:
        """Until it is no longer pending; None when the time is over."""
        waiting = self._waits.wait(approval_id)
        if deadline.at is None:
            return await waiting
        return await within(waiting, deadline.remaining() or 0.0)

    async def decided(self, approval_id: str) -> Approval:
        """The whole approval, as soon as it is no longer pending."""
        news = await self._waits.wait(approval_id)
        if isinstance(news, Approval):
            return news
        return await self.call(calls.get(approval_id), Deadline(None, self._pace.clock))

    async def as_decided(self, ids: Iterable[str], deadline: Deadline) -> AsyncIterator[Approval]:
        """Each of them as it is decided. Raises `ApprovalTimeout` when the time is over for the rest."""
        tasks = {calls.check_id(each): None for each in ids}
        done: asyncio.Queue[asyncio.Task[Approval]] = asyncio.Queue()
        running = {asyncio.create_task(self.decided(each), name=each) for each in tasks}
        for task in running:
            task.add_done_callback(done.put_nowait)
        try:
            while running:
                task = await _next(done, deadline, running)
                running.discard(task)
                yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def renew(self, approval_id: str, fence: int, elapsed: float) -> None:
        """Renew a lease until cancelled; `elapsed` seconds of it may be gone. Ends where it is refused."""
        pause = max(0.0, RENEW_EVERY - elapsed)
        while True:
            await self._pace.asleep(pause)
            try:
                await self._caller.call(calls.renew(approval_id, fence), Deadline(None, self._pace.clock))
            except ApprovalError as error:
                _LOG.warning("signoff: the lease of %s is lost, its block runs on: %s", approval_id, error)
                return
            except SignoffError as error:
                _LOG.warning("signoff: the lease of %s was not renewed: %s", approval_id, error)
            pause = RENEW_EVERY

    async def wait_execution(self, known: Execution, is_over: IsOver, deadline: Deadline) -> Execution | None:
        """Until `is_over` of the run; None when the time is over."""
        return await self._execution_waits.wait(known, is_over, deadline.remaining())

    async def aclose(self) -> None:
        """End the waits and close the connections."""
        await self._waits.close()
        await self._execution_waits.close()
        await self._transport.aclose()
        if self._poll_transport is not None:
            await self._poll_transport.aclose()

    async def _fetch(self, approval_id: str, hold: int) -> ResolvedApproval:
        return await self._held(calls.get(approval_id, hold))

    async def _fetch_execution(self, execution_id: str, hold: int, seen: int | None) -> Execution:
        return await self._held(workflow_calls.get_execution(execution_id, hold, seen))

    async def _held(self, call: Call[T]) -> T:
        if self._poll_transport is None:
            # Apart from the other calls, so that hundreds of held requests leave them their connections.
            self._poll_transport = self._wire.async_transport(POLLS)
        caller = AsyncCaller(self._poll_transport, self._pace)
        return await caller.call(call, Deadline(None, self._pace.clock))


async def within(waiting: Awaitable[T], seconds: float) -> T | None:
    """What is awaited, or None after so many seconds; a `TimeoutError` from inside passes."""
    task = asyncio.ensure_future(waiting)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        return task.result() if done else None
    finally:
        task.cancel()


async def _next(
    done: "asyncio.Queue[asyncio.Task[Approval]]", deadline: Deadline, running: Iterable["asyncio.Task[Approval]"]
) -> "asyncio.Task[Approval]":
    if deadline.at is None:
        return await done.get()
    task = await within(done.get(), deadline.remaining() or 0.0)
    if task is None:
        raise ApprovalTimeout(approval_id=next(iter(running)).get_name())
    return task
