"""What the head of a request must be before anything is done for it, beyond what the parser asks.

A proxy and this server must never read different requests from the same bytes. So whatever could be read in two ways
is refused: RFC 9112, sections 3.2, 5, 6.1 and 6.3, and all that a server may, but need not, put up with.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

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


class Head(NamedTuple):
    """`upgrade`: it asks for another protocol. Names of headers are in lower case."""

    method: bytes
    target: bytes
    version: str
    headers: Sequence[tuple[bytes, bytes]]
    upgrade: bool


def check(head: Head) -> bool:
    """Whether the client waits for `100 Continue`. Raises `Refusal`: 400, 413 or 431."""
    if head.version not in ("1.1", "1.0"):
        raise malformed("Speak HTTP/1.1.")
    if not head.target.startswith(b"/") or b"#" in head.target:
        raise malformed("The target of a request is a path, with or without a query.")
    found = _found_once(head)
    _check_host(found.get(b"host"), head.version)
    _check_framing(found, head.version)
    if head.upgrade:
        _check_upgrade(head, found)
    expected = found.get(b"expect")
    if expected is not None and expected.lower() != b"100-continue":
        raise malformed("Expect can be 100-continue and nothing else.")
    return expected is not None and head.version == "1.1"


def malformed(detail: str) -> Refusal:
    return Refusal("malformed_request", f"{detail} The connection is closed.")


def _found_once(head: Head) -> Mapping[bytes, bytes]:
    """The headers that decide what a request is. Raises `Refusal` where there are two of one name."""
    found: dict[bytes, bytes] = {}
    size = len(head.target)
    for name, value in head.headers:
        size += len(name) + len(value) + 4
        if name in _ONCE:
            if name in found:
                raise malformed(f"The header {name.decode()} stands there twice.")
            found[name] = value
    if size > limits.HEAD_BYTES:
        raise too_long()
    return found


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
    elif not _HOST.fullmatch(host):
        raise malformed("The Host header is a name or an address, with or without a port.")


def _check_framing(found: Mapping[bytes, bytes], version: str) -> None:
    coding, length = found.get(b"transfer-encoding"), found.get(b"content-length")
    if coding is not None and (coding.lower() != b"chunked" or length is not None or version != "1.1"):
        raise malformed("A body has a Content-Length, or in HTTP/1.1 the Transfer-Encoding chunked and no other.")
    if length is not None:
        digits = length.strip()
        if len(digits) > _LONGEST_LENGTH or not digits.isdigit():
            raise malformed("The Content-Length is no length.")
        if int(digits) > limits.BODY_BYTES:
            raise too_large()


def _check_upgrade(head: Head, found: Mapping[bytes, bytes]) -> None:
    if found.get(b"upgrade", b"").lower() != b"websocket" or head.method != b"GET" or head.version != "1.1":
        raise malformed("The only upgrade is a GET to websocket.")
    if b"transfer-encoding" in found or int(found.get(b"content-length", b"0")) > 0:
        raise malformed("An upgrade has no body.")
