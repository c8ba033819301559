"""The hub: who waits for which subject. Hints only.

A waiter listens first and reads second, so that nothing can fall between. Losing every hint costs latency and never
correctness: the follower (`runner/loop.py`) reads the ledger on each second and wakes whoever a hint did not reach.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class Hub:
    """Belongs to one event loop; all of its methods are called there.

    A subject is a stream of events, or a project: whatever happens in it. `wakes` counts the wake-ups: what was read
    before the last of them may be old.
    """

    def __init__(self) -> None:
        self.stopping = False
        self.wakes = 0
        self._listeners: dict[str, set[Callable[[str], None]]] = {}

    def listen(self, subject: str, listener: Callable[[str], None]) -> None:
        """Call `listener(subject)` after each commit that touches the subject. It must be quick and must not raise."""
        self._listeners.setdefault(subject, set()).add(listener)

    def forget(self, subject: str, listener: Callable[[str], None]) -> None:
        listeners = self._listeners.get(subject)
        if listeners is not None:
            listeners.discard(listener)
            if not listeners:
                del self._listeners[subject]

    @contextmanager
    def listening(self, subjects: Iterable[str], listener: Callable[[str], None]) -> Iterator[None]:
        wanted = tuple(subjects)
        for subject in wanted:
            self.listen(subject, listener)
        try:
            yield
        finally:
            for subject in wanted:
                self.forget(subject, listener)

    def waited_for(self, subject: str) -> int:
        """How many wait for this subject, in this process: others may wait in another one."""
        return len(self._listeners.get(subject, ()))

    def wake(self, subjects: Iterable[str]) -> None:
        self.wakes += 1
        for subject in subjects:
            for listener in tuple(self._listeners.get(subject, ())):
                listener(subject)

    def stop(self) -> None:
        """Wake everybody: the server is going, and they should ask again elsewhere or later."""
        self.stopping = True
        self.wake(tuple(self._listeners))

    def __len__(self) -> int:
        """How many subjects somebody waits for."""
        return len(self._listeners)
