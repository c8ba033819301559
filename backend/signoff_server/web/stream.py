"""The live feed: a project's ledger as Server-Sent Events (HTML Living Standard, 9.2).

A stream listens first and reads the ledger on second, from its own place, so that nothing can fall between; what the
hub says is only that there may be more. While nothing happens it asks the database nothing.

A block of an `id` without data fires no event in a client, and it is what the client names in `Last-Event-ID` when it
comes again (9.2.6, dispatching the event, steps 1 and 2). The first block is such a one: whoever is cut off before the
first event misses none. With a filter such blocks follow the ledger over what does not fit: with each heartbeat, and at
least each thousand events.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from signoff.protocol import models
from signoff_server import limits
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.web.call import Call
from signoff_server.web.feed import Sort
from signoff_server.web.server import Server

MEDIA_TYPE: Final = "text/event-stream"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RETRY_MS: Final = 1_000
_HEARTBEAT: Final = 15.0
_GOODBYE: Final = 0.1
_CUT_WITHIN: Final = 1.0
_LEAP: Final = 1_000
_PIECE: Final = 64 * 1024


async def stream_events(call: Call) -> Response:
    """The answer to `GET /v1/events/stream`; to HEAD only what it would begin with."""
    query: models.FollowEvents = call.query
    project, named = call.caller.project, last_event_id(call.request)
    after = query.after if named is None else named
    if call.request.method == "HEAD":
        return Beginning()
    if call.server.hub.stopping:
        raise Refusal("unavailable", "The server is restarting; ask again.", retry_after=1)
    if after is None:
        after = await call.server.feed.end(project)
    call.server.feed.enter(call.caller.key)
    server, headers = call.server, call.request.headers

    async def stands() -> object:
        return await server.authenticator.caller(headers)

    return EventStream(server, call.caller, Sort(project, query.type, query.subject), after, stands)


def last_event_id(request: Request) -> int | None:
    """The `seq` in the header `Last-Event-ID`, None without it. Raises `Refusal`."""
    given = request.headers.getlist("last-event-id")
    if not given:
        return None
    text = given[0]
    if len(given) > 1 or not (text.isascii() and text.isdigit() and len(text) <= 16) or int(text) > models.MAX_SEQ:
        raise Refusal("invalid_parameter", "Last-Event-ID is the id of an event of this stream: its seq.")
    return int(text)


class Beginning(Response):
    """Status and headers, and nothing said yet."""

    def __init__(self) -> None:
        super().__init__(headers=_HEADERS, media_type=MEDIA_TYPE)
        del self.headers["content-length"]


class EventStream(Beginning):
    """One open stream. It holds a place of its key until it ends.

    `stands` raises `Refusal` once whoever opened it may no longer read. It is asked when something was recorded of the
    key, or, where that would not be heard of (`unheard`), before anything is sent.
    """

    def __init__(
        self,
        server: Server,
        caller: Caller,
        sort: Sort,
        after: int,
        stands: Callable[[], Awaitable[object]],
        *,
        unheard: bool = False,
    ) -> None:
        super().__init__()
        self._server = server
        self._caller = caller
        self._sort = sort
        self._stands = stands
        self._unheard = unheard
        # How far it has read, and how far the client knows that it has.
        self._at = self._told = after
        self._woken = asyncio.Event()
        self._key_changed = False
        self._gone = False
        self._beat_at = 0.0
        self._writing: asyncio.Timeout | None = None
        self._send: Send

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hub, feed, key = self._server.hub, self._server.feed, self._caller.key
        self._send = send
        gone = asyncio.ensure_future(self._until_gone(receive))
        try:
            with hub.listening((self._sort.project, key), self._hear), self._server.metrics.streams.track_inprogress():
                await self._serve()
        except TimeoutError:
            # Too slow to read: it is left without a word, since it would not hear one. Its connection is cut off for
            # the same reason, and a stream that ends before that would pass for a mistake of ours.
            if not hub.stopping:
                await asyncio.wait((gone,), timeout=_CUT_WITHIN)
        finally:
            gone.cancel()
            feed.leave(key)

    def _hear(self, subject: str) -> None:
        self._key_changed = self._key_changed or subject == self._caller.key
        self._woken.set()
        if self._server.hub.stopping and self._writing is not None:
            self._writing.reschedule(asyncio.get_running_loop().time() + _GOODBYE)

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._woken.set()

    # ------------------------------------------------------------ from the first byte to the last

    async def _serve(self) -> None:
        await self._say({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._write(f"retry: {_RETRY_MS}\nid: {self._at}\n\n".encode())
        # The key has ended, or the database is away: the client is told when it comes again.
        with suppress(Refusal):
            await self._follow()
        await self._say({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(self) -> None:
        more = True
        while self._may_go_on():
            if time.monotonic() >= self._beat_at:
                await self._check_key()
                await self._tell_place(b":\n")
            if more or self._woken.is_set():
                self._woken.clear()
                await self._check_key()
                more = await self._read_on()
            else:
                await self._rest()

    def _may_go_on(self) -> bool:
        ends = self._caller.expires_at
        expired = ends is not None and self._server.world.now() >= ends
        return not (self._gone or expired or self._server.hub.stopping)

    async def _check_key(self) -> None:
        if self._key_changed or self._unheard:
            self._key_changed = False
            await self._stands()

    async def _read_on(self) -> bool:
        """Send the next page; answers whether there is another."""
        page = await self._server.feed.page(self._sort, self._at)
        self._at = page.end
        if page.told is not None:
            self._told = page.told
            await self._write(page.blocks)
        if self._at - self._told >= _LEAP:
            await self._tell_place()
        return not page.last

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._beat_at - time.monotonic()):
                await self._woken.wait()
        except TimeoutError:
            pass

    # ------------------------------------------------------------ writing

    async def _tell_place(self, before: bytes = b"") -> None:
        place = b"" if self._at == self._told else b"id: %d\n" % self._at
        self._told = self._at
        await self._write(before + place + b"\n")

    async def _write(self, data: bytes) -> None:
        # In pieces, so that a slow line has its time for each of them.
        for start in range(0, len(data), _PIECE):
            await self._say({"type": "http.response.body", "body": data[start : start + _PIECE], "more_body": True})
        self._beat_at = time.monotonic() + _HEARTBEAT

    async def _say(self, message: Message) -> None:
        """Raises `TimeoutError` where the client does not read."""
        async with asyncio.timeout(_GOODBYE if self._server.hub.stopping else limits.UNREAD_SECONDS) as self._writing:
            await self._send(message)
        self._writing = None
