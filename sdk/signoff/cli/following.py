"""The ledger as it grows: asked each second, over outages of the server too."""

import time
from collections.abc import Iterator
from typing import Final

from signoff.cli.connection import NONE, PAGE, Params, Server
from signoff.cli.failures import Unreachable
from signoff.cli.output import note
from signoff.cli.replies import EVENT_PAGE, Record

_PAUSE: Final = 1.0


def changes(server: Server, after: int, filters: Params = NONE) -> Iterator[Record]:
    """Each event after the event number `after`, oldest first, for ever.

    A server that is away is said once and waited for; what else goes wrong raises `Failure`.
    """
    away = False
    while True:
        try:
            page = server.get("/v1/events", EVENT_PAGE, {**filters, "after": after, "limit": PAGE})
        except Unreachable as error:
            if not away:
                note(f"signoff: {error.message} Waiting for it.")
            away = True
            time.sleep(_PAUSE)
            continue
        if away:
            note("signoff: The server is back.")
            away = False
        yield from page["data"]
        after = page["next_after"]
        if len(page["data"]) < PAGE:
            time.sleep(_PAUSE)
