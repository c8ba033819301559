"""The worker: asks for as many items as it has free slots, runs them side by side, and ends when it is told to.

Rules of the room: nothing here knows HTTP, signals or files. A slot is free when its tool has returned. An ask that is
given up is asked for once more without waiting, since the server may have handed out items for it just then.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from signoff.engine import within
from signoff.errors import SignoffError
from signoff.protocol.workflows import MAX_LEASED, LeaseWork, WorkItem
from signoff.retry import Pace
from signoff.worker.attempt import Attempt, NotRun
from signoff.worker.calls import Leased
from signoff.worker.queue import WorkQueue
from signoff.worker.telling import tell
from signoff.worker.toolbox import Tool, Toolbox

T = TypeVar("T")
WAIT: Final = 25
# What is asked for once more at the end is answered at once, or not waited for.
_LAST_ASK: Final = 2.0
# How long the reports of what was broken off may take; an async tool gets 5 s of it to end.
_LAST_REPORTS: Final = 8.0
# An answer without items that comes sooner did not wait as it should have.
_SUDDEN: Final = 1.0
_GATHERING: Final = 0.005
_SKEW: Final = timedelta(seconds=5)


def _now() -> datetime:
    return datetime.now(UTC)


class Worker:
    """Made inside the loop that it runs in."""

    def __init__(
        self,
        toolbox: Toolbox,
        queue: WorkQueue,
        *,
        name: str | None = None,
        concurrency: int = 10,
        grace: float = 30.0,
        pace: Pace | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._toolbox = toolbox
        self._queue = queue
        self._name = name
        self._concurrency = concurrency
        self._grace = grace
        self._pace = pace or Pace()
        self._now = now
        self._attempts: dict[asyncio.Task[None], Attempt] = {}
        self._slot_free = asyncio.Event()
        self._ending = asyncio.Event()
        self._hurried = asyncio.Event()
        self._skew = timedelta()

    def drain(self) -> None:
        """Take no new work; `run` returns when what runs is reported."""
        self._ending.set()

    def stop(self) -> None:
        """As `drain`, and what still runs after the grace is broken off and reported as unknown."""
        self._ending.set()
        self._hurried.set()

    async def run(self) -> None:
        """Until it is told to end. Raises `SignoffError` for what no waiting cures, after what runs is done."""
        try:
            while not self._ending.is_set():
                if self._free > 0:
                    await self._take()
                else:
                    await self._either(self._slot_free.wait())
        except SignoffError:
            self.stop()
            raise
        finally:
            await self._finish()

    @property
    def _free(self) -> int:
        return self._concurrency - len(self._attempts)

    async def _take(self) -> None:
        if self._free < self._concurrency // 4:
            # Where most slots are taken, some will be free in a moment, and an ask costs as much as a report.
            await self._either(self._pace.asleep(_GATHERING))
        begun, asked_at = self._pace.clock(), self._now()
        leased = await self._ask(min(self._free, MAX_LEASED))
        self._heed(leased.server_time, asked_at)
        for item in leased.items:
            self._start(item)
        if not leased.items and self._pace.clock() - begun < _SUDDEN:
            await self._either(self._pace.asleep(_SUDDEN))

    async def _ask(self, most: int) -> Leased:
        ask = LeaseWork(
            request=f"ask:{secrets.token_hex(16)}",
            tools=self._toolbox.offered,
            **({} if self._name is None else {"worker": self._name}),
            max=most,
            wait=WAIT,
        )
        answer = await self._either(self._queue.lease(ask))
        if answer is not None:
            return answer
        # The same request gets the same items, which nobody else would run now.
        with suppress(SignoffError):
            answer = await within(self._queue.lease(ask.model_copy(update={"wait": 0})), _LAST_ASK)
        return answer or Leased(())

    async def _either(self, work: Awaitable[T]) -> T | None:
        """What it answers, or None when the worker is told to end first."""
        task, ending = asyncio.ensure_future(work), asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            ending.cancel()
            await asyncio.wait({task, ending})
        return None if task.cancelled() else task.result()

    def _start(self, item: WorkItem) -> None:
        if any(each.item.id == item.id and each.item.fence == item.fence for each in self._attempts.values()):
            return
        left = None if item.deadline is None else (item.deadline - self._now() - self._skew).total_seconds()
        attempt = Attempt(
            item,
            self._tool(item, left),
            self._queue,
            left=left,
            pace=self._pace,
            redactor=self._toolbox.redactor,
        )
        task = asyncio.create_task(attempt.run(), name=item.id)
        self._attempts[task] = attempt
        self._slot_free.clear()
        task.add_done_callback(self._ended)

    def _tool(self, item: WorkItem, left: float | None) -> Tool:
        if left is not None and left <= 0:
            return NotRun(item.tool, "The deadline was over before it was started.")
        return self._toolbox.get(item.tool) or NotRun(item.tool, f"This worker has no tool {item.tool}.")

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._attempts.pop(task, None)
        self._slot_free.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            tell("error", f"the worker itself failed at {task.get_name()}: {error!r}", level=logging.ERROR)

    def _heed(self, server_time: datetime | None, asked_at: datetime) -> None:
        """Deadlines are told by the server's clock, which may go otherwise than the one of this machine.

        A server dates its answer by when the question came, or by when it answers, which is later where it held it.
        """
        skew = timedelta() if server_time is None else server_time - asked_at
        held = self._now() - asked_at
        skew = timedelta() if -_SKEW <= skew <= held + _SKEW else skew
        if skew and not self._skew:
            seconds = round(skew.total_seconds())
            tell("warning", f"this machine's clock is {-seconds:+d} s off the server's", level=logging.WARNING)
        self._skew = skew

    async def _finish(self) -> None:
        if self._attempts:
            tell("ending", f"no new work is taken; {len(self._attempts)} running", running=len(self._attempts))
        grace = asyncio.create_task(self._grace_over())
        reports = [asyncio.create_task(attempt.reported.wait()) for attempt in self._attempts.values()]
        await _all_before(grace, reports)
        if self._hurried.is_set():
            # A thread that outlived its deadline may still tell what it did; a worker that begins anew leaves it.
            await _all_before(grace, self._attempts)
        grace.cancel()
        for attempt in self._attempts.values():
            attempt.stop("The worker was stopped while it ran; it may have happened.")
        missing = (await asyncio.wait(reports, timeout=_LAST_REPORTS))[1] if reports else ()
        if missing:
            tell("warning", f"{len(missing)} outcomes could not be reported", level=logging.ERROR)
        for task in [*reports, *self._attempts]:
            task.cancel()

    async def _grace_over(self) -> None:
        await self._hurried.wait()
        await self._pace.asleep(self._grace)


async def _all_before(end: "asyncio.Task[None]", tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Until all are done, or the end."""
    pending: set[asyncio.Task[Any]] = set(tasks)
    while pending and not end.done():
        _, rest = await asyncio.wait({*pending, end}, return_when=asyncio.FIRST_COMPLETED)
        pending &= rest
