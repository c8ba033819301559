"""What goes on while somebody looks: asked again and again, over outages of the server too."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from signoff.cli.connection import NONE, PAGE, Params, Server
from signoff.cli.failures import Unreachable
from signoff.cli.output import note
from signoff.cli.replies import EVENT_PAGE, Record

_PAUSE: Final = 1.0


class Outages:
    """A server that is away is said once and waited for; `before` is called before anything is said."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self._before = before
        self._away = False

    def outlast(self, ask: Callable[[], Record]) -> Record:
        """What `ask` answers, sooner or later. What else goes wrong raises `Failure`."""
        while True:
            try:
                answer = ask()
            except Unreachable as error:
                if not self._away:
                    self._say(f"{error.message} Waiting for it.")
                self._away = True
                time.sleep(_PAUSE)
                continue
            if self._away:
                self._say("The server is back.")
            self._away = False
            return answer

    def _say(self, words: str) -> None:
        self._before()
        note(f"signoff: {words}")


def changes(server: Server, after: int, filters: Params = NONE) -> Iterator[Record]:
    """Each event after the event number `after`, oldest first, for ever: asked each second, over outages too."""
    outages = Outages()
    while True:
        asked = {**filters, "after": after, "limit": PAGE}
        page = outages.outlast(partial(server.get, "/v1/events", EVENT_PAGE, asked))
        yield from page["data"]
        after = page["next_after"]
        if len(page["data"]) < PAGE:
            time.sleep(_PAUSE)
