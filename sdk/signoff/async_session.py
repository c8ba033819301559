"""What `AsyncSignoff` keeps between calls, and the entering and leaving of approvals in tasks.

Rules of the room: an engine belongs to one event loop; a second loop, also one in a forked child, gets its own. When a
loop shuts down by `asyncio.run` or `shutdown_asyncgens`, its engine is closed with it.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import TypeVar
from weakref import WeakKeyDictionary

from signoff import calls, flow
from signoff.approval import Approval, approval_of
from signoff.asking import fresh_key
from signoff.calls import Call
from signoff.config import Config
from signoff.engine import Engine
from signoff.errors import ConfigurationError, SignoffError
from signoff.execution_waits import IsOver
from signoff.protocol import models
from signoff.protocol.workflows import Execution
from signoff.retry import Deadline, Pace
from signoff.sync_session import HURRIED, report_call, tell_unreported
from signoff.waiting import Mode
from signoff.wire import Wire

T = TypeVar("T")


class AsyncSession:
    """One server, one key, for any number of tasks and event loops."""

    def __init__(self, config: Config, wire: Callable[[], Wire], *, mode: Mode, retry_for: float, pace: Pace) -> None:
        self.config = config
        self.pace = pace
        self.retry_for = retry_for
        self._wire = wire
        self._mode = mode
        self._engines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Keeper] = WeakKeyDictionary()
        self._closed = False

    async def call(self, call: Call[T], deadline: Deadline | None = None) -> T:
        return await self._engine().call(call, deadline or self.pace.deadline(self.retry_for))

    async def wait(self, approval_id: str, deadline: Deadline) -> models.ResolvedApproval | None:
        return await self._engine().wait(approval_id, deadline)

    async def wait_execution(self, known: Execution, is_over: IsOver, deadline: Deadline) -> Execution | None:
        return await self._engine().wait_execution(known, is_over, deadline)

    def as_decided(self, ids: Iterable[str], deadline: Deadline) -> AsyncIterator[models.Approval]:
        return self._engine().as_decided(ids, deadline)

    def renew(self, approval_id: str, fence: int, elapsed: float) -> "asyncio.Task[None]":
        return asyncio.create_task(self._engine().renew(approval_id, fence, elapsed), name="signoff lease")

    def approval(self, reply: models.Approval, *, reattached: bool = False, patience: float | None = -1.0) -> Approval:
        """The public form of a reply; `patience` is for its redeeming: seconds, None for ever, -1 as configured."""
        seconds = self.retry_for if patience is not None and patience < 0 else patience
        return approval_of(reply, redeemer=_AsyncRedeemer(self, seconds), reattached=reattached)

    async def aclose(self) -> None:
        self._closed = True
        keeper = self._engines.pop(asyncio.get_running_loop(), None)
        if keeper is not None:
            await keeper.aclose()

    def _engine(self) -> Engine:
        loop = asyncio.get_running_loop()
        keeper = self._engines.get(loop)
        if keeper is None or keeper.pid != os.getpid():
            if self._closed:
                raise ConfigurationError("This client was closed: make another one.")
            engine = Engine(self._wire(), mode=self._mode, pace=self.pace)
            # An engine holds on to its loop, so that weak keys alone would let go of neither.
            keeper = self._engines[loop] = _Keeper(engine, lambda: self._engines.pop(loop, None))
        return keeper.engine


class _Keeper:
    """Closes an engine with its loop: an event loop ends the async generators that were begun in it."""

    def __init__(self, engine: Engine, afterwards: Callable[[], object]) -> None:
        self.engine = engine
        self.pid = os.getpid()
        self._closer = _close_at_end(engine, afterwards)
        with suppress(StopIteration):
            # Begun by hand: its first step awaits nothing, and this place is no coroutine.
            self._closer.__anext__().send(None)

    async def aclose(self) -> None:
        await self._closer.aclose()


async def _close_at_end(engine: Engine, afterwards: Callable[[], object]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await engine.aclose()
        afterwards()


class _AsyncRedeemer:
    def __init__(self, session: AsyncSession, patience: float | None) -> None:
        self._session = session
        self._patience = patience

    async def enter_async(self, approval: Approval) -> "_AsyncEntry":
        session, begun = self._session, self._session.pace.clock()
        deadline = session.pace.deadline(self._patience)
        entering = flow.enter(approval, fresh_key())
        step = next(entering)
        redeemed = flow.finished(entering, await session.call(calls.redeem(step.approval, step.redeemer), deadline))
        return _AsyncEntry(session, redeemed, session.pace.clock() - begun)


class _AsyncEntry:
    def __init__(self, session: AsyncSession, redeemed: models.Redeemed, elapsed: float) -> None:
        self.approval = session.approval(redeemed.approval)
        self._session = session
        self._redeemed = redeemed
        self._pid = os.getpid()
        self._renewing = session.renew(redeemed.approval.id, redeemed.fence, elapsed)

    async def leave(self, error: BaseException | None) -> None:
        if self._pid != os.getpid():
            # A child that was forked inside the block is not the one that holds the lease.
            return
        self._renewing.cancel()
        reporting = asyncio.create_task(self._report(error), name="signoff report")
        # A second cancellation ends the waiting for the report; the report itself is still tried.
        await asyncio.shield(reporting)

    async def _report(self, error: BaseException | None) -> None:
        hurried = error is not None and not isinstance(error, Exception)
        deadline = self._session.pace.deadline(HURRIED if hurried else self._session.retry_for)
        for step in flow.leave(self._redeemed, error):
            try:
                await self._session.call(report_call(step), deadline)
            except SignoffError as failure:
                tell_unreported(step, failure)
