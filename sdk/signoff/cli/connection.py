"""Requests out, replies in, by the standard library: importing httpx costs a list more CPU than all the rest of it.

Rules of the room: a key never follows a redirect; a reply is JSON of the contract or a failure; nothing is tried again
by itself, since somebody sits in front of it and may do so.
"""

import http.client
import json
import secrets
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

import click

from signoff._version import __version__
from signoff.cli.failures import Failure, Unreachable, untrusted
from signoff.cli.layout import fold
from signoff.cli.refusal import failure_of, where_to_look
from signoff.cli.replies import EVENT_PAGE, Record, Shape, checked, page_of
from signoff.config import Config
from signoff.protocol import canonical

K = TypeVar("K", bound=http.client.HTTPConnection)
Params: TypeAlias = Mapping[str, str | int | None]
NONE: Final[Params] = MappingProxyType({})
CONNECT: Final = 3.0
READ: Final = 5.0
# A change that was sent may have been made: waiting for its answer is worth more than a quick end.
CHANGE: Final = 15.0
# How long the server is asked to hold a request until there is news.
HOLD: Final = 25
PAGE: Final = 200
_JSON: Final = "application/json"
# `application/schema+json` of the JSON Schema that editors read.
_MEDIA_TYPES: Final = (_JSON, "application/schema+json")
_MAX_REPLY: Final = 64 * 1024 * 1024
_LONGEST_WHY: Final = 120


class Server:
    """One server as one key sees it. Its methods raise `Failure`."""

    def __init__(self, config: Config) -> None:
        self._url = config.url
        self._key = config.key
        self._variable = "SIGNOFF_REVIEWER_KEY" if config.reviewer else "SIGNOFF_API_KEY"
        self._opener = _opener(config)

    def get(self, path: str, shape: Mapping[str, Shape], params: Params = NONE, *, about: str = "") -> Record:
        """Read `path`; `about` is the id that the request is about, for the message where there is none."""
        return checked(self._call("GET", _with(path, params), about), shape)

    def pages(
        self, path: str, members: Mapping[str, Shape], filters: Params = NONE, *, limit: int | None = None
    ) -> Record:
        """A list through its pages, newest first, `limit` at most: `data`, and `next_cursor` where more follows."""
        gathered: list[Record] = []
        cursor: str | None = None
        while True:
            wanted = PAGE if limit is None else min(PAGE, limit - len(gathered))
            page = self.get(path, page_of(members), {**filters, "limit": wanted, "cursor": cursor})
            gathered += page["data"]
            cursor = page["next_cursor"]
            if cursor is None or not page["data"] or (limit is not None and len(gathered) >= limit):
                return {"data": gathered, "next_cursor": cursor}

    def post(
        self, path: str, body: Record, shape: Mapping[str, Shape], *, about: str = "", key: str | None = None
    ) -> Record:
        """`key` is the idempotency key; without it the request gets one of its own."""
        given = {name: value for name, value in body.items() if value is not None}
        return checked(self._call("POST", path, about, _Content(json.dumps(given).encode(), key=key)), shape)

    def send(
        self, method: str, path: str, file: bytes, shape: Mapping[str, Shape], params: Params = NONE, *, about: str
    ) -> Record:
        """POST or PUT a YAML file, byte for byte."""
        content = _Content(file, "application/yaml")
        return checked(self._call(method, _with(path, params), about, content), shape)

    def delete(self, path: str, *, about: str = "") -> None:
        self._call("DELETE", path, about)

    def _call(self, method: str, path: str, about: str, content: "_Content | None" = None) -> Any:
        headers = self._headers() | (_headers_of(content) if content else {})
        body = content.body if content else None
        request = urllib.request.Request(self._url + path, body, headers, method=method)  # noqa: S310
        status, media_type, reply = self._exchange(request, about)
        if status == 204:
            return None
        if status in (200, 201):
            return _json(reply, media_type)
        raise failure_of(status, _problem(reply, media_type), about, self._variable)

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._key}",
            "Accept": "application/json",
            "User-Agent": f"signoff-python/{__version__}",
            "Signoff-Client": "cli",
        }

    def _exchange(self, request: urllib.request.Request, about: str) -> tuple[int, str, bytes]:
        try:
            with self._opener.open(request, timeout=CONNECT) as reply:
                return reply.status, reply.headers.get_content_type(), _body(reply)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error, request.get_method(), about) from None

    def _unreachable(self, error: Exception, method: str, about: str) -> Failure:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return Failure(
                f"The certificate of {self._url} is not trusted: name the authority's file in SSL_CERT_FILE."
            )
        why = "no answer in time" if isinstance(reason, TimeoutError) else _why(reason)
        if method == "GET" or isinstance(reason, ConnectionRefusedError):
            return Unreachable(f"{self._url} cannot be reached ({why}): check the URL, and that the server runs.")
        look = where_to_look(about, self._variable)
        return Unreachable(f"{self._url} did not answer ({why}): whether it was done is not known; {look} tells.")


class _Content(NamedTuple):
    """What a request carries, and the idempotency key that it is given."""

    body: bytes
    media_type: str = _JSON
    key: str | None = None


def _headers_of(content: _Content) -> dict[str, str]:
    key = content.key or f"cli:{secrets.token_hex(16)}"
    return {"Content-Type": content.media_type, "Idempotency-Key": key}


def ledger_pages(server: Server, after: int, filters: Params = NONE) -> Iterator[Record]:
    """The ledger's pages after the event number `after`, oldest first, to its present end."""
    while True:
        page = server.get("/v1/events", EVENT_PAGE, {**filters, "after": after, "limit": PAGE})
        yield page
        if len(page["data"]) < PAGE or page["next_after"] <= after:
            return
        after = page["next_after"]


def _why(reason: object) -> str:
    said = getattr(reason, "strerror", None) or str(reason)
    return fold(said, _LONGEST_WHY) if said else type(reason).__name__


def _body(reply: http.client.HTTPResponse) -> bytes:
    body = reply.read(_MAX_REPLY)
    if len(body) == _MAX_REPLY:
        raise untrusted("it is far too long")
    if reply.length:
        # Reading up to a limit takes a cut body for a whole one.
        raise http.client.IncompleteRead(body, reply.length)
    return body


def _with(path: str, params: Params) -> str:
    given = {name: value for name, value in params.items() if value is not None}
    return f"{path}?{_query(given)}" if given else path


def _query(params: Mapping[str, str | int]) -> str:
    try:
        return urlencode(params, errors="strict")
    except UnicodeEncodeError:
        raise click.UsageError("An option's text is not valid in this terminal's encoding.") from None


def _json(reply: bytes, media_type: str) -> Any:
    if media_type not in _MEDIA_TYPES:
        raise untrusted("it is no JSON")
    try:
        return canonical.loads(reply)
    except (canonical.MalformedJSON, canonical.NotCanonical):
        raise untrusted("it is no well-formed JSON") from None


def _problem(reply: bytes, media_type: str) -> Record | None:
    if media_type != "application/problem+json":
        return None
    try:
        found = canonical.loads(reply)
    except (canonical.MalformedJSON, canonical.NotCanonical):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("code"), str) else None


# ---------------------------------------------------------------- urllib with two timeouts and nothing automatic


class _Plain(http.client.HTTPConnection):
    answer = READ

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self.answer)


class _Secure(http.client.HTTPSConnection):
    answer = READ

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self.answer)


class _PatientPlain(_Plain):
    answer = CHANGE


class _PatientSecure(_Secure):
    answer = CHANGE


class _HeldPlain(_Plain):
    answer = HOLD + READ


class _HeldSecure(_Secure):
    answer = HOLD + READ


class _Plainly(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_fitting(req, _Plain, _HeldPlain, _PatientPlain), req)


class _Securely(urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._trusting = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        kind = _fitting(req, _Secure, _HeldSecure, _PatientSecure)
        return self.do_open(kind, req, context=self._trusting)


def _fitting(request: urllib.request.Request, read: type[K], held: type[K], change: type[K]) -> type[K]:
    """The connection whose patience is that of the request; one that the server holds says so by `wait`."""
    if request.get_method() != "GET":
        return change
    return held if "wait" in parse_qs(urlsplit(request.full_url).query) else read


def _opener(config: Config) -> urllib.request.OpenerDirector:
    """Without the handlers that follow redirects or turn statuses into exceptions."""
    opener = urllib.request.OpenerDirector()
    # A proxy of the environment is for the world outside and cannot reach this machine's loopback.
    opener.add_handler(urllib.request.ProxyHandler({} if config.is_local else None))
    if urlsplit(config.url).scheme == "https":
        opener.add_handler(_Securely(_authorities()))
    # Also with https: a proxy of the environment may be reached by http.
    opener.add_handler(_Plainly())
    return opener


def _authorities() -> ssl.SSLContext:
    """The system's, or those of SSL_CERT_FILE and SSL_CERT_DIR; where Python finds none, those that httpx brings."""
    context = ssl.create_default_context()
    found = ssl.get_default_verify_paths()
    if not (found.cafile or found.capath):
        import certifi

        context.load_verify_locations(certifi.where())
    return context
