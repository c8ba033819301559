"""Where a client's bytes go: the seam at which a stand-in takes the server's place."""

import ssl
from typing import Protocol

from signoff._version import __version__
from signoff.config import Config
from signoff.transport import AsyncHTTPTransport, AsyncTransport, HTTPTransport, Transport, tls_context
from signoff.watch_socket import WatchSocket, dial


class Wire(Protocol):
    """Makes transports for one server and one key."""

    def transport(self) -> Transport: ...

    def async_transport(self, connections: int) -> AsyncTransport: ...

    async def dial(self) -> WatchSocket: ...


class NetworkWire:
    """The real one. The TLS context is made once and shared, since making one reads all the authorities."""

    def __init__(self, config: Config, *, client_name: str, ssl_context: ssl.SSLContext | None) -> None:
        self._config = config
        self._headers = {
            "Authorization": f"Bearer {config.key}",
            "Accept": "application/json",
            "User-Agent": f"signoff-python/{__version__}",
            "Signoff-Client": client_name,
        }
        self._context = tls_context(config, ssl_context)

    def transport(self) -> Transport:
        return HTTPTransport(self._config, self._headers, self._context)

    def async_transport(self, connections: int) -> AsyncTransport:
        return AsyncHTTPTransport(self._config, self._headers, self._context, connections)

    async def dial(self) -> WatchSocket:
        return await dial(self._config, self._headers, self._context)
