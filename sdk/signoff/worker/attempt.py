"""One item from its lease to its report: the tool runs, the lease is renewed, the deadline is kept.

Rules of the room: exactly one report is made for each item, but that a thread which outlived its deadline reports once
more, when what really happened is known. A lease that was lost stops nothing: the report is made all the same, and the
server says whether it still counts.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final

from signoff.errors import SignoffError, printable
from signoff.protocol.workflows import WorkItem
from signoff.retry import Pace
from signoff.worker.context import ToolContext, set_cancelled
from signoff.worker.outcome import Completed, Failed, Outcome, Unknown, cut
from signoff.worker.queue import NotOurs, Refused, WorkQueue
from signoff.worker.redaction import Redactor
from signoff.worker.telling import tell, tell_settled
from signoff.worker.toolbox import Tool

HEARTBEAT_EVERY: Final = 10.0
# How long an async tool may take to end once it is cancelled.
_ENDING: Final = 5.0


class Attempt:
    """Made inside the loop that it runs in. `left` is for how many seconds the tool may run; None: no end."""

    def __init__(
        self, item: WorkItem, tool: Tool, queue: WorkQueue, *, left: float | None, pace: Pace, redactor: Redactor
    ) -> None:
        self.item = item
        self.reported = asyncio.Event()
        self._tool = tool
        self._queue = queue
        self._left = left
        self._pace = pace
        self._redactor = redactor
        self._context = _context(item)
        self._given_up: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._work = asyncio.create_task(tool.run(item.input, self._context), name=tool.name)
        self._helpers: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """To the report, and to the end of the tool where that comes later."""
        begun = self._pace.clock()
        self._help(self._renew())
        self._help(self._keep_deadline())
        try:
            await asyncio.wait({self._work, self._given_up}, return_when=asyncio.FIRST_COMPLETED)
            outcome = _result(self._work) if self._work.done() else self._given_up.result()
            await self._report(outcome, begun)
        finally:
            for helper in self._helpers:
                helper.cancel()
            self.reported.set()
        if not self._work.done():
            await self._report_late(self._work, begun)

    def stop(self, why: str) -> None:
        """End it: an async tool is cancelled, a thread is left alone; what neither tells is unknown."""
        set_cancelled(self._context)
        if self._work.done() or self.reported.is_set():
            return
        if self._tool.can_stop:
            self._work.cancel()
            self._help(self._give_up_after(_ENDING, why))
        else:
            self._give_up(why)

    def _help(self, work: Coroutine[Any, Any, None]) -> None:
        self._helpers.add(asyncio.create_task(work))

    def _give_up(self, why: str) -> None:
        if not self._given_up.done():
            self._given_up.set_result(Unknown(why, "given up"))

    async def _give_up_after(self, seconds: float, why: str) -> None:
        await self._pace.asleep(seconds)
        self._give_up(why)

    async def _keep_deadline(self) -> None:
        if self._left is not None:
            await self._pace.asleep(self._left)
            self.stop("It ran beyond its deadline, and may have happened.")

    async def _renew(self) -> None:
        while True:
            await self._pace.asleep(HEARTBEAT_EVERY)
            try:
                reply = await self._queue.heartbeat(self.item.id, self.item.fence)
            except NotOurs:
                self._warn("its lease was lost: it is not renewed any more, and what comes of it may be refused")
                return
            except SignoffError as error:
                self._warn(f"its lease was not renewed: {error}")
                continue
            if reply.cancelled and not self._context.cancelled:
                self._cancel()

    def _cancel(self) -> None:
        self._warn("its run is over: it is told to stop")
        set_cancelled(self._context)
        if self._tool.can_stop:
            self.stop("Its run was cancelled while it ran; it may have happened.")

    async def _report(self, outcome: Outcome, begun: float) -> None:
        milliseconds = round((self._pace.clock() - begun) * 1_000)
        try:
            outcome = await self._send(outcome)
        except NotOurs:
            self._warn("what came of it was refused: its lease was lost, and somebody else has it (stale_fence)")
        except (Refused, SignoffError) as error:
            self._warn(f"what came of it could not be reported: {error}", logging.ERROR)
        else:
            tell_settled(self.item, outcome, milliseconds)

    async def _send(self, outcome: Outcome) -> Outcome:
        item = self.item
        if isinstance(outcome, Completed):
            try:
                await self._queue.complete(item.id, item.fence, self._redactor.data(outcome.output))
            except Refused as error:
                outcome = Unknown(f"It ran, and the server does not take what it returned: {error}", "result refused")
            else:
                return outcome
        await self._queue.fail(item.id, item.fence, self._shown(outcome))
        return outcome

    def _shown(self, outcome: Failed | Unknown) -> Failed | Unknown:
        message = cut(self._redactor.text(outcome.message)) or "It failed, and said nothing."
        if isinstance(outcome, Failed):
            return Failed(message, outcome.retryable, outcome.where)
        return Unknown(message, outcome.where)

    async def _report_late(self, work: "asyncio.Task[Outcome]", begun: float) -> None:
        """A report is taken until the item is leased again or a person has spoken, also after `unknown`."""
        await asyncio.wait({work})
        outcome = _result(work)
        if not isinstance(outcome, Unknown):
            await self._report(outcome, begun)

    def _warn(self, what: str, level: int = logging.WARNING) -> None:
        item = self.item
        line = f"{printable(item.tool)} {printable(item.execution_id)} attempt {item.attempt}: {what}"
        tell(
            "warning",
            line,
            level=level,
            tool=item.tool,
            execution=item.execution_id,
            attempt=item.attempt,
            message=what,
        )


class NotRun:
    """Stands for a tool that cannot be run, and says why."""

    idempotent = False
    place = ""
    can_stop = True

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    async def run(self, input: Mapping[str, Any], context: ToolContext) -> Outcome:  # noqa: A002
        return Failed(self._why, where="not run")


def _context(item: WorkItem) -> ToolContext:
    return ToolContext(
        execution_id=item.execution_id,
        workflow_id=item.workflow_id,
        node_id=item.node_id,
        tool=item.tool,
        execution_key=item.execution_key,
        attempt=item.attempt,
        visit=item.visit,
        max_attempts=item.max_attempts,
        deadline=item.deadline,
        approval_id=item.approval_id,
    )


def _result(work: "asyncio.Task[Outcome]") -> Outcome:
    with suppress(asyncio.CancelledError):
        error = work.exception()
        if error is None:
            return work.result()
        tell("error", f"the worker itself failed at {work.get_name()}: {error!r}", level=logging.ERROR)
    return Unknown("The worker broke off while it ran; it may have happened.", "worker")
