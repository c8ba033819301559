"""The watch socket as bytes and refusals: the only file that knows websockets.

Whatever can go wrong on the way to an open socket is one of three: `Unreachable` (try again), `Impossible` (use long
polling instead), or the error that the server means (401 and 403).
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NoReturn, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from signoff.config import Config
from signoff.errors import ConfigurationError
from signoff.problems import NOTHING_KNOWN, error_from, read_retry_after
from signoff.protocol.models import WATCH_SUBPROTOCOL

OPEN: Final = 10.0
PING: Final = 20.0
_PATH: Final = "/v1/approvals/watch"
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})


class Unreachable(Exception):
    """No socket this time. `alive`: something answered, so that it may be the way there that cannot carry a socket."""

    def __init__(self, why: str, *, alive: bool = False, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.alive = alive
        self.retry_after = retry_after


class Impossible(Exception):
    """Something between here and the server carries no websocket."""


class Gone(Exception):
    """The socket was closed, with this close code; 1006 where the connection just broke."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class WatchSocket(Protocol):
    """An open socket. `send` and `messages` raise `Gone`."""

    async def send(self, text: str) -> None: ...

    def messages(self) -> AsyncIterator[str]: ...

    async def close(self) -> None: ...


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Never follow: the answers of wherever a redirect points to would decide what is approved."""
        return exc


class _Socket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise Gone(self._code()) from error

    async def messages(self) -> AsyncIterator[str]:
        try:
            while True:
                message = await self._connection.recv()
                # Text frames only; an empty text is malformed and is treated so by the reader.
                yield message if isinstance(message, str) else ""
        except ConnectionClosed as error:
            raise Gone(self._code()) from error

    async def close(self) -> None:
        await self._connection.close()

    def _code(self) -> int:
        return self._connection.close_code or 1006


async def dial(config: Config, headers: Mapping[str, str], context: ssl.SSLContext) -> WatchSocket:
    """An open socket.

    Raises `Unreachable`, `Impossible`, `AuthenticationError`, `PermissionDenied`, `ConfigurationError`.
    """
    try:
        connection = await _Connect(_url(config), **_options(config, headers, context))
    except InvalidStatus as error:
        _refused(error)
    except InvalidMessage as error:
        # A server that goes down closes the connection before it answers.
        raise Unreachable("no answer to the handshake", alive=True) from error
    except TimeoutError as error:
        raise Unreachable("the handshake took too long", alive=True) from error
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationError(
            "The server's certificate is not trusted: pass an `ssl_context` that knows who signed it."
        ) from error
    except OSError as error:
        raise Unreachable(type(error).__name__) from error
    except (WebSocketException, ImportError, ValueError) as error:
        raise Impossible(type(error).__name__) from error
    if connection.subprotocol != WATCH_SUBPROTOCOL:
        await connection.close()
        raise Impossible("the other side does not speak signoff.v1")
    return _Socket(connection)


def _url(config: Config) -> str:
    return "ws" + config.url.removeprefix("http") + _PATH


def _options(config: Config, headers: Mapping[str, str], context: ssl.SSLContext) -> dict[str, Any]:
    shown = {name: value for name, value in headers.items() if name not in ("User-Agent", "Accept")}
    return {
        "additional_headers": shown,
        "user_agent_header": headers["User-Agent"],
        "subprotocols": [Subprotocol(WATCH_SUBPROTOCOL)],
        "open_timeout": OPEN,
        "ping_interval": PING,
        "ping_timeout": PING,
        "close_timeout": 1.0,
        "compression": None,
        "proxy": None if config.is_local else True,
        **({"ssl": context} if config.url.startswith("https:") else {}),
    }


def _refused(error: InvalidStatus) -> NoReturn:
    reply = error.response
    headers = {name.lower(): value for name, value in reply.headers.raw_items()}
    if reply.status_code in (401, 403):
        raise error_from(reply.status_code, headers, bytes(reply.body or b""), NOTHING_KNOWN) from error
    if reply.status_code in _AGAIN:
        retry_after = read_retry_after(headers.get("retry-after"))
        raise Unreachable(f"HTTP {reply.status_code}", alive=True, retry_after=retry_after) from error
    raise Impossible(f"HTTP {reply.status_code}") from error
