"""All the waits of one client in one event loop: one socket where it can be had, long polling else.

Rules of the room: a waiter is entered before its id is sent, and every id is sent anew on each socket, so that no
decision falls between; the server answers at once for what is already decided. A message that is not of the agreed
form settles nothing. Whatever ends the work here ends every wait with an error: nobody waits on nothing.
"""

import asyncio
import copy
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal

from signoff.calls import read_model
from signoff.errors import APIConnectionError, AuthenticationError, ServerError, SignoffError
from signoff.problems import About, error_for_code
from signoff.protocol.models import MAX_WATCH_IDS, Resolved, ResolvedApproval, WatchError, Watching
from signoff.retry import Pace
from signoff.watch_socket import Gone, Impossible, Unreachable, WatchSocket

Mode = Literal["auto", "websocket", "poll"]
Dial = Callable[[], Awaitable[WatchSocket]]
Fetch = Callable[[str, int], Awaitable[ResolvedApproval]]

HOLD: Final = 25
POLLS: Final = 500
POLL_FOR: Final = 60.0
IDLE: Final = 30.0
_BARREN_LIMIT: Final = 3
_KEY_REVOKED: Final = 4401
_TOO_MANY: Final = 4429
_LOG: Final = logging.getLogger("signoff")
_REPLIES: Final[dict[str, type[Resolved] | type[Watching] | type[WatchError]]] = {
    "resolved": Resolved,
    "watching": Watching,
    "error": WatchError,
}


class Waits:
    """Waits by approval id. Bound to the event loop that it is first used in."""

    def __init__(self, dial: Dial, fetch: Fetch, *, mode: Mode, pace: Pace) -> None:
        self._dial = dial
        self._fetch = fetch
        self._mode = mode
        self._pace = pace
        self._futures: dict[str, set[asyncio.Future[ResolvedApproval]]] = {}
        self._unsent: dict[str, None] = {}
        self._dropped: dict[str, None] = {}
        self._watched: set[str] = set()
        self._batches: list[int] = []
        self._acknowledged = 0
        self._room: int | None = None
        self._room_until = 0.0
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._polling = asyncio.Semaphore(POLLS)
        self._poll_until = float("inf") if mode == "poll" else 0.0
        self._barren = 0
        self._stir = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def wait(self, approval_id: str) -> ResolvedApproval:
        """Return when the approval is no longer pending; by long polling it comes whole, by socket without its payload.

        Raises what ends the wait: `NotFound`, `AuthenticationError`, `PermissionDenied`, `ServerError`. Cancelling the
        wait leaves the approval as it is.
        """
        future: asyncio.Future[ResolvedApproval] = asyncio.get_running_loop().create_future()
        self._enter(approval_id, future)
        try:
            return await future
        finally:
            self._leave(approval_id, future)

    async def close(self) -> None:
        """End every wait with `APIConnectionError` and close the socket."""
        self._fail_all(APIConnectionError("The client was closed while it waited; the approval stays open."))
        tasks = [task for task in (self._worker, *self._polls.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------ who waits

    def _enter(self, approval_id: str, future: asyncio.Future[ResolvedApproval]) -> None:
        self._futures.setdefault(approval_id, set()).add(future)
        self._dropped.pop(approval_id, None)
        if approval_id not in self._watched and approval_id not in self._polls:
            self._unsent[approval_id] = None
        self._stir.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name="signoff waits")
            self._worker.add_done_callback(self._ended)

    def _leave(self, approval_id: str, future: asyncio.Future[ResolvedApproval]) -> None:
        waiting = self._futures.get(approval_id)
        if waiting is None:
            return
        waiting.discard(future)
        if not waiting:
            self._forget(approval_id)

    def _forget(self, approval_id: str) -> None:
        del self._futures[approval_id]
        self._unsent.pop(approval_id, None)
        if approval_id in self._watched:
            self._watched.discard(approval_id)
            self._dropped[approval_id] = None
        self._stop_poll(approval_id)
        self._stir.set()

    def _settle(self, news: ResolvedApproval) -> None:
        if news.status == "pending":
            raise ServerError("The server told of a decision that was not made: nothing is approved.")
        for future in self._take_out(news.id):
            future.set_result(news)

    def _fail(self, approval_id: str, error: SignoffError) -> None:
        for future in self._take_out(approval_id):
            # An instance for each waiter: a traceback belongs to one raise.
            future.set_exception(copy.copy(error))

    def _take_out(self, approval_id: str) -> list[asyncio.Future[ResolvedApproval]]:
        self._watched.discard(approval_id)
        self._unsent.pop(approval_id, None)
        self._stop_poll(approval_id)
        self._stir.set()
        return [future for future in self._futures.pop(approval_id, ()) if not future.done()]

    def _fail_all(self, error: SignoffError) -> None:
        for approval_id in list(self._futures):
            self._fail(approval_id, error)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        error = None if worker.cancelled() else worker.exception()
        if error is not None:
            _LOG.error("signoff: waiting broke down", exc_info=error)
            self._fail_all(ServerError("Waiting broke down: nothing is known to be approved."))

    # ------------------------------------------------------------ the work

    async def _work(self) -> None:
        while self._futures:
            if self._pace.clock() < self._poll_until:
                await self._poll_for_a_while()
            else:
                await self._watch_once()

    async def _watch_once(self) -> None:
        try:
            socket = await self._dial()
        except Impossible as why:
            self._give_up_socket(str(why))
        except Unreachable as why:
            await self._after_failure(str(why), alive=why.alive, retry_after=why.retry_after)
        except SignoffError as error:
            self._fail_all(error)
        else:
            self._room = self._room if self._pace.clock() < self._room_until else None
            await self._converse(socket)

    async def _converse(self, socket: WatchSocket) -> None:
        self._acknowledged = 0
        self._batches.clear()
        self._watched.clear()
        self._dropped.clear()
        self._unsent = dict.fromkeys(self._futures)
        self._stir.set()
        feeding = asyncio.create_task(self._feed(socket), name="signoff watch")
        code = 1006
        try:
            async for text in socket.messages():
                self._hear(text)
        except Gone as gone:
            code = gone.code
        except ServerError as error:
            _LOG.warning("signoff: %s", error)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            # Again, and to its end: the cancelling may have cut the closing short.
            await socket.close()
        await self._after_close(code)

    async def _feed(self, socket: WatchSocket) -> None:
        try:
            while await self._stirred():
                await self._send_gathered(socket)
        except Gone:
            pass
        finally:
            # Whatever ends this must end the listening beside it too.
            await socket.close()

    async def _stirred(self) -> bool:
        """Wait for something to send; False when nobody has waited for a while."""
        try:
            async with asyncio.timeout(None if self._futures else IDLE):
                await self._stir.wait()
        except TimeoutError:
            return bool(self._futures)
        self._stir.clear()
        return True

    async def _send_gathered(self, socket: WatchSocket) -> None:
        while self._dropped:
            await socket.send(json.dumps({"op": "unwatch", "ids": _take(self._dropped)}))
        while self._unsent:
            ids = _take(self._unsent)
            if self._room is not None:
                ids = self._poll_beyond(ids, self._room - len(self._watched))
            if ids:
                self._watched.update(ids)
                self._batches.append(len(ids))
                await socket.send(json.dumps({"op": "watch", "ids": ids}))

    def _poll_beyond(self, ids: list[str], room: int) -> list[str]:
        for approval_id in ids[max(0, room) :]:
            self._start_poll(approval_id)
        return ids[: max(0, room)]

    def _hear(self, text: str) -> None:
        message = _read(text)
        if isinstance(message, Resolved):
            self._settle(message.approval)
        elif isinstance(message, Watching):
            self._acknowledged += self._batches.pop(0) if self._batches else 0
            for approval_id in self._watched & self._polls.keys():
                self._stop_poll(approval_id)
        elif message.id is None:
            raise ServerError(f"The server did not understand a watch ({message.code}).")
        else:
            self._fail(message.id, error_for_code(message.code, About(message.id)))
        # Only a socket that said something sensible counts as one that works.
        self._barren = 0

    async def _after_close(self, code: int) -> None:
        if code == _KEY_REVOKED:
            self._fail_all(AuthenticationError(status_code=401, code="unauthenticated"))
        elif code == _TOO_MANY:
            self._make_room()
        elif self._futures:
            await self._after_failure(f"closed with {code}", alive=True, at_once=self._barren == 0)

    def _make_room(self) -> None:
        # What the server took stays on the socket; the rest is polled until the limit is tried again.
        shrunk = self._room is None or self._acknowledged < self._room
        self._room, self._room_until = self._acknowledged, self._pace.clock() + POLL_FOR
        if not self._room or not shrunk:
            self._give_up_socket("too many watches")

    async def _after_failure(
        self, why: str, *, alive: bool, retry_after: float | None = None, at_once: bool = False
    ) -> None:
        self._barren += 1
        if alive and not at_once and self._barren >= _BARREN_LIMIT and self._mode == "auto":
            self._give_up_socket(why)
        elif not at_once:
            pause = self._pace.pause(self._barren)
            await self._pace.asleep(pause if retry_after is None else retry_after + min(pause, retry_after))

    # ------------------------------------------------------------ long polling

    def _give_up_socket(self, why: str) -> None:
        self._barren = 0
        if self._mode == "websocket":
            self._fail_all(APIConnectionError(f"No websocket can be had ({why}); allow transport='auto'."))
            return
        _LOG.info("signoff: no websocket (%s), polling for a while", why)
        self._poll_until = self._pace.clock() + POLL_FOR

    async def _poll_for_a_while(self) -> None:
        while self._futures:
            left = self._poll_until - self._pace.clock()
            if left <= 0:
                return
            self._stir.clear()
            for approval_id in self._futures:
                self._start_poll(approval_id)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self._mode == "poll" else left):
                    await self._stir.wait()

    def _start_poll(self, approval_id: str) -> None:
        if approval_id not in self._polls:
            self._unsent.pop(approval_id, None)
            self._polls[approval_id] = asyncio.create_task(self._poll(approval_id), name="signoff poll")

    def _stop_poll(self, approval_id: str) -> None:
        task = self._polls.pop(approval_id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _poll(self, approval_id: str) -> None:
        hasty = 0
        try:
            while True:
                begun = self._pace.clock()
                news = await self._poll_once(approval_id)
                if news.status != "pending":
                    self._settle(news)
                    return
                hasty = hasty + 1 if self._pace.clock() - begun < 0.5 else 0
                if hasty:
                    # Something on the way drops `wait`; do not ask in a circle.
                    await self._pace.asleep(self._pace.pause(hasty + 2))
        except SignoffError as error:
            self._fail(approval_id, error)
        finally:
            if self._polls.get(approval_id) is asyncio.current_task():
                del self._polls[approval_id]

    async def _poll_once(self, approval_id: str) -> ResolvedApproval:
        async with self._polling:
            crowd = len(self._polls)
            return await self._fetch(approval_id, HOLD if crowd <= POLLS else max(1, HOLD * POLLS // crowd))


def _take(ids: dict[str, None]) -> list[str]:
    """At most one message full of ids, taken out in the order of their coming."""
    taken = list(ids)[:MAX_WATCH_IDS] if len(ids) > MAX_WATCH_IDS else list(ids)
    for approval_id in taken:
        del ids[approval_id]
    return taken


def _read(text: str) -> Resolved | Watching | WatchError:
    try:
        op = json.loads(text)["op"]
        model: type[Resolved | Watching | WatchError] = _REPLIES[op]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ServerError("The watch socket told something that is not of the agreed form.") from None
    return read_model(text, model)
