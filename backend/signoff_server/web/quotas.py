"""What one key may have at a time, and how fast it may ask, in this process: a few numbers in memory for each key."""

from collections import OrderedDict
from typing import Final

from signoff_server import limits
from signoff_server.core.refusals import Refusal
from signoff_server.world import World

_TOKEN: Final = 1_000


class Waits:
    """How many approvals each key waits for, over all of its sockets and held requests."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def take(self, key: str, count: int = 1) -> bool:
        """Whether there was room for `count` more; then they are held until they are given back."""
        held = self._held.get(key, 0) + count
        if held > limits.WAITS:
            return False
        if count:
            self._held[key] = held
        return True

    def give_back(self, key: str, count: int = 1) -> None:
        left = self._held.get(key, 0) - count
        if left > 0:
            self._held[key] = left
        else:
            self._held.pop(key, None)


class Pace:
    """A token bucket for each key: `rate` in a second, and as many at once; 0 is no limit.

    Only the keys used last are remembered. A key that was forgotten has a full bucket again, which it would have had
    by then anyway unless thousands of keys press at once.
    """

    def __init__(self, rate: int, world: World) -> None:
        self._rate = rate
        self._world = world
        # key -> thousandths of tokens that were left, and when, in milliseconds: one of them comes in 1/rate ms
        self._buckets: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def check(self, key: str) -> None:
        """Take one. Raises `Refusal`: 429 `rate_limited`."""
        if not self._rate:
            return
        now, full = self._world.now(), self._rate * _TOKEN
        left, then = self._buckets.pop(key, (full, now))
        left = min(full, left + max(0, now - then) * self._rate)
        enough = left >= _TOKEN
        self._buckets[key] = (left - _TOKEN if enough else left, now)
        if len(self._buckets) > limits.PACED_KEYS:
            self._buckets.popitem(last=False)
        if not enough:
            raise Refusal("rate_limited", f"This key creates more than {self._rate} in a second.", retry_after=1)
