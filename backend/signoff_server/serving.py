"""From an application to a listening server: uvicorn, with the limits of this house at its door."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from types import FrameType
from typing import Any, Final, cast

import uvicorn
import uvloop
from starlette.types import ASGIApp

from signoff_server import limits
from signoff_server.settings import SettingsError
from signoff_server.web.connection import Connection
from signoff_server.web.patience import look_at_all
from signoff_server.web.server import Server
from signoff_server.web.socket import SocketConnection

# What answers a SIGTERM has a second to do so; then the process ends.
_GRACE_SECONDS: Final = 1
_BACKLOG: Final = 2_048
_COLLECT_EACH: Final = 20_000
# uvicorn ticks ten times a second; a deadline is kept within so many ticks.
_LOOK_EACH: Final = 5


async def serve(app: ASGIApp, server: Server, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until a signal ends it. `ready` is called once requests are answered."""
    server.world.failpoint("start.before_listen")
    # uvicorn raises the signal that ended it once more; a stop that was asked for is no failure.
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda _signal, _frame: None)
    await _Uvicorn(_config(app, server), server, ready).serve(sockets=[listener])


def listen(host: str, port: int, *, or_any: bool = False) -> socket.socket:
    """A listening socket; `or_any` takes a free port where this one is taken. Raises `SettingsError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Two may bind one port while neither listens; only listening takes it.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if or_any:
            return listen(host, 0)
        raise SettingsError(f"port {port} of {host} is taken: stop what runs there, or give --port") from error
    return listener


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end, on uvloop."""
    # What was imported stays, and a request leaves few cycles behind: looking for them at every 700 objects costs a
    # tenth of the processor time of a busy server.
    gc.freeze()
    gc.set_threshold(_COLLECT_EACH, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _config(app: ASGIApp, server: Server) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(Connection, server)),
        ws=cast("type[asyncio.Protocol]", partial(SocketConnection, server)),
        ws_max_size=limits.MESSAGE_BYTES,
        ws_ping_interval=limits.PING_SECONDS,
        ws_ping_timeout=limits.PING_SECONDS,
        # One message each minute needs no dictionary of 100 KiB for each connection.
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # `web/client_address.py` knows whom to believe where a request came from.
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


class _Uvicorn(uvicorn.Server):
    """Looks at its connections, and wakes whoever waits as soon as the process is told to end."""

    def __init__(self, config: uvicorn.Config, server: Server, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ours = server
        self._ready = ready
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._ours.hub.stop)
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % _LOOK_EACH == 0:
            look_at_all(self.server_state.connections, self._loop.time())
        return await super().on_tick(counter)
