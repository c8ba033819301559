"""A real websocket server on loopback whose answers are a script."""

import asyncio
import json
import queue
import threading
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

Script = Callable[["Line"], Awaitable[None]]


class Line:
    """One connection, as a script sees it."""

    def __init__(self, connection: ServerConnection, number: int, server: "WatchServer") -> None:
        self.connection = connection
        self.number = number
        self._server = server

    async def hear(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(await self.connection.recv())
        self._server.heard.put((self.number, said))
        return said

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def take_watch(self) -> list[str]:
        """Hear one `watch` and acknowledge it."""
        said = await self.hear()
        assert said["op"] == "watch"
        await self.say(op="watching", count=len(said["ids"]))
        ids: list[str] = said["ids"]
        return ids

    async def resolve(self, approval: dict[str, Any]) -> None:
        await self.say(op="resolved", approval=approval)

    async def stay(self) -> None:
        """Until the client goes."""
        async for text in self.connection:
            self._server.heard.put((self.number, json.loads(text)))

    def cut(self) -> None:
        self.connection.transport.abort()


class WatchServer:
    """`scripts` play one after the other, the last for all that follow; `refusals` come before them."""

    def __init__(self, *scripts: Script, refusals: tuple[int, ...] = (), subprotocol: str = "signoff.v1") -> None:
        self.heard: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
        self.handshakes: list[Request] = []
        self.closed: queue.Queue[int | None] = queue.Queue()
        self.connections = 0
        self._scripts = scripts
        self._refusals = list(refusals)
        self._subprotocol = subprotocol
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> "WatchServer":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        options: dict[str, Any] = {"process_request": self._request, "close_timeout": 0.2}
        if self._subprotocol:
            options["subprotocols"] = [self._subprotocol]
        server: Server
        async with serve(self._play, "127.0.0.1", 0, **options) as server:
            self.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            self._ready.set()
            await self._stop.wait()

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        if not self._refusals:
            return None
        return connection.respond(HTTPStatus(self._refusals.pop(0)), "no\n")

    async def _play(self, connection: ServerConnection) -> None:
        self.connections += 1
        script = self._scripts[min(self.connections, len(self._scripts)) - 1]
        try:
            await script(Line(connection, self.connections, self))
        finally:
            await connection.wait_closed()
            self.closed.put(connection.close_code)
