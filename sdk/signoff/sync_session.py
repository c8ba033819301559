"""What `Signoff` keeps between calls, and the entering and leaving of approvals in threads.

Rules of the room: nothing is opened before it is needed; a process that was forked off opens everything anew and leaves
its parent's connections alone; two entries are two redeemers.
"""

import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from signoff import calls, flow
from signoff.approval import Approval, approval_of
from signoff.asking import fresh_key
from signoff.background import Background
from signoff.calls import Call
from signoff.config import Config
from signoff.engine import Engine
from signoff.errors import ConfigurationError, SignoffError
from signoff.exchange import Caller
from signoff.execution_waits import IsOver
from signoff.protocol import models
from signoff.protocol.workflows import Execution
from signoff.retry import Deadline, Pace
from signoff.transport import Transport
from signoff.waiting import Mode
from signoff.wire import Wire

T = TypeVar("T")
HURRIED: Final = 5.0
_LOG: Final = logging.getLogger("signoff")
_lock = threading.Lock()
_inherited: list[object] = []


class _Open:
    """What is open in one process."""

    def __init__(self, wire: Wire, mode: Mode, pace: Pace) -> None:
        self.pid = os.getpid()
        self.transport: Transport = wire.transport()
        self.caller = Caller(self.transport, pace)
        self.engine = Engine(wire, mode=mode, pace=pace)
        self._background: Background | None = None

    def background(self) -> Background:
        with _lock:
            if self._background is None:
                self._background = Background(self.engine.aclose)
            return self._background

    def close(self) -> None:
        if self.pid != os.getpid():
            return
        if self._background is not None:
            self._background.close()
        self.transport.close()


class SyncSession:
    """One server, one key, for any number of threads."""

    def __init__(self, config: Config, wire: Callable[[], Wire], *, mode: Mode, retry_for: float, pace: Pace) -> None:
        self.config = config
        self.pace = pace
        self.retry_for = retry_for
        self._wire = wire
        self._mode = mode
        self._held: _Open | None = None
        self._closed = False

    def call(self, call: Call[T], deadline: Deadline | None = None) -> T:
        return self._open().caller.call(call, deadline or self.pace.deadline(self.retry_for))

    def wait(self, approval_id: str, deadline: Deadline) -> models.ResolvedApproval | None:
        held = self._open()
        return held.background().finish(held.engine.wait(approval_id, deadline))

    def wait_execution(self, known: Execution, is_over: IsOver, deadline: Deadline) -> Execution | None:
        held = self._open()
        return held.background().finish(held.engine.wait_execution(known, is_over, deadline))

    def as_decided(self, ids: Iterable[str], deadline: Deadline) -> Iterator[models.Approval]:
        held = self._open()
        found: queue.SimpleQueue[models.Approval | None] = queue.SimpleQueue()

        async def gather() -> None:
            try:
                async for approval in held.engine.as_decided(ids, deadline):
                    found.put(approval)
            finally:
                found.put(None)

        gathering = held.background().start(gather())
        try:
            while (approval := found.get()) is not None:
                yield approval
            gathering.result()
        finally:
            gathering.cancel()

    def renew(self, approval_id: str, fence: int, elapsed: float) -> "Future[None]":
        held = self._open()
        return held.background().start(held.engine.renew(approval_id, fence, elapsed))

    def approval(self, reply: models.Approval, *, reattached: bool = False, patience: float | None = -1.0) -> Approval:
        """The public form of a reply; `patience` is for its redeeming: seconds, None for ever, -1 as configured."""
        seconds = self.retry_for if patience is not None and patience < 0 else patience
        return approval_of(reply, redeemer=_SyncRedeemer(self, seconds), reattached=reattached)

    def close(self) -> None:
        self._closed = True
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def _open(self) -> _Open:
        held = self._held
        return held if held is not None and held.pid == os.getpid() else self._reopen()

    def _reopen(self) -> _Open:
        with _lock:
            held = self._held
            if held is not None and held.pid == os.getpid():
                return held
            if self._closed:
                raise ConfigurationError("This client was closed: make another one.")
            if held is not None:
                # Not even dropped: letting go of it would close what the parent still uses.
                _inherited.append(held)
            self._held = held = _Open(self._wire(), self._mode, self.pace)
            weakref.finalize(self, held.close)
            return held


class _SyncRedeemer:
    def __init__(self, session: SyncSession, patience: float | None) -> None:
        self._session = session
        self._patience = patience

    def enter(self, approval: Approval) -> "_SyncEntry":
        session, begun = self._session, self._session.pace.clock()
        deadline = session.pace.deadline(self._patience)
        entering = flow.enter(approval, fresh_key())
        step = next(entering)
        redeemed = flow.finished(entering, session.call(calls.redeem(step.approval, step.redeemer), deadline))
        return _SyncEntry(session, redeemed, session.pace.clock() - begun)


class _SyncEntry:
    def __init__(self, session: SyncSession, redeemed: models.Redeemed, elapsed: float) -> None:
        self.approval = session.approval(redeemed.approval)
        self._session = session
        self._redeemed = redeemed
        self._pid = os.getpid()
        self._renewing = session.renew(redeemed.approval.id, redeemed.fence, elapsed)

    def leave(self, error: BaseException | None) -> None:
        if self._pid != os.getpid():
            # A child that was forked inside the block is not the one that holds the lease.
            return
        self._renewing.cancel()
        hurried = error is not None and not isinstance(error, Exception)
        deadline = self._session.pace.deadline(HURRIED if hurried else self._session.retry_for)
        for step in flow.leave(self._redeemed, error):
            try:
                self._session.call(report_call(step), deadline)
            except SignoffError as failure:
                tell_unreported(step, failure)


def report_call(step: flow.Report) -> Call[Any]:
    """The call that reports what came of a block."""
    return calls.report(step.approval.id, step.fence, step.outcome, step.detail)


def tell_unreported(step: flow.Report, failure: SignoffError) -> None:
    """Log it and no more: the block has run, and an exception now would say that it had not."""
    _LOG.error(
        "signoff: %s ran and %s, which could not be reported; its outcome becomes unknown: %s",
        step.approval.id,
        step.outcome,
        failure,
    )


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
