"""One HTTP connection: uvicorn's, with deadlines, sizes and a strict ear.

Rules of the room: bytes that are not a well-formed request end the connection, and nothing after them is looked at.
Requests that came whole before them are answered first, in their order, so that an answer never goes to the wrong
request. What is refused here never reaches the application, and is told as a problem like every other no.
"""

import asyncio
import logging
from math import inf
from typing import Any, Final, Literal, cast

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from signoff_server import limits
from signoff_server.core.refusals import Refusal
from signoff_server.web import head
from signoff_server.web.patience import Patient
from signoff_server.web.problems import last_words
from signoff_server.web.server import Server

_LOG: Final = logging.getLogger("signoff.web")
# What of the peer is being read. At the end it is whatever still comes, and it is dropped.
Stage = Literal["head", "body", "nothing", "idle", "end"]


class Connection(Patient, HttpToolsProtocol):
    """`_taken` is how much came in this stage, `_came` since the connection was idle; `_body` without what frames it.

    `_running` is the request that is being answered.
    """

    __slots__ = ("_body", "_came", "_read_by", "_refusal", "_running", "_stage", "_taken")

    def __init__(self, server: Server, **uvicorns: Any) -> None:
        super().__init__(server, **uvicorns)
        self.pipeline = cast(Any, _Line())
        self._stage: Stage = "head"
        self._read_by = inf
        self._came = self._taken = self._body = 0
        self._running: RequestResponseCycle | None = None
        self._refusal: Refusal | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._server.metrics.connections.inc()
        self._read("head", limits.HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.metrics.connections.dec()
        self.pipeline.clear()
        if self._running is not None:
            self._leave(self._running)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flow.resume_writing()

    # ------------------------------------------------------------ reading

    def data_received(self, data: bytes) -> None:
        if self._stage == "idle":
            self._read("head", limits.HEAD_SECONDS)
            self._came = 0
        self._came += len(data)
        self._taken += len(data)
        if self._stage == "end":
            if self._taken > limits.LINGER_BYTES:
                self.transport.abort()
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()
        except httptools.HttpParserError as error:
            self._refuse(_meant(error))
        else:
            self._check_size()

    def on_message_begin(self) -> None:
        if self._stage != "head":
            self._read("head", limits.HEAD_SECONDS)
            # It came with something before it; how much of it, the parser does not tell.
            self._taken = 1
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # In a body it is a trailer, which must not pass for a header.
        if self._stage == "head":
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        if self._came > limits.HEAD_BYTES:
            head.check_size(self.url, self.headers)
        found = head.check(self.url, version, self.headers)
        if self.parser.should_upgrade():
            head.check_upgrade(self.parser.get_method(), version, found)
        if len(self.pipeline) >= limits.PIPELINED:
            raise Refusal("rate_limited", f"At most {limits.PIPELINED} requests wait on a connection.", retry_after=1)
        self.expect_100_continue = head.expects_continue(found, version)
        super().on_headers_complete()
        self._read("body", limits.BODY_SECONDS)
        self._body = 0
        if self.expect_100_continue:
            # Who is answered before it sends its body may or may not send it: what comes next could be either.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        if self._body > limits.BODY_BYTES:
            raise head.too_large()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stage, self._read_by = "nothing", inf
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._read("idle", limits.IDLE_SECONDS)

    def _read(self, stage: Stage, seconds: float) -> None:
        self._stage, self._taken = stage, 0
        self._read_by = self.loop.time() + seconds
        if self._read_by < self.due:
            self.due = self._read_by

    def _check_size(self) -> None:
        """Of a head that is not whole yet, and of a body with all that frames it."""
        if self._stage == "head" and self._taken > limits.HEAD_BYTES:
            self._refuse(head.too_long())
        elif self._stage == "body" and self._taken > limits.CHUNKED_BYTES:
            self._refuse(head.too_large())

    def _upgrade(self) -> None:
        if self._running is None:
            self.handle_websocket_upgrade()
        else:
            self._refuse(head.malformed("An upgrade waits until all before it is answered."))

    # ------------------------------------------------------------ deadlines

    def look_at_reading(self, now: float) -> None:
        if now >= self._read_by:
            self._read_too_long(now)
        self.due = min(self.due, self._read_by)

    def _read_too_long(self, now: float) -> None:
        if self.flow.read_paused:
            # It is this side that does not read.
            self._read_by = now + limits.HEAD_SECONDS
        elif self._stage in ("idle", "end") or (self._running is None and not self._taken):
            self._read_by = inf
            self.transport.close()
        else:
            self._refuse(Refusal("request_timeout", f"The {self._stage} of the request took too long.", retry_after=1))

    # ------------------------------------------------------------ answering

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self._running = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.flow.resume_reading()
        if self._stage == "end":
            self._say_last_words()
        elif self._stage == "nothing":
            self._read("idle", limits.IDLE_SECONDS)

    def _refuse(self, refusal: Refusal) -> None:
        """Read no further, and tell so once all that came whole is answered."""
        broken = self.cycle if self._stage == "body" else None
        self._stage, self._read_by, self._refusal = "end", inf, refusal
        if broken is not None:
            self._give_up(broken)
        if self._running is None and not self.transport.is_closing():
            self._say_last_words()

    def _give_up(self, broken: RequestResponseCycle) -> None:
        """Take back a request whose body never came whole."""
        if self.pipeline:
            del self.pipeline[0]
            return
        if broken.response_complete:
            # It was answered before; there is nothing left to say.
            self._refusal = None
        elif broken.response_started:
            self.transport.close()
        self._leave(broken)

    def _leave(self, cycle: RequestResponseCycle) -> None:
        """Tell its handler that nobody is there any more."""
        self._running = None
        if not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def _say_last_words(self) -> None:
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            _LOG.debug("refused a connection: %s (%s)", refusal.code, refusal.detail)
            self._server.metrics.requests.labels("(connection)", refusal.status).inc()
            request_id = self._server.world.new_id("req")
            self.transport.write(last_words(refusal, request_id, self.server_state.default_headers))
        self.transport.write_eof()
        self.flow.resume_reading()
        self._read("end", limits.LINGER_SECONDS)


class _Line(list[Any]):
    """The requests that wait: nearly always none, and a deque takes 700 bytes for that."""

    __slots__ = ()

    def appendleft(self, last: Any) -> None:
        self.insert(0, last)


class _Flow(FlowControl):
    """Without an event (a kilobyte) as long as nobody waits for it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False

    def pause_writing(self) -> None:
        if not self.write_paused:
            self.write_paused = True
            self._is_writable_event = asyncio.Event()


def _meant(error: httptools.HttpParserError) -> Refusal:
    """What a callback refused, or else what the parser did."""
    if isinstance(error.__context__, Refusal):
        return error.__context__
    return head.malformed("This is not a well-formed HTTP/1.1 request.")
