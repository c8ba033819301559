"""Blocking work beside an event loop, in threads that never hold up the end of the process."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], name: str) -> T:
    """Run it in a daemon thread, which never holds up the end of the process."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    run = contextvars.copy_context().run

    def carry() -> None:
        try:
            future.set_result(run(work))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            future.set_exception(error)

    threading.Thread(target=carry, name=f"signoff {name}", daemon=True).start()
    return await asyncio.wrap_future(future)
