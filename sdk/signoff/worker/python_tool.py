"""Tools that are functions: plain ones in a thread of their own, async ones on the tools' event loop.

Neither runs on the worker's own loop, so that a tool that blocks never stops the heartbeats of its neighbours.
"""

import asyncio
import inspect
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, Generic, TypeVar

from signoff.background import Background
from signoff.worker.arguments import Arguments, Unfit
from signoff.worker.context import ToolContext
from signoff.worker.declaring import Declared
from signoff.worker.outcome import Failed, Outcome, Unknown, of_exception, of_result
from signoff.worker.threads import in_thread

T = TypeVar("T")


class NotBegun(Exception):
    """It was cancelled before its first line ran."""


class ToolLoop:
    """The event loop of the async tools; its thread begins when it is first needed."""

    def __init__(self) -> None:
        self._background: Background | None = None

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """From another loop. Cancelling it cancels the work and waits for what it says then; twice, it leaves it."""
        if self._background is None:
            self._background = Background(_nothing)
        hosted = _Hosted(work)
        waiting = asyncio.wrap_future(self._background.start(hosted.run()))
        while True:
            try:
                return await asyncio.shield(waiting)
            except asyncio.CancelledError:
                if waiting.done() or hosted.is_cancelled:
                    raise
                hosted.cancel()

    def close(self) -> None:
        if self._background is not None:
            self._background.close()


class _Hosted(Generic[T]):
    """Work on the tools' loop that another thread may cancel without losing sight of its end."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._task: asyncio.Task[Any] | None = None
        self._lock = threading.Lock()
        self.is_cancelled = False

    async def run(self) -> T:
        with self._lock:
            self._task = asyncio.current_task()
        if self.is_cancelled:
            self._work.close()
            raise NotBegun
        return await self._work

    def cancel(self) -> None:
        with self._lock:
            self.is_cancelled = True
            if self._task is not None:
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)


class PythonTool:
    """A function under its name. Raises `ConfigurationError` where its signature does not fit."""

    def __init__(self, declared: Declared, loop: ToolLoop) -> None:
        self.name = declared.name
        self.idempotent = declared.idempotent
        self.place = declared.place
        self._function = declared.function
        self._arguments = Arguments(declared.name, declared.function)
        self._loop = loop
        # A thread cannot be stopped.
        self.can_stop = inspect.iscoroutinefunction(declared.function)

    async def run(self, input: Mapping[str, Any], context: ToolContext) -> Outcome:  # noqa: A002
        """One attempt. Cancelling it cancels an async function; a plain one runs on unseen."""
        if self.can_stop:
            try:
                return await self._loop.run(self._awaited(input, context))
            except NotBegun:
                return Failed("It was cancelled before it began.", where="not run")
        return await in_thread(lambda: self._called(input, context), self.name)

    def _called(self, input: Mapping[str, Any], context: ToolContext) -> Outcome:  # noqa: A002
        try:
            bound = self._bound(input, context)
            if isinstance(bound, Failed):
                return bound
            result = self._function(*bound.args, **bound.kwargs)
        except BaseException as error:  # noqa: BLE001 - SystemExit too: whatever a tool raises is its outcome
            return of_exception(error)
        return _told(result, self.name)

    async def _awaited(self, input: Mapping[str, Any], context: ToolContext) -> Outcome:  # noqa: A002
        try:
            bound = self._bound(input, context)
            if isinstance(bound, Failed):
                return bound
            result = await self._function(*bound.args, **bound.kwargs)
        except asyncio.CancelledError:
            return Unknown("It was cancelled while it ran, and may have happened.", "CancelledError")
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it would end the loop of all the others
            return of_exception(error)
        return of_result(result)

    def _bound(self, input: Mapping[str, Any], context: ToolContext) -> inspect.BoundArguments | Failed:  # noqa: A002
        try:
            return self._arguments.bind(input, context)
        except Unfit as error:
            return Failed(str(error), retryable=False, where="input")


def _told(result: Any, name: str) -> Outcome:
    if not inspect.iscoroutine(result):
        return of_result(result)
    result.close()
    return Failed(f"Nothing ran: {name} only made a coroutine; declare it, and what wraps it, by `async def`.", False)


async def _nothing() -> None:
    """Nothing is open at the end of the tools' loop."""
