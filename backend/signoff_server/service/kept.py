"""What is remembered of what was committed, to save reading it again: the last few, by a key.

Only for what never changes, or whose changes all pass whoever keeps it: then it cannot be wrong, only missing.
"""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_MOST: Final = 2_048


class Kept(Generic[K, V]):
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._of: OrderedDict[K, V] = OrderedDict()

    def put(self, key: K, value: V) -> None:
        self._of[key] = value
        if len(self._of) > _MOST:
            self._of.popitem(last=False)

    def drop(self, key: K) -> None:
        self._of.pop(key, None)

    def get(self, key: K) -> V | None:
        return self._of.get(key)
