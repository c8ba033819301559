"""A wire whose replies and messages a test sets for each call: no network, so that thousands of cases take seconds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from signoff.transport import Incoming, Outgoing
from signoff.watch_socket import Gone

Answer = Callable[[Outgoing], Incoming]


class Scripted:
    """`answer` makes each reply. Each socket tells the next of `sockets` once something is watched; a number in it is
    the code that it is closed with, 1006 by default.
    """

    def __init__(self) -> None:
        self.answer: Answer = lambda request: Incoming(500, {}, b"")
        self.sockets: list[list[str | int]] = []

    def transport(self) -> "_Sync":
        return _Sync(self)

    def async_transport(self, connections: int) -> "_Async":
        return _Async(self)

    async def dial(self) -> "_Socket":
        return _Socket(self.sockets.pop(0))


class _Sync:
    def __init__(self, wire: Scripted) -> None:
        self._wire = wire

    def send(self, request: Outgoing, patience: float | None) -> Incoming:
        return self._wire.answer(request)

    def close(self) -> None:
        pass


class _Async:
    def __init__(self, wire: Scripted) -> None:
        self._wire = wire

    async def send(self, request: Outgoing, patience: float | None) -> Incoming:
        await asyncio.sleep(0)
        return self._wire.answer(request)

    async def aclose(self) -> None:
        pass


class _Socket:
    def __init__(self, messages: list[str | int]) -> None:
        self._messages = messages
        self._watched = asyncio.Event()

    async def send(self, text: str) -> None:
        self._watched.set()

    async def messages(self) -> AsyncIterator[str]:
        await self._watched.wait()
        for message in self._messages:
            if isinstance(message, int):
                raise Gone(message)
            yield message
        raise Gone(1006)

    async def close(self) -> None:
        self._watched.set()


def json_reply(body: bytes, status: int = 200) -> Incoming:
    return Incoming(status, {"content-type": "application/json"}, body)


def path_of(request: Any) -> str:
    """`create`, `get`, or the last word of the path: which reply is wanted."""
    if request.method == "GET":
        return "get"
    last: str = request.path.rpartition("/")[2]
    return "create" if last == "approvals" else last
