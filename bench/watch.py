"""The watch socket as bytes, for the load generator: what is needed of RFC 6455 and no more."""

import asyncio
import json
import struct
from collections import deque
from typing import Any, Final, cast

from bench.generator import END_OF_HEAD, Failed, Requests, Signal, address

_TEXT: Final = 0x81
_PING, _PONG = 0x9, 0x8A


class Watch(asyncio.Protocol):
    """The watch socket: what gathers in one turn of the loop goes out as one message, as the SDK does it."""

    def __init__(self, opening: bytes) -> None:
        self._opening = opening
        self._received = b""
        self._open = asyncio.get_running_loop().create_future()
        self._unsent: list[tuple[str, Signal]] = []
        self._unanswered: deque[list[Signal]] = deque()
        self._resolved: dict[str, Signal] = {}

    @classmethod
    async def dial(cls, requests: Requests, url: str) -> "Watch":
        opening, (host, port) = requests.upgrade("/v1/approvals/watch", "signoff.v1"), address(url)
        _, watch = await asyncio.get_running_loop().create_connection(lambda: cls(opening), host, port)
        await watch._open
        return watch

    def watch(self, approval: str) -> tuple[Signal, Signal]:
        """Two signals: the server knows of it, and it is decided (given with the message)."""
        watching, resolved = Signal(), Signal()
        self._resolved[approval] = resolved
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent.append((approval, watching))
        return watching, resolved

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._opening)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._open.done():
            head, end, self._received = self._received.partition(END_OF_HEAD)
            if not end:
                self._received = head
            elif head.startswith(b"HTTP/1.1 101"):
                self._open.set_result(None)
            else:
                self._open.set_exception(Failed(f"no watch socket: {head!r}"))
        while self._open.done() and (message := self._message()) is not None:
            self._hear(json.loads(message))

    def _send(self) -> None:
        gathered, self._unsent = self._unsent, []
        self._unanswered.append([watching for _, watching in gathered])
        text = json.dumps({"op": "watch", "ids": [approval for approval, _ in gathered]})
        self._transport.write(frame(text.encode()))

    def _hear(self, message: dict[str, Any]) -> None:
        if message["op"] == "watching":
            for watching in self._unanswered.popleft():
                watching.give()
        elif message["op"] == "resolved":
            self._resolved.pop(message["approval"]["id"]).give(message["approval"])
        else:
            raise Failed(f"the watch socket said {message}")

    def _message(self) -> bytes | None:
        """The next whole text message; pings are answered on the way."""
        while (found := unframed(self._received)) is not None:
            opcode, payload, size = found
            self._received = self._received[size:]
            if opcode == _PING:
                self._transport.write(frame(payload, _PONG))
            else:
                return payload
        return None


def frame(payload: bytes, opcode: int = _TEXT) -> bytes:
    """A client's frame. It has to be masked; a mask of zeros is one, and leaves the bytes as they are."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", opcode, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", opcode, 0x80 | 127, size)
    return head + bytes(4) + payload


def unframed(received: bytes) -> tuple[int, bytes, int] | None:
    """Opcode and payload of a server's first frame, and how many bytes it takes; None where it is not whole yet."""
    if len(received) < 2:
        return None
    size, begin = received[1] & 0x7F, 2
    if size >= 126:
        form, begin = ("!H", 4) if size == 126 else ("!Q", 10)
        if len(received) < begin:
            return None
        (size,) = struct.unpack_from(form, received, 2)
    if len(received) < begin + size:
        return None
    return received[0] & 0x0F, received[begin : begin + size], begin + size
