"""The threads that read: one queue for all, and an answer that takes one wake-up of the loop that waits for it.

An executor of the standard library does this and more, with a lock, a semaphore and two futures for each call: several
times what a row by its key takes.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from signoff_server.core.refusals import Refusal


@dataclass(slots=True)
class _Asked:
    function: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class Readers:
    """As many threads as may read at once."""

    def __init__(self, count: int) -> None:
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        names = (f"signoff-read-{number}" for number in range(count))
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[[], Any]) -> "asyncio.Future[Any]":
        """What the function returns or raises, in the loop that runs. Raises `Refusal` when it is closed."""
        loop = asyncio.get_running_loop()
        asked = _Asked(function, loop, loop.create_future())
        with self._lock:
            if self._closed:
                raise Refusal("unavailable", "The server is stopping.", retry_after=1)
            self._asked.put(asked)
        return asked.future

    def close(self) -> None:
        """Answer what was asked, then stop."""
        with self._lock:
            self._closed = True
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            if not asked.future.cancelled():
                # A loop that is closed has nobody left who waits.
                with suppress(RuntimeError):
                    asked.loop.call_soon_threadsafe(_deliver, asked.future, *_outcome(asked.function))


def _outcome(function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return function(), None
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
        return None, error


def _deliver(future: "asyncio.Future[Any]", value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
