"""One websocket connection: uvicorn's, for a peer that may do as it likes.

uvicorn writes whether or not the peer reads, keeps any number of fragments, leaves a handshake that it cannot read
open, and closes on a peer that says too much before that peer can have read why; none of that holds here.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from signoff_server import limits
from signoff_server.core.refusals import Refusal
from signoff_server.web import head
from signoff_server.web.patience import Patient
from signoff_server.web.problems import last_words


class SocketConnection(Patient, WebSocketsSansIOProtocol):
    __slots__ = ()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.metrics.connections.dec()
        super().connection_lost(exc)

    # ------------------------------------------------------------ the handshake

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated:
            self._deny(head.too_long())

    def handle_connect(self, event: Request) -> None:
        if self.conn.accept(event).status_code == 101:
            super().handle_connect(event)
        else:
            self.handshake_initiated = True
            self._deny(head.malformed("This is no handshake of a websocket of version 13."))

    def _deny(self, refusal: Refusal) -> None:
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        self._server.metrics.requests.labels("(connection)", refusal.status).inc()
        self.transport.write(last_words(refusal, self._server.world.new_id("req"), self.default_headers))
        self.transport.close()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            # It was answered, if not as it wished; uvicorn would log that nobody did.
            self.handshake_complete = True

    # ------------------------------------------------------------ a peer that does not read, or says too much

    def pause_writing(self) -> None:
        super().pause_writing()
        self.writable.clear()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.writable.set()

    def shutdown(self) -> None:
        if self.writable.is_set():
            super().shutdown()
        else:
            # Its goodbye would never arrive, and everybody would wait for it.
            self.transport.abort()

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            # A pong more would only lie here; that the peer does not read is what ends this.
            self.conn.data_to_send()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < limits.FRAGMENTS:
            super().handle_cont(event)
        else:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """Say why, and read and drop what still comes for a while: a reset would destroy what was said."""
        if self.close_sent:
            return
        self.close_sent = True
        said = self.conn.close_sent
        assert said is not None
        self.queue.put_nowait({"type": "websocket.disconnect", "code": said.code, "reason": said.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(limits.LINGER_SECONDS, self.transport.close)
