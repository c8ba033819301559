"""What the open streams of this server share: the places that a key has, and the readings of the ledger.

Streams that stand at the same place and ask for the same share one reading, so that a commit costs a query for each
sort of stream and not for each stream.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from signoff_server import limits
from signoff_server.core.events import Recorded
from signoff_server.core.refusals import Refusal
from signoff_server.store import ledger
from signoff_server.store.database import Database
from signoff_server.wakeups import Hub
from signoff_server.web import render

_RETRY_AFTER: Final = 15
_EVENTS: Final = 100
_BYTES: Final = 256 * 1024
_SPAN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Sort:
    """What a stream is about: a project's events, or those of them that fit. A thin one tells only that there are some:
    their types and subjects.
    """

    project: str
    glob: str | None = None
    subject: str | None = None
    thin: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some events as they are sent; `told` is the `seq` of the last one, None without any.

    `end` is how far the ledger was looked at, and `last` whether it ends there.
    """

    blocks: bytes
    told: int | None
    end: int
    last: bool


class Feed:
    """Belongs to one event loop."""

    def __init__(self, database: Database, hub: Hub) -> None:
        self._database = database
        self._hub = hub
        self._open: Counter[str] = Counter()
        self._readings: dict[tuple[Sort, int], tuple[int, asyncio.Future[Page]]] = {}

    def enter(self, key: str) -> None:
        """Take one of the places that a key has. Raises `Refusal`."""
        if self._open[key] >= limits.STREAMS:
            detail = f"A key has at most {limits.STREAMS} streams open at once; close one, or read GET /v1/events."
            raise Refusal("rate_limited", detail, retry_after=_RETRY_AFTER)
        self._open[key] += 1

    def leave(self, key: str) -> None:
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]

    async def end(self, project: str) -> int:
        """The `seq` at which the ledger ends now."""
        return await self._database.read(ledger.end, project)

    async def page(self, sort: Sort, after: int) -> Page:
        """What comes after `after`, as the ledger was after the last wake-up or later. Raises `Refusal`."""
        place = (sort, after)
        wakes, reading = self._readings.get(place, (None, None))
        # A reading that began before the last wake-up may miss what that was about.
        if reading is None or wakes != self._hub.wakes:
            reading = asyncio.ensure_future(self._database.read(_page, sort, after))
            self._readings[place] = (self._hub.wakes, reading)
            reading.add_done_callback(lambda done: self._read(place, done))
        # Whoever leaves must not take the reading from the others.
        return await asyncio.shield(reading)

    def _read(self, place: tuple[Sort, int], done: "asyncio.Future[Page]") -> None:
        if self._readings.get(place, (None, None))[1] is done:
            del self._readings[place]


def _page(connection: Connection, sort: Sort, after: int) -> Page:
    found = ledger.stretch(
        connection,
        sort.project,
        after=after,
        glob=sort.glob,
        subject=sort.subject,
        limit=_EVENTS,
        span=_SPAN,
        room=_BYTES,
    )
    block = _thin if sort.thin else _whole
    blocks = "".join(block(recorded, data) for recorded, data in found.events)
    return Page(blocks.encode(), found.events[-1][0].seq if found.events else None, found.end, found.last)


def _whole(recorded: Recorded, data: dict[str, Any] | None) -> str:
    # JSON on one line: what would break a line is escaped in it.
    shown = render.event(recorded, data)
    return f"id: {shown.seq}\nevent: {shown.type}\ndata: {shown.model_dump_json()}\n\n"


def _thin(recorded: Recorded, _data: dict[str, Any] | None) -> str:
    return f"id: {recorded.seq}\nevent: changed\ndata: {recorded.type} {recorded.subject}\n\n"
