"""HTTP requests out, replies in: the only file that knows httpx.

Whatever goes wrong on the way becomes `APIConnectionError`; redirects are never followed, since a key must not travel
to where a reply points.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, Protocol

import httpx

from signoff.config import Config
from signoff.errors import APIConnectionError, ConfigurationError

CONNECT: Final = 5.0
ANSWER: Final = 10.0
THREAD_CONNECTIONS: Final = 100
TASK_CONNECTIONS: Final = 16
_LEAST: Final = 1.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request. `hold` is for how many seconds the server was asked to keep it waiting."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: float = 0.0


@dataclass(frozen=True, slots=True)
class Incoming:
    """One reply; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    def send(self, request: Outgoing, patience: float | None) -> Incoming:
        """Raises `APIConnectionError`. `patience` is in seconds; one attempt gets one second at least."""

    def close(self) -> None: ...


class AsyncTransport(Protocol):
    async def send(self, request: Outgoing, patience: float | None) -> Incoming: ...

    async def aclose(self) -> None: ...


class HTTPTransport:
    """A pool of connections for threads."""

    def __init__(self, config: Config, headers: Mapping[str, str], context: ssl.SSLContext) -> None:
        self._client = httpx.Client(**_options(config, headers, context, THREAD_CONNECTIONS))

    def send(self, request: Outgoing, patience: float | None) -> Incoming:
        try:
            reply = self._client.request(**_arguments(request, patience))
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            _raise(error)
        return _incoming(reply)

    def close(self) -> None:
        self._client.close()


class AsyncHTTPTransport:
    """A pool of connections for one event loop."""

    def __init__(self, config: Config, headers: Mapping[str, str], context: ssl.SSLContext, connections: int) -> None:
        self._client = httpx.AsyncClient(**_options(config, headers, context, connections))
        # The pool looks through its whole queue at each reply; with thousands of tasks they had better queue here.
        self._places = asyncio.Semaphore(connections)

    async def send(self, request: Outgoing, patience: float | None) -> Incoming:
        try:
            async with self._places:
                reply = await self._client.request(**_arguments(request, patience))
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            _raise(error)
        return _incoming(reply)

    async def aclose(self) -> None:
        await self._client.aclose()


def tls_context(config: Config, given: ssl.SSLContext | None) -> ssl.SSLContext:
    """The caller's context, else one that trusts what httpx trusts; without TLS an empty one, which costs nothing."""
    if given is not None:
        return given
    return httpx.create_ssl_context() if config.url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _options(config: Config, headers: Mapping[str, str], context: ssl.SSLContext, connections: int) -> dict[str, Any]:
    return {
        "base_url": config.url,
        "headers": dict(headers),
        "verify": context,
        "limits": httpx.Limits(
            max_connections=connections, max_keepalive_connections=min(connections, THREAD_CONNECTIONS)
        ),
        "follow_redirects": False,
        # A proxy of the environment is for the world outside and cannot reach this machine's loopback.
        "trust_env": not config.is_local,
    }


def _arguments(request: Outgoing, patience: float | None) -> dict[str, Any]:
    longest = float("inf") if patience is None else max(patience, _LEAST)
    timeout = httpx.Timeout(
        connect=min(CONNECT, longest),
        read=min(request.hold + ANSWER, longest),
        write=min(ANSWER, longest),
        # Waiting for a free connection of the own pool is not the server's fault.
        pool=None if patience is None else longest,
    )
    return {
        "method": request.method,
        "url": request.path,
        "params": list(request.params) or None,
        "content": request.body,
        "headers": dict(request.headers),
        "timeout": timeout,
    }


def _incoming(reply: httpx.Response) -> Incoming:
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return Incoming(reply.status_code, headers, reply.content)


def _raise(error: Exception) -> NoReturn:
    if _is_untrusted(error):
        raise ConfigurationError(
            "The server's certificate is not trusted: pass an `ssl_context` that knows who signed it."
        ) from error
    sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    raise APIConnectionError(f"The server cannot be reached ({type(error).__name__}).", sent=sent) from error


def _is_untrusted(error: BaseException) -> bool:
    seen: dict[int, BaseException] = {}
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in seen:
            seen[id(each)] = each
            pending += [each.__cause__, each.__context__]
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in seen.values())
