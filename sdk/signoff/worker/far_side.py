"""One HTTP request to where a tool leads, and its reply: the only file of the worker that knows httpx.

The name is resolved once, each address that it has is checked, and the connection goes to one of those very addresses,
so that no second answer of a name server can turn it elsewhere; TLS verifies the name all the same. Redirects are not
followed, proxies of the environment are not used, no cookie is kept, and each call has a connection of its own, since
one that the far side closed while it was idle could not be told from a request that was lost.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from signoff._version import __version__
from signoff.worker.addresses import Address, Allowed, parsed
from signoff.worker.threads import in_thread

MAX_REPLY: Final = 1024 * 1024
CONNECT: Final = 5.0
_SENDING: Final = ("http11.send_request_headers.started", "http2.send_request_headers.started")
Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout: float


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` is None where it was not read: `unread` says why."""

    status: int
    media_type: str
    body: bytes | None
    unread: str = ""


class NotSent(Exception):
    """Nothing left this machine. The message is for people and names no secret."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class Lost(Exception):
    """It was sent, and what came of it is not known."""


class _Progress:
    """Whether the first byte of the request has left."""

    def __init__(self) -> None:
        self.sent = False

    async def trace(self, event: str, _info: Any) -> None:
        self.sent = self.sent or event in _SENDING


class FarSide:
    """`resolve` answers the addresses of a name and port, as texts. Made outside of any loop, used in one."""

    def __init__(self, resolve: Resolve | None = None, context: ssl.SSLContext | None = None) -> None:
        self._resolve = resolve or _look_up
        self._context = context

    async def send(self, request: Request, allowed: Allowed) -> Reply:
        """Raises `NotSent`, `Lost`; cancelled, it raises one of them as well."""
        progress = _Progress()
        try:
            async with asyncio.timeout(request.timeout):
                return await self._send(request, allowed, progress)
        except TimeoutError:
            raise _broken(progress, f"no answer within {request.timeout:g} s") from None
        except asyncio.CancelledError:
            raise _broken(progress, "it was cancelled") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            raise _broken(progress, type(error).__name__) from error

    async def _send(self, request: Request, allowed: Allowed, progress: _Progress) -> Reply:
        url = httpx.URL(request.url)
        addresses = await self._checked(url, allowed)
        for address in addresses[:-1]:
            try:
                return await self._ask(request, url, address, progress)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                _refuse_distrust(error, url)
        try:
            return await self._ask(request, url, addresses[-1], progress)
        except httpx.ConnectError as error:
            _refuse_distrust(error, url)
            raise

    async def _checked(self, url: httpx.URL, allowed: Allowed) -> list[Address]:
        host = _host(url)
        try:
            found = await self._resolve(host, _port(url))
        except (OSError, UnicodeError):
            raise NotSent(f"{host} cannot be found by its name.") from None
        addresses = [parsed(each) for each in dict.fromkeys(found)]
        for address in addresses:
            if not allowed.permits(host, address):
                raise NotSent(
                    f"{host} is at {address}, which is not public: to allow it, the worker's operator adds it to "
                    "`allow` in tools.yaml, or starts the worker with --allow.",
                    retryable=False,
                )
        if not addresses:
            raise NotSent(f"{host} has no address.")
        return addresses

    async def _ask(self, request: Request, url: httpx.URL, address: Address, progress: _Progress) -> Reply:
        async with httpx.AsyncClient(
            verify=self._trusting(url),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(request.timeout, connect=min(CONNECT, request.timeout)),
        ) as client:
            sending = httpx.Request(
                request.method,
                url.copy_with(host=str(address)),
                headers=_headers(request, url),
                content=request.body,
                extensions={
                    "sni_hostname": _host(url),
                    "trace": progress.trace,
                    "timeout": client.timeout.as_dict(),
                },
            )
            reply = await client.send(sending, stream=True)
            try:
                return await _read(reply)
            finally:
                await reply.aclose()

    def _trusting(self, url: httpx.URL) -> ssl.SSLContext:
        if url.scheme != "https":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._context is None:
            self._context = httpx.create_ssl_context()
        return self._context


async def _look_up(host: str, port: int) -> list[str]:
    found = await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), "resolver")
    return [str(address[0]) for *_, address in found]


def host_of(url: str) -> str:
    """Raises `ValueError` unless it is an http(s) URL with a host, and without user, password and fragment."""
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\<>"^`|'):
        raise ValueError("it holds spaces or signs that no URL has: percent-encode them, and write a name as xn--")
    try:
        read = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError("it cannot be read") from error
    if not 0 < _port(read) < 65_536:
        raise ValueError("its port is none")
    if read.scheme not in ("http", "https") or not read.host:
        raise ValueError("it begins with https:// and a host")
    if read.userinfo or read.fragment or "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("it holds no user, password or fragment: put what the far side wants into `headers`")
    return _host(read)


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _port(url: httpx.URL) -> int:
    return url.port if url.port is not None else 443 if url.scheme == "https" else 80


def _headers(request: Request, url: httpx.URL) -> httpx.Headers:
    """A later one of the same name, in whatever case, takes the place of an earlier one."""
    headers = httpx.Headers({"User-Agent": f"signoff-worker/{__version__}", "Accept": "application/json, */*;q=0.5"})
    for name, value in request.headers.items():
        headers[name] = value
    # A packed reply could be of any size once it is unpacked.
    headers["Accept-Encoding"] = "identity"
    headers["Connection"] = "close"
    headers["Host"] = url.netloc.decode("ascii")
    return headers


async def _read(reply: httpx.Response) -> Reply:
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if reply.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return Reply(reply.status_code, media_type, None, "it is packed, which was not asked for")
    body = bytearray()
    async for chunk in reply.aiter_raw():
        body += chunk
        if len(body) > MAX_REPLY:
            return Reply(reply.status_code, media_type, None, f"it is longer than {MAX_REPLY // 1024} KiB")
    return Reply(reply.status_code, media_type, bytes(body))


def _broken(progress: _Progress, why: str) -> NotSent | Lost:
    if progress.sent:
        return Lost(f"The connection was lost after the request was sent ({why}): it may have happened.")
    return NotSent(f"The far side could not be reached ({why}); nothing was sent.")


def _refuse_distrust(error: Exception, url: httpx.URL) -> None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            raise NotSent(
                f"The certificate of {_host(url)} is not trusted: name its authority in SSL_CERT_FILE.",
                retryable=False,
            ) from error
        seen = seen.__cause__ or seen.__context__
