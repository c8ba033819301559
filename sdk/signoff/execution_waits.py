"""Waiting for runs, by long polling: each wait holds one request, and asks again when it was answered.

Rules of the room: a restart of the server ends no wait; closing the client ends all of them with an error. A run that
is parked is asked for by what it has not told yet, so that the answer comes when something happens to it and not
before.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from signoff.errors import APIConnectionError
from signoff.protocol.workflows import Execution
from signoff.retry import Pace
from signoff.waiting import HOLD, POLLS

IsOver = Callable[[Execution], bool]
Fetch = Callable[[str, int, int | None], Awaitable[Execution]]
_HASTY: Final = 0.5


def has_ended(execution: Execution) -> bool:
    """Whether nothing more will happen to it."""
    return execution.status in ("completed", "failed", "cancelled")


def rests(execution: Execution) -> bool:
    """Whether it is not running: it ended, or it waits for a decision, a signal, a time or a person's word."""
    return execution.status != "running"


class ExecutionWaits:
    """The waits of one client. Bound to the event loop that it is first used in."""

    def __init__(self, fetch: Fetch, *, pace: Pace) -> None:
        self._fetch = fetch
        self._pace = pace
        self._waiting: set[asyncio.Task[Execution]] = set()

    async def wait(self, known: Execution, is_over: IsOver, seconds: float | None) -> Execution | None:
        """The run as soon as `is_over` of it; None after so many seconds. Raises what ends the wait, as `NotFound`."""
        task = asyncio.create_task(self._follow(known, is_over), name="signoff run")
        self._waiting.add(task)
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
            if task.cancelled():
                raise APIConnectionError("The client was closed while it waited; the run goes on.")
            return task.result() if done else None
        finally:
            self._waiting.discard(task)
            task.cancel()

    async def close(self) -> None:
        """End every wait with `APIConnectionError`."""
        tasks = list(self._waiting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, execution: Execution, is_over: IsOver) -> Execution:
        hasty = 0
        while not is_over(execution):
            begun, known = self._pace.clock(), execution
            execution = await self._fetch(known.id, self._hold(), None if known.status == "running" else known.events)
            soon = self._pace.clock() - begun < _HASTY
            hasty = hasty + 1 if soon and _was_not_held(known, execution) else 0
            if hasty:
                # Something on the way drops `wait`; do not ask in a circle.
                await self._pace.asleep(self._pace.pause(hasty + 2))
        return execution

    def _hold(self) -> int:
        # No more than that many are held at once: where there are more, they take turns.
        crowd = len(self._waiting)
        return HOLD if crowd <= POLLS else max(1, HOLD * POLLS // crowd)


def _was_not_held(known: Execution, news: Execution) -> bool:
    """Whether nothing had come of it that would end a hold."""
    return news.status == "running" if known.status == "running" else news.events <= known.events
