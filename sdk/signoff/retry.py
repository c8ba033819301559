"""When to try again, for how long, and how long to pause: one policy for both colours.

Tried again: connections that failed, 408, 429 and 502–504. Between attempts there is a jittered, doubling pause, from
about 50 ms to 2 s, or what `Retry-After` asks for. The clock is monotonic. See "Exponential Backoff And Jitter" (AWS
Architecture Blog, 2015) for why the pauses are spread.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from tenacity import RetryCallState

from signoff.errors import APIConnectionError, APIError, RateLimited

START: Final = 0.05
CAP: Final = 2.0
_LOG: Final = logging.getLogger("signoff")
_TELL_AT_ATTEMPT: Final = 4
_AGAIN: Final = frozenset({408, 429, 502, 503, 504})
# With these the server says that it did nothing.
_NOTHING_DONE: Final = frozenset({"request_timeout", "unavailable"})


@dataclass(frozen=True, slots=True)
class Pace:
    """Time as the SDK sees it; tests bring their own."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    asleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    spread: Callable[[float, float], float] = random.uniform

    def deadline(self, seconds: float | None) -> "Deadline":
        return Deadline(None if seconds is None else self.clock() + max(0.0, seconds), self.clock)

    def pause(self, attempt: int) -> float:
        """Seconds to pause after the attempt of that number, counted from 1."""
        longest = min(CAP, START * 2.0 ** min(attempt - 1, 16))
        return self.spread(longest / 2, longest)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of a caller's patience; `at` None is never."""

    at: float | None
    clock: Callable[[], float]

    def remaining(self) -> float | None:
        """Seconds left, at least 0; None for ever."""
        return None if self.at is None else max(0.0, self.at - self.clock())


def policy(pace: Pace, deadline: Deadline, *, repeatable: bool = True) -> dict[str, Any]:
    """Arguments for tenacity's `Retrying` and, but for `sleep`, `AsyncRetrying`.

    `repeatable` is false for a request that must not reach the server twice: it is tried again only where it surely
    did not get there.
    """

    def again(state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        return error is not None and may_retry(error, repeatable=repeatable)

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return pause_after(pace, error, state.attempt_number)

    def stop(state: RetryCallState) -> bool:
        left = deadline.remaining()
        return left is not None and state.upcoming_sleep >= left

    return {"retry": again, "wait": pause, "stop": stop, "before_sleep": _tell, "reraise": True}


def may_retry(error: BaseException, *, repeatable: bool = True) -> bool:
    """Whether the same request may be sent once more after this error."""
    if isinstance(error, APIConnectionError):
        return repeatable or not error.sent
    if isinstance(error, RateLimited):
        return True
    if isinstance(error, APIError) and error.status_code in _AGAIN:
        return repeatable or error.code in _NOTHING_DONE
    return False


def pause_after(pace: Pace, error: BaseException | None, attempt: int) -> float:
    """Seconds until the next attempt: what the server asked for, spread a little, or else the back-off."""
    asked = error.retry_after if isinstance(error, APIError) else None
    pause = pace.pause(attempt)
    return pause if asked is None else asked + min(pause, asked)


def _tell(state: RetryCallState) -> None:
    if state.attempt_number == _TELL_AT_ATTEMPT and state.outcome is not None:
        _LOG.warning("signoff: no answer from the server yet, still trying: %s", state.outcome.exception())
