"""The watch socket: all the waits of a process on one connection.

A watched approval is listened for first and read second. What the hub says is only that an approval should be looked
at; they gather and are read a few hundred at a time, so a socket costs reads for what happens, never for what waits.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from pydantic import BaseModel, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from signoff.protocol import canonical, models
from signoff_server import limits
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.web import render
from signoff_server.web.call import is_id
from signoff_server.web.server import Server

_READ_AT_ONCE: Final = 200
_KEY_CHECK: Final = 15.0
_GOODBYE: Final = 0.5

_REVOKED: Final = 4401
_TOO_MANY: Final = 4429
_RESTARTING: Final = 1012


class _Closed(Exception):
    """Close the connection with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class WatchSocket:
    """One accepted connection."""

    def __init__(self, server: Server, caller: Caller, websocket: WebSocket) -> None:
        self._server = server
        self._caller = caller
        self._websocket = websocket
        self._watched: set[str] = set()
        # Subject -> whether the hub spoke of it, or it is only new here.
        self._look_at: dict[str, bool] = {}
        self._something = asyncio.Event()

    async def run(self) -> None:
        """Serve until the client goes, the key ends, or the server stops."""
        hub = self._server.hub
        hub.listen(self._caller.key, self._woken)
        reader = asyncio.ensure_future(self._read())
        writer = asyncio.ensure_future(self._write())
        try:
            done, _ = await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except _Closed as closed:
            await self._say_goodbye(closed)
        except Refusal as refusal:
            await self._say_goodbye(_meant(refusal))
        except WebSocketDisconnect:
            pass
        finally:
            reader.cancel()
            writer.cancel()
            hub.forget(self._caller.key, self._woken)
            self._forget(tuple(self._watched))

    async def _say_goodbye(self, closed: _Closed) -> None:
        """Tell why, to a client that still reads; one that does not, or has gone, is left without a word."""
        with suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(_GOODBYE):
                await self._websocket.close(closed.code, closed.reason)

    def _woken(self, subject: str) -> None:
        self._look_at[subject] = True
        self._something.set()

    # ------------------------------------------------------------ what the client says

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                asked = models.Watch.model_validate(canonical.loads(message.get("text") or ""))
            except (ValidationError, canonical.MalformedJSON, canonical.NotCanonical):
                await self._send(models.WatchError(id=None, code="invalid"))
                continue
            if asked.op == "watch":
                await self._watch(asked.ids)
            else:
                self._forget(asked.ids)

    async def _watch(self, ids: Iterable[str]) -> None:
        real = {each for each in ids if is_id(each)}
        new = real - self._watched
        if not self._server.waits.take(self._caller.key, len(new)):
            raise _Closed(_TOO_MANY, f"one key waits for {limits.WAITS} approvals at most")
        for approval in new:
            self._watched.add(approval)
            self._server.hub.listen(approval, self._woken)
        await self._send(models.Watching(count=len(self._watched)))
        for approval in real:
            self._look_at.setdefault(approval, False)
            self._something.set()
        for unreal in set(ids) - real:
            await self._send(models.WatchError(id=unreal, code="not_found"))

    def _forget(self, ids: Iterable[str]) -> None:
        known = self._watched.intersection(ids)
        self._watched -= known
        self._server.waits.give_back(self._caller.key, len(known))
        for approval in known:
            self._look_at.pop(approval, None)
            self._server.hub.forget(approval, self._woken)

    # ------------------------------------------------------------ what the client is told

    async def _write(self) -> None:
        while True:
            await self._something_or_key_check()
            if self._server.hub.stopping:
                raise _Closed(_RESTARTING, "the server is restarting")
            await self._check_key()
            batch = list(self._look_at)[:_READ_AT_ONCE]
            woken = {subject for subject in batch if self._look_at.pop(subject)}
            if not self._look_at:
                self._something.clear()
            await self._tell([subject for subject in batch if subject in self._watched], woken)

    async def _something_or_key_check(self) -> None:
        # That a key was revoked is told by an event; that it expired is not.
        try:
            async with asyncio.timeout(_KEY_CHECK):
                await self._something.wait()
        except TimeoutError:
            self._look_at[self._caller.key] = True

    async def _check_key(self) -> None:
        if self._caller.key not in self._look_at:
            return
        del self._look_at[self._caller.key]
        await self._server.authenticator.caller(self._websocket.headers)

    async def _tell(self, ids: list[str], woken: set[str]) -> None:
        if not ids:
            return
        news = await self._server.approvals.decided(self._caller, ids, woken=woken)
        now = self._server.world.now()
        for approval, view in news.items():
            self._forget([approval])
            if view is None:
                await self._send(models.WatchError(id=approval, code="not_found"))
            else:
                self._server.world.failpoint("watch.before_send")
                await self._send(models.Resolved(approval=render.resolved(view, self._server.url, now)))

    async def _send(self, message: BaseModel) -> None:
        try:
            async with asyncio.timeout(limits.UNREAD_SECONDS):
                await self._websocket.send_text(message.model_dump_json())
        except TimeoutError as error:
            raise _Closed(1008, "too slow to read") from error


def _meant(refusal: Refusal) -> _Closed:
    """A database that does not answer says nothing about a key, and nothing about an approval."""
    if refusal.code == "unauthenticated":
        return _Closed(_REVOKED, "the key was revoked or has expired")
    return _Closed(_RESTARTING, "the server cannot answer just now; come again")
