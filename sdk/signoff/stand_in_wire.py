"""The way to a stand-in: what the clients' transports are for a server on the network."""

import asyncio
import json
from contextlib import suppress

from signoff.stand_in import StandIn
from signoff.transport import Incoming, Outgoing
from signoff.watch_socket import Impossible, WatchSocket


class StandInWire:
    """A wire that ends in a `StandIn`."""

    def __init__(self, server: StandIn) -> None:
        self._server = server

    def transport(self) -> "_Transport":
        return _Transport(self._server)

    def async_transport(self, connections: int) -> "_AsyncTransport":
        return _AsyncTransport(self._server)

    async def dial(self) -> WatchSocket:
        raise Impossible("a stand-in has no socket")


class _Transport:
    def __init__(self, server: StandIn) -> None:
        self._server = server

    def send(self, request: Outgoing, patience: float | None) -> Incoming:
        return self._server.answer(request)

    def close(self) -> None:
        pass


class _AsyncTransport:
    def __init__(self, server: StandIn) -> None:
        self._server = server

    async def send(self, request: Outgoing, patience: float | None) -> Incoming:
        if not request.hold:
            return self._server.answer(request)
        loop, stirred = asyncio.get_running_loop(), asyncio.Event()
        over, approval = loop.time() + request.hold, request.path.rpartition("/")[2]

        def stir() -> None:
            # From the thread that changed something; a loop that is closed waits for nothing.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(stirred.set)

        with self._server.listening(stir):
            while True:
                stirred.clear()
                reply, left = self._server.answer(request), over - loop.time()
                if left <= 0 or not _is_pending(reply):
                    return reply
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, self._server.expires_in(approval))):
                        await stirred.wait()

    async def aclose(self) -> None:
        pass


def _is_pending(reply: Incoming) -> bool:
    return bool(json.loads(reply.body).get("status") == "pending")
