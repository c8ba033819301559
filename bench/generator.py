"""A client so light that what is measured is the server: HTTP as prebuilt bytes over open connections.

A *script* is one piece of work as a generator: it yields the bytes of a request and is sent the `Reply`, or yields a
`Signal` and goes on when that is given. A *lane* is one connection that runs scripts one after another, without
pipelining. No tasks and no futures: some twenty microseconds of Python for each request.
"""

import asyncio
import json
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import uvloop

T = TypeVar("T")
END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
_HANDSHAKE_KEY: Final = "c2lnbm9mZi1iZW5jaC1rZQ=="


class Failed(Exception):
    """The server said something else than a measurement can go on with."""


class Reply(NamedTuple):
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Signal:
    """Given once; whoever waits for it goes on then."""

    __slots__ = ("_then", "given", "value")

    def __init__(self) -> None:
        self.given = False
        self.value: Any = None
        self._then: Callable[[Any], None] | None = None

    def give(self, value: Any = None) -> None:
        self.given, self.value = True, value
        if self._then is not None:
            self._then(value)

    def then(self, go_on: Callable[[Any], None]) -> None:
        self._then = go_on


Script: TypeAlias = Generator[bytes | Signal, Any, None]


class Line:
    """What is still to be done, for whoever is idle; ends with `None` for everybody."""

    def __init__(self) -> None:
        self._things: deque[Any] = deque()
        self._idle: deque[Signal] = deque()

    def put(self, thing: Any) -> None:
        if self._idle:
            self._idle.popleft().give(thing)
        else:
            self._things.append(thing)

    def next(self) -> Signal:
        signal = Signal()
        if self._things:
            signal.give(self._things.popleft())
        else:
            self._idle.append(signal)
        return signal


class Requests:
    """Makes the bytes of requests, for one key."""

    def __init__(self, url: str, key: str) -> None:
        self._host = urlsplit(url).netloc
        self._common = f"Host: {self._host}\r\nAuthorization: Bearer {key}\r\n"

    def get(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\n{self._common}\r\n".encode()

    def post(self, path: str, body: bytes, *, once: str | None = None, media_type: str = "application/json") -> bytes:
        """`once` is the Idempotency-Key."""
        keyed = "" if once is None else f"Idempotency-Key: {once}\r\n"
        head = f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        return f"POST {path} HTTP/1.1\r\n{self._common}{keyed}{head}\r\n".encode() + body

    def upgrade(self, path: str, subprotocol: str | None) -> bytes:
        asked = "" if subprotocol is None else f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        key = f"Sec-WebSocket-Key: {_HANDSHAKE_KEY}\r\n"
        return f"GET {path} HTTP/1.1\r\n{self._common}{upgrade}{key}{asked}\r\n".encode()


class Connection:
    """One blocking connection, for one thing at a time."""

    def __init__(self, url: str) -> None:
        self._socket = socket.create_connection(address(url))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> Reply:
        self._socket.sendall(request)
        return self.answer()

    def answer(self) -> Reply:
        """The answer to what was sent."""
        received = b""
        while (reply := parse(received)) is None:
            more = self._socket.recv(65_536)
            if not more:
                raise Failed("the server closed the connection")
            received += more
        return reply

    def send(self, request: bytes) -> None:
        """For an answer that is asked for later, if at all."""
        self._socket.sendall(request)

    def close(self) -> None:
        self._socket.close()


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def parse(received: bytes) -> Reply | None:
    """The reply, once it is there to its last byte."""
    end = received.find(END_OF_HEAD)
    if end < 0:
        return None
    at = received.find(_LENGTH, 0, end + 2)
    if at < 0:
        raise Failed(f"a reply of no known length: {received[:end]!r}")
    size = int(received[at + len(_LENGTH) : received.index(b"\r", at)])
    begin = end + len(END_OF_HEAD)
    if len(received) < begin + size:
        return None
    return Reply(int(received[9:12]), received[begin : begin + size])


def expect(reply: Reply, *statuses: int) -> Reply:
    if reply.status not in statuses:
        raise Failed(f"{reply.status}: {reply.body[:500]!r}")
    return reply


class _Lane(asyncio.Protocol):
    def __init__(self, work: "_Work") -> None:
        self._work = work
        self._received = b""
        self._script: Script | None = None
        self._begun = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._work.ready(self)

    def begin(self) -> None:
        """The next script, if there is one."""
        self._script, self._begun = next(self._work.scripts, None), time.monotonic()
        if self._script is None:
            self._transport.close()
            self._work.lane_is_done()
        else:
            self._advance(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            reply = parse(self._received)
        except (Failed, ValueError) as error:
            self._work.fail(error)
            return
        if reply is not None:
            self._received = b""
            self._advance(reply)

    def connection_lost(self, error: Exception | None) -> None:
        if self._script is not None:
            self._work.fail(Failed(f"a connection was lost: {error}"))

    def _advance(self, value: Any) -> None:
        assert self._script is not None
        try:
            step = self._script.send(value)
            while isinstance(step, Signal) and step.given:
                step = self._script.send(step.value)
        except StopIteration:
            self._work.durations.append(time.monotonic() - self._begun)
            self.begin()
        except Exception as error:  # noqa: BLE001 - whatever it is ends the measurement
            self._work.fail(error)
        else:
            if isinstance(step, Signal):
                step.then(self._advance)
            else:
                self._transport.write(step)


class _Work:
    """What the lanes of one measurement share. They begin together, once all are connected."""

    def __init__(self, scripts: Iterator[Script], lanes: int) -> None:
        self.scripts = scripts
        self.durations: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begun = 0.0
        self._left = lanes
        self._ready: list[_Lane] = []

    def ready(self, lane: _Lane) -> None:
        self._ready.append(lane)
        if len(self._ready) == self._left:
            self.begun = time.monotonic()
            for each in self._ready:
                each.begin()

    def lane_is_done(self) -> None:
        self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Driven(NamedTuple):
    """From the first request to the last reply, and how long each script took."""

    seconds: float
    durations: list[float]


async def drive(url: str, scripts: Iterable[Script], lanes: int) -> Driven:
    """Run all scripts over so many connections. Raises `Failed`."""
    loop, (host, port) = asyncio.get_running_loop(), address(url)
    work = _Work(iter(scripts), lanes)
    # What a callback raises is told here, and ends the measurement as well.
    loop.set_exception_handler(lambda _, context: work.fail(Failed(repr(context.get("exception", context["message"])))))
    connecting = (loop.create_connection(lambda: _Lane(work), host, port) for _ in range(lanes))
    connections = await asyncio.gather(*connecting)
    try:
        await work.done
        return Driven(time.monotonic() - work.begun, work.durations)
    finally:
        for transport, _ in connections:
            transport.abort()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the fastest event loop there is."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
