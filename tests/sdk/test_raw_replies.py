"""Bytes over a real connection that are no reply, or half of one: nothing returns, and every error is ours."""

import gzip
import json
import zlib
from collections.abc import Iterator

import pytest

from signoff import errors
from tests.sdk import replies
from tests.sdk.colours import AsyncColour, Colour, FakePace, SyncColour
from tests.sdk.raw_server import RawServer

BODY = json.dumps(replies.approved()).encode()
NO = json.dumps(replies.decided("rejected", reason="no")).encode()


def http(body: bytes, *headers: bytes, status: bytes = b"201 Created", length: int | None = None) -> bytes:
    told = b"" if length is not None and length < 0 else b"Content-Length: %d\r\n" % (length or len(body))
    lines = b"".join(line + b"\r\n" for line in headers)
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%s%s\r\n%s" % (status, told, lines, body)


def chunked(body: bytes, size: bytes, *, end: bytes = b"0\r\n\r\n") -> bytes:
    return http(size + b"\r\n" + body + b"\r\n" + end, b"Transfer-Encoding: chunked", length=-1)


GOOD = http(BODY)
WHOLE_HEAD = len(GOOD) - len(BODY)
# Odd, and the approval whole all the same.
HARMLESS = [
    GOOD,
    chunked(BODY, b"%x" % len(BODY)),
    http(BODY, *[b"X-%d: y" % number for number in range(2_000)]),
    http(BODY, b"X: \xff\xfe"),
    http(BODY, b"Content-Encoding: br"),
    http(gzip.compress(BODY)[:-8], b"Content-Encoding: gzip"),
]
HOSTILE = [
    b"",
    b"\x00" * 1_000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"<html>approved</html>",
    BODY,
    b"HTTP/1.1 201\r\n\r\n",
    b"HTTP/9.9 201 Created\r\n\r\n" + BODY,
    b"HTTP/1.1 abc Created\r\n\r\n" + BODY,
    b"HTTP/1.1 99999 Created\r\n\r\n" + BODY,
    b"HTTP/1.1 -01 Created\r\n\r\n" + BODY,
    b"HTTP/1.1 201 Cr\x00eated\r\n\r\n" + BODY,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + BODY,
    http(BODY, b"X: " + b"y" * 200_000),
    http(BODY, b"X\x00: y"),
    http(BODY, b": y"),
    http(BODY, b"no colon"),
    http(BODY, b"Content-Length: 1"),
    http(BODY, b"Content-Length: -1", length=-1),
    http(BODY, b"Content-Length: 1e3", length=-1),
    http(BODY, length=len(BODY) + 1),
    http(BODY, length=len(BODY) - 1),
    http(BODY[:-1], length=-1),
    http(BODY, b"Content-Encoding: gzip"),
    http(gzip.compress(BODY)[:60], b"Content-Encoding: gzip"),
    http(zlib.compress(BODY)[:60], b"Content-Encoding: deflate"),
    http(BODY, b"Content-Encoding: deflate"),
    http(BODY, b"Content-Type: text/html"),
    chunked(BODY, b"zz"),
    chunked(BODY, b"-1"),
    chunked(BODY, b"%x" % (len(BODY) + 5)),
    chunked(BODY, b"%x" % len(BODY), end=b""),
    chunked(BODY, b"f" * 30),
    http(b"", b"Location: http://127.0.0.1:9/", status=b"302 Found"),
    http(BODY, b"Location: ::::", status=b"307 Temporary Redirect"),
    http(BODY, b"Retry-After: " + b"9" * 400, status=b"418 I'm a teapot"),
    *(GOOD[:end] for end in range(WHOLE_HEAD)),
    *(GOOD[:end] for end in range(WHOLE_HEAD, len(GOOD), 50)),
]


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        yield running


@pytest.fixture(params=[SyncColour, AsyncColour])
def colour(request: pytest.FixtureRequest, server: RawServer) -> Iterator[Colour]:
    made: Colour = request.param(server.url, FakePace())
    yield made
    made.close()


def test_bytes_that_are_no_approval(server: RawServer, colour: Colour) -> None:
    assert len(HOSTILE) > 130
    for hostile in HOSTILE:
        # Whoever asks again is told no, and never waits.
        server.answers = [hostile, http(NO, status=b"200 OK")]
        with pytest.raises(errors.SignoffError):
            colour.require(replies.NAME, replies.CONTEXT, idempotency_key="k", timeout=5)


def test_bytes_that_are_one(server: RawServer, colour: Colour) -> None:
    for harmless in HARMLESS:
        server.answers = [harmless]
        approval = colour.require(replies.NAME, replies.CONTEXT, idempotency_key="k", timeout=5)
        assert approval.status == "approved"
