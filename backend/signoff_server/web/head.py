"""What the head of a request must be before anything is done for it, beyond what the parser asks.

A proxy and this server must never read different requests from the same bytes. So whatever could be read in two ways
is refused: RFC 9112, sections 3.2, 5, 6.1 and 6.3, and all that a server may, but need not, put up with.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from signoff_server import limits
from signoff_server.core.refusals import Refusal

_ONCE: Final = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"sec-websocket-key",
        b"transfer-encoding",
        b"upgrade",
    }
)
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_LONGEST_LENGTH: Final = 16


Headers = Sequence[tuple[bytes, bytes]]


def check(target: bytes, version: str, headers: Headers) -> dict[bytes, bytes]:
    """Those of the headers (names in lower case) that decide what a request is. Raises `Refusal`: 400 or 413."""
    if version not in ("1.1", "1.0"):
        raise malformed("Speak HTTP/1.1.")
    if target[:1] != b"/" or b"#" in target:
        raise malformed("The target of a request is a path, with or without a query.")
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ONCE:
            if name in found:
                raise malformed(f"The header {name.decode()} stands there twice.")
            found[name] = value
    _check_host(found.get(b"host"), version)
    _check_framing(found.get(b"transfer-encoding"), found.get(b"content-length"), version)
    return found


def check_size(target: bytes, headers: Headers) -> None:
    """Raises `Refusal`: 431."""
    if len(target) + sum(len(name) + len(value) + 4 for name, value in headers) > limits.HEAD_BYTES:
        raise too_long()


def expects_continue(found: Mapping[bytes, bytes], version: str) -> bool:
    """Whether the client waits for `100 Continue`. Raises `Refusal`."""
    expected = found.get(b"expect")
    if expected is None:
        return False
    if expected.lower() != b"100-continue":
        raise malformed("Expect can be 100-continue and nothing else.")
    return version == "1.1"


def check_upgrade(method: bytes, version: str, found: Mapping[bytes, bytes]) -> None:
    """Raises `Refusal` for all but what begins a websocket."""
    if found.get(b"upgrade", b"").lower() != b"websocket" or method != b"GET" or version != "1.1":
        raise malformed("The only upgrade is a GET to websocket.")
    if b"transfer-encoding" in found or int(found.get(b"content-length", b"0")) > 0:
        raise malformed("An upgrade has no body.")


def malformed(detail: str) -> Refusal:
    return Refusal("malformed_request", f"{detail} The connection is closed.")


def too_long() -> Refusal:
    return Refusal(
        "headers_too_large",
        f"Target and headers together have at most {limits.HEAD_BYTES // limits.KIB} KiB. The connection is closed.",
    )


def too_large() -> Refusal:
    return Refusal("too_large", f"A body has at most {limits.BODY_BYTES // limits.KIB} KiB.")


def _check_host(host: bytes | None, version: str) -> None:
    if host is None:
        if version == "1.1":
            raise malformed("A request has a Host header.")
    elif not _is_host(host):
        raise malformed("The Host header is a name or an address, with or without a port.")


@lru_cache(256)
def _is_host(host: bytes) -> bool:
    return _HOST.fullmatch(host) is not None


def _check_framing(coding: bytes | None, length: bytes | None, version: str) -> None:
    if coding is not None and (coding.lower() != b"chunked" or length is not None or version != "1.1"):
        raise malformed("A body has a Content-Length, or in HTTP/1.1 the Transfer-Encoding chunked and no other.")
    if length is not None:
        digits = length.strip()
        if len(digits) > _LONGEST_LENGTH or not digits.isdigit():
            raise malformed("The Content-Length is no length.")
        if int(digits) > limits.BODY_BYTES:
            raise too_large()
