"""Bytes that two programs could read as different requests: refused, the connection ended, nothing carried out."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.wire import Wire, request
from tests.support.server import RunningServer

HOST = b"Host: localhost\r\n"
BODY = b'{"name":"carried"}'
CHUNKED = b"12\r\n" + BODY + b"\r\n0\r\n\r\n"
HEALTH = request("GET", "/healthz")
HELD = request("GET", "/v1/approvals/ID?wait=1", key="KEY")
SOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def create(framing: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
    """Asks for an approval, with these lines in its head."""
    return (
        b"POST /v1/approvals HTTP/" + version + b"\r\n" + HOST + b"Authorization: Bearer KEY\r\n"
        b"Content-Type: application/json\r\n" + framing + b"\r\n" + body
    )


def lines(*of: bytes, first: bytes = b"GET /healthz HTTP/1.1", end: bytes = b"\r\n") -> bytes:
    return first + end + b"".join(line + end for line in of) + end


def length(value: bytes) -> bytes:
    return create(b"Content-Length: " + value + b"\r\n", BODY)


def coding(*values: bytes) -> bytes:
    return create(b"".join(b"Transfer-Encoding: " + value + b"\r\n" for value in values), CHUNKED)


def chunks(body: bytes) -> bytes:
    return create(b"Transfer-Encoding: chunked\r\n", body)


def target(value: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return lines(HOST.strip(), first=method + b" " + value + b" " + version)


def header(line: bytes) -> bytes:
    return lines(HOST.strip(), line)


REFUSED: dict[str, bytes] = {
    # the length
    "length and chunks": create(b"Content-Length: 18\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
    "chunks and length": create(b"Transfer-Encoding: chunked\r\nContent-Length: 18\r\n", CHUNKED),
    "two lengths": create(b"Content-Length: 18\r\nContent-Length: 17\r\n", BODY),
    "the same length twice": create(b"Content-Length: 18\r\nContent-Length: 18\r\n", BODY),
    "two lengths without a body": header(b"Content-Length: 0\r\nContent-Length: 0"),
    "a list of lengths": length(b"18, 18"),
    "length with plus": length(b"+18"),
    "length with minus": length(b"-18"),
    "length with a space in it": length(b"1 8"),
    "length in hex": length(b"0x12"),
    "length with an underscore": length(b"1_8"),
    "length with a point": length(b"18.0"),
    "length in other digits": length("١٨".encode()),
    "no length": length(b""),
    "a huge length": length(b"9" * 30),
    "a length that wraps around": length(b"18446744073709551634"),
    "a length of many zeros": length(b"0" * 5_000 + b"18"),
    # the coding
    "another coding": coding(b"xchunked"),
    "a coding after chunked": coding(b"chunked, identity"),
    "a coding before chunked": coding(b"gzip, chunked"),
    "identity before chunked": coding(b"identity, chunked"),
    "chunked twice": coding(b"chunked, chunked"),
    "an empty coding before chunked": coding(b",chunked"),
    "identity": coding(b"identity"),
    "no coding": coding(b""),
    "chunked in quotes": coding(b'"chunked"'),
    "chunked with a parameter": coding(b"chunked;x=1"),
    "a vertical tab before chunked": coding(b"\x0bchunked"),
    "a form feed after chunked": coding(b"chunked\x0c"),
    "two headers of chunked": coding(b"chunked", b"chunked"),
    "two headers of codings": coding(b"identity", b"chunked"),
    "a folded coding": create(b"Transfer-Encoding:\r\n chunked\r\n", CHUNKED),
    "chunks in HTTP/1.0": create(b"Transfer-Encoding: chunked\r\n", CHUNKED, b"1.0"),
    # the chunks
    "a chunk size that is none": chunks(b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size with 0x": chunks(b"0x12\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size with plus": chunks(b"+12\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size with minus": chunks(b"-12\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a space before a chunk size": chunks(b" 12\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a space after a chunk size": chunks(b"12 \r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size that wraps around": chunks(b"10000000000000012\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size with LF": chunks(b"12\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk with LF": chunks(b"12\r\n" + BODY + b"\n0\r\n\r\n"),
    "a chunk longer than its size": chunks(b"12\r\n" + BODY + b"XX\r\n0\r\n\r\n"),
    "a chunk extension with LF": chunks(b"12;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk extension with NUL": chunks(b"12;a\0b\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a last chunk with LF": chunks(b"12\r\n" + BODY + b"\r\n0\n\n"),
    "a length in the trailer": chunks(b"12\r\n" + BODY + b"\r\n0\r\nContent-Length: 5\r\n\r\n"),
    # the lines
    "a folded header": header(b"X-A: b\r\n c"),
    "a folded first header": lines(b" " + HOST.strip()),
    "a space before a colon": header(b"X-A : b"),
    "a space before the colon of a length": create(b"Content-Length : 18\r\n", BODY),
    "a tab before a colon": header(b"X-A\t: b"),
    "no colon": header(b"X-A"),
    "no name": header(b": b"),
    "LF for CRLF": lines(HOST.strip(), end=b"\n"),
    "LF in a header": header(b"X-A: b\nX-B: c"),
    "CR in a header": header(b"X-A: b\rX-B: c"),
    "CR at the end of a header": header(b"X-A: b\r"),
    "NUL in a header": header(b"X-A: b\0c"),
    "NUL in a name": header(b"X-\0: b"),
    "a control character in a header": header(b"X-A: b\x01c"),
    "a parenthesis in a name": header(b"X(: b"),
    "a letter beyond ASCII in a name": header(b"X\xe4: b"),
    # who is meant
    "no host": lines(),
    "two hosts": header(HOST.strip()),
    "two hosts that differ": header(b"Host: evil.example"),
    "a list of hosts": lines(b"Host: localhost, evil.example"),
    "a user in the host": lines(b"Host: localhost:80@evil.example"),
    "a port that is none": lines(b"Host: localhost:evil"),
    "a path in the host": lines(b"Host: localhost/healthz"),
    "two keys": header(b"Authorization: Bearer KEY\r\nAuthorization: Bearer x"),
    # what is meant
    "a whole URL": target(b"http://localhost/healthz"),
    "a whole URL of another": target(b"http://evil.example/healthz"),
    "a URL with a user": target(b"http://localhost@evil.example/healthz"),
    "a name and a port": target(b"localhost:80"),
    "a tunnel": target(b"localhost:80", b"CONNECT"),
    "a tunnel to a path": target(b"/healthz", b"CONNECT"),
    "a star": target(b"*", b"OPTIONS"),
    "a query alone": target(b"?x"),
    "a fragment": target(b"/healthz#x"),
    "a backslash": target(b"\\healthz"),
    "a space in the path": target(b"/health z"),
    "a tab after the path": lines(HOST.strip(), first=b"GET /healthz\tHTTP/1.1"),
    "NUL in the path": target(b"/health\0z"),
    "a letter beyond ASCII in the path": target(b"/health\xe4"),
    # which protocol
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/0.9 by name": target(b"/healthz", version=b"HTTP/0.9"),
    "HTTP/1.2": target(b"/healthz", version=b"HTTP/1.2"),
    "HTTP/1.10": target(b"/healthz", version=b"HTTP/1.10"),
    "HTTP/2 by name": target(b"/healthz", version=b"HTTP/2.0"),
    "http in small letters": target(b"/healthz", version=b"http/1.1"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "a hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 50,
    "no request": b"hello\r\n\r\n",
    "a method in small letters": target(b"/healthz", b"get"),
    "a method that is none": target(b"/healthz", b"FOO"),
    # what is expected of the server
    "another expectation": create(b"Expect: 200-ok\r\nContent-Length: 18\r\n", BODY),
    "two expectations": create(b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 18\r\n", BODY),
    "an upgrade to HTTP/2": header(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA"),
    "an upgrade to anything": create(b"Connection: Upgrade\r\nUpgrade: foo\r\nContent-Length: 18\r\n", BODY),
    "an upgrade to two things": header(SOCKET.strip() + b"\r\nUpgrade: h2c"),
    "an upgrade with a body": header(SOCKET + b"Content-Length: 5"),
    "an upgrade with chunks": header(SOCKET + b"Transfer-Encoding: chunked"),
    "an upgrade by POST": lines(HOST.strip(), SOCKET.strip(), first=b"POST /v1/approvals/watch HTTP/1.1"),
    "an upgrade in HTTP/1.0": lines(HOST.strip(), SOCKET.strip(), first=b"GET /v1/approvals/watch HTTP/1.0"),
    "a websocket of another version": header(SOCKET.replace(b"13", b"8").strip()),
    "a websocket without a key": header(SOCKET.partition(b"Sec-WebSocket-Key")[0].strip()),
    "a websocket with a wrong key": header(SOCKET.replace(b"ZQ==", b"").strip()),
}
# What is answered before the broken request, that one included; then the connection ends.
AFTER_HONEST_ONES: dict[str, tuple[bytes, list[int]]] = {
    "garbage": (HEALTH + create(b"Content-Length: 18\r\n", BODY) + b"garbage\r\n\r\n", [200, 201, 400]),
    "a body longer than its length": (create(b"Content-Length: 18\r\n", BODY + b"XX"), [201, 400]),
    "a body for a GET": (request("GET", "/healthz", body=HEALTH) + b"XX" + HEALTH, [200, 400]),
    "a broken body": (HEALTH * 3 + chunks(b"zz\r\n"), [200, 200, 200, 400]),
    "a broken body behind a held request": (HELD + chunks(b"zz\r\n"), [200, 400]),
    "an upgrade behind a held request": (HELD + header(SOCKET.strip()), [200, 400]),
}
HONEST: dict[str, tuple[bytes, list[int]]] = {
    "a length": (length(b"18"), [201]),
    "a length with spaces around": (length(b"18 \t "), [201]),
    "a length with zeros": (length(b"00018"), [201]),
    "chunks": (coding(b"chunked"), [201]),
    "Chunks": (coding(b"Chunked"), [201]),
    "chunks of one byte": (chunks(b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"), [201]),
    "chunks with extensions": (chunks(b'12;a=b;c="d"\r\n' + BODY + b"\r\n0;e\r\n\r\n"), [201]),
    "chunks for a GET": (header(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", [200]),
    "empty lines before a request": (b"\r\n\r\n" + HEALTH, [200]),
    "letters beyond ASCII in a header": (header(b"X-A: \xe4"), [200]),
    "a port": (lines(b"Host: localhost:8484"), [200]),
    "an address": (lines(b"Host: [::1]:8484"), [200]),
    "the name of another": (lines(b"Host: evil.example"), [400]),
    "an upgrade that is not asked for": (header(b"Upgrade: h2c"), [200]),
    "many at once": (HEALTH * 60, [200] * 60),
    "a request in the body of another": (request("GET", "/healthz", body=HEALTH), [200]),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("shapes")) as running:
        yield running
        assert not re.search("Traceback|ERROR", running.log())


@pytest.fixture
def key(server: RunningServer) -> bytes:
    return server.app_key.encode()


class Approvals:
    def __init__(self, http: httpx.Client, server: RunningServer) -> None:
        self._http = http
        self._server = server

    def ask(self, name: str) -> str:
        """The id of a pending approval."""
        made = self._http.post("/v1/approvals", headers=self._server.app(), json={"name": name})
        found: str = made.json()["id"]
        return found

    def last(self) -> str:
        """The name of the one that was asked for last."""
        found = self._http.get("/v1/approvals?limit=1", headers=self._server.reviewer()).json()["data"]
        name: str = found[0]["name"]
        return name


@pytest.fixture(scope="module")
def approvals(server: RunningServer) -> Iterator[Approvals]:
    with httpx.Client(base_url=server.url) as http:
        yield Approvals(http, server)


@pytest.mark.parametrize("shape", REFUSED)
def test_it_is_refused_and_ends_the_connection(
    server: RunningServer, approvals: Approvals, key: bytes, shape: str
) -> None:
    approvals.ask("begin")
    hidden = create(b"Content-Length: 18\r\n", BODY)
    with Wire(server) as wire:
        replies = wire.say((REFUSED[shape] + hidden).replace(b"KEY", key)).replies_to_the_end()
    assert [(reply.status, reply.code) for reply in replies] == [(400, "malformed_request")]
    assert replies[0].headers["connection"] == "close"
    assert approvals.last() == "begin"


@pytest.mark.parametrize("shape", AFTER_HONEST_ONES)
def test_what_came_whole_before_is_answered_first(
    server: RunningServer, approvals: Approvals, key: bytes, shape: str
) -> None:
    said, expected = AFTER_HONEST_ONES[shape]
    said = said.replace(b"KEY", key).replace(b"ID", approvals.ask("held").encode())
    with Wire(server) as wire:
        replies = wire.say(said + HEALTH).replies_to_the_end()
    assert [reply.status for reply in replies] == expected
    assert replies[-1].code == "malformed_request"


@pytest.mark.parametrize("shape", HONEST)
def test_honest_requests_are_answered_and_the_connection_lives(server: RunningServer, key: bytes, shape: str) -> None:
    said, expected = HONEST[shape]
    with Wire(server) as wire:
        wire.say(said.replace(b"KEY", key))
        assert [wire.reply().status for _ in expected] == expected
        assert wire.say(HEALTH).reply().status == 200


def test_requests_are_answered_in_their_order(server: RunningServer, approvals: Approvals) -> None:
    asked = approvals.ask("held")
    wanted = [f"order.n{at}" for at in range(20)]
    held = request("GET", f"/v1/approvals/{asked}?wait=1", key=server.app_key)
    with Wire(server) as wire:
        wire.say(held)
        for name in wanted:
            wire.say(request("POST", "/v1/approvals", key=server.app_key, body=b'{"name":"%s"}' % name.encode()))
        assert wire.reply().json()["id"] == asked
        assert [wire.reply().json()["name"] for _ in wanted] == wanted


def test_so_many_requests_wait_on_a_connection_and_no_more(server: RunningServer) -> None:
    with Wire(server) as wire:
        replies = wire.say(HEALTH * 500).replies_to_the_end()
    assert [reply.status for reply in replies] == [200] * 101 + [429]
    assert replies[-1].code == "rate_limited"
    assert replies[-1].headers["retry-after"] == "1"


def test_a_trailer_does_not_pass_for_a_header(server: RunningServer, approvals: Approvals) -> None:
    approvals.ask("begin")
    key = server.app_key.encode()
    without_key = create(b"Transfer-Encoding: chunked\r\n", b"").replace(b"Authorization: Bearer KEY\r\n", b"")
    with Wire(server) as wire:
        wire.say(without_key + b"12\r\n" + BODY + b"\r\n0\r\nAuthorization: Bearer " + key + b"\r\n\r\n")
        assert wire.reply().code == "unauthenticated"
        assert wire.say(request("GET", "/v1/approvals")).reply().code == "unauthenticated"
    assert approvals.last() == "begin"


def test_a_refused_handshake_is_told_as_a_problem(server: RunningServer) -> None:
    for path, code in (("/v1/approvals/watch", "unauthenticated"), ("/healthz", "not_found")):
        with Wire(server) as wire:
            replies = wire.say(request("GET", path, more=SOCKET.decode())).replies_to_the_end()
        assert [reply.code for reply in replies] == [code]
    with Wire(server) as wire:
        line = SOCKET.decode() + f"X-A: {'a' * 20_000}\r\n"
        replies = wire.say(request("GET", "/v1/approvals/watch", more=line)).replies_to_the_end()
    assert [reply.code for reply in replies] == ["headers_too_large"]
