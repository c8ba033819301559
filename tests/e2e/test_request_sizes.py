"""How much a request may be, and what becomes of a connection whose request is more."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.wire import Wire, request
from tests.support.server import RunningServer

LARGEST = 256 * 1024
HEALTH = request("GET", "/healthz")
CHUNK = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
ENDLESS = 200
CHUNKED = "Transfer-Encoding: chunked\r\n"
EXPECT = "Expect: 100-continue\r\n"
BODY = b'{"name":"a"}'

# Each is one head that is too large, whole or not.
LARGE_HEADS: dict[str, bytes] = {
    "one header": request("GET", "/healthz", more=f"X-A: {'a' * 40_000}\r\n"),
    "one header without an end": request("GET", "/healthz", more=f"X-A: {'a' * 40_000}")[:-2],
    "many headers": request("GET", "/healthz", more="X-A: b\r\n" * 5_000),
    "a path": request("GET", "/" + "a" * 40_000),
    "a path without an end": b"GET /" + b"a" * 40_000,
    "a query": request("GET", "/healthz?" + "a" * 40_000),
    "a name": request("GET", "/healthz", more=f"{'a' * 40_000}: b\r\n"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("sizes")) as running:
        yield running
        assert not re.search("Traceback|ERROR", running.log())


@pytest.fixture
def key(server: RunningServer) -> str:
    return server.app_key


def too_much(method: str, path: str, key: str, more: str = "") -> bytes:
    """The head of a request whose body, it says, is a byte too large."""
    return request(method, path, key=key, more=f"Content-Length: {LARGEST + 1}\r\n{more}")


def count(server: RunningServer) -> int:
    return len(httpx.get(f"{server.url}/v1/approvals?limit=200", headers=server.reviewer()).json()["data"])


@pytest.mark.parametrize("shape", LARGE_HEADS)
def test_a_head_that_is_too_large(server: RunningServer, shape: str) -> None:
    with Wire(server) as wire:
        (reply,) = wire.say(LARGE_HEADS[shape]).replies_to_the_end()
        assert (reply.status, reply.code) == (431, "headers_too_large")
    with Wire(server) as wire:
        assert wire.say(HEALTH).reply().status == 200
        (reply,) = wire.say(LARGE_HEADS[shape]).replies_to_the_end()
        assert reply.status == 431


def test_a_head_that_comes_in_parts_behind_another_request(server: RunningServer) -> None:
    with Wire(server) as wire:
        assert wire.say(HEALTH + LARGE_HEADS["one header"][:-9]).reply().status == 200
        (reply,) = wire.say(LARGE_HEADS["one header"][-9:]).replies_to_the_end()
        assert reply.code == "headers_too_large"


def test_a_head_that_is_just_not_too_large(server: RunningServer) -> None:
    with Wire(server) as wire:
        for _ in range(3):
            wire.say(request("GET", "/healthz", more=f"X-A: {'a' * 32_000}\r\n"))
            assert wire.reply().status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/approvals"), ("GET", "/healthz"), ("DELETE", "/v1/keys/x"), ("PUT", "/nothing")]
)
def test_a_body_that_is_too_large(server: RunningServer, key: str, method: str, path: str) -> None:
    before = count(server)
    with Wire(server) as wire:
        # It is told before the body comes, and also to somebody who sends all of it first.
        (reply,) = wire.say(too_much(method, path, key) + b"x" * (LARGEST + 1)).replies_to_the_end()
    assert (reply.status, reply.code, reply.headers["connection"]) == (413, "too_large", "close")
    assert count(server) == before


def test_who_is_refused_may_finish_what_it_says(server: RunningServer, key: str) -> None:
    for said in (too_much("POST", "/v1/approvals", key), b"no request\r\n\r\n"):
        with Wire(server) as wire:
            assert wire.say(said).reply().status in (400, 413)
            assert wire.say_while_heard(b"x" * 1_000, 100)


def test_a_body_in_chunks_that_never_ends(server: RunningServer, key: str) -> None:
    with Wire(server) as wire:
        wire.say(request("POST", "/v1/approvals", key=key, more=CHUNKED + "Content-Type: application/json\r\n"))
        wire.say(CHUNK * 5)
        assert wire.reply().code == "too_large"
        assert not wire.say_while_heard(CHUNK, ENDLESS)


@pytest.mark.parametrize(
    "frame", [b"1;" + b"a" * 60_000 + b"\r\nx\r\n", b"1\r\nx\r\n" * 10_000], ids=["extensions", "single bytes"]
)
def test_what_frames_a_body_counts_too(server: RunningServer, key: str, frame: bytes) -> None:
    with Wire(server) as wire:
        wire.say(request("POST", "/v1/approvals", key=key, more=CHUNKED))
        wire.say(frame * 30)
        assert wire.reply().code == "too_large"
        assert not wire.say_while_heard(frame, ENDLESS)


def test_a_trailer_that_never_ends(server: RunningServer, key: str) -> None:
    with Wire(server) as wire:
        wire.say(request("POST", "/v1/approvals", key=key, more=CHUNKED) + b"0\r\nX-A: ")
        wire.say(b"a" * 1_500_000)
        assert wire.reply().code == "too_large"
        assert not wire.say_while_heard(b"a" * 65_536, ENDLESS)


def test_what_follows_an_early_answer_is_read_and_dropped_within_bounds(server: RunningServer) -> None:
    head = request("POST", "/v1/approvals", key="wrong", more=CHUNKED)
    with Wire(server) as wire:
        assert wire.say(head + CHUNK).reply().code == "unauthenticated"
        wire.say(CHUNK * 2 + b"0\r\n\r\n")
        assert wire.say(HEALTH).reply().status == 200
    with Wire(server) as wire:
        assert wire.say(head + CHUNK).reply().code == "unauthenticated"
        assert not wire.say_while_heard(CHUNK, ENDLESS)
        assert wire.replies_to_the_end() == []


def test_the_largest_body_passes(server: RunningServer, key: str) -> None:
    body = b'{"name":"a"' + b" " * (LARGEST - 12) + b"}"
    with Wire(server) as wire:
        assert wire.say(request("POST", "/v1/approvals", key=key, body=body)).reply().status == 201
        assert wire.say(HEALTH).reply().status == 200


def test_who_waits_to_be_told_to_go_on(server: RunningServer, key: str) -> None:
    head = request("POST", "/v1/approvals", key=key, body=BODY, more=EXPECT).removesuffix(BODY)
    with Wire(server) as wire:
        assert wire.say(head).reply().status == 100
        (made,) = wire.say(BODY).replies_to_the_end()
        assert (made.status, made.headers["connection"]) == (201, "close")
    with Wire(server) as wire:
        (refused,) = wire.say(head.replace(key.encode(), b"wrong")).replies_to_the_end()
        assert (refused.status, refused.headers["connection"]) == (401, "close")
    with Wire(server) as wire:
        (large,) = wire.say(too_much("POST", "/v1/approvals", key, EXPECT)).replies_to_the_end()
        assert large.code == "too_large"


def test_a_body_whose_sender_hangs_up(server: RunningServer, key: str) -> None:
    before = count(server)
    with Wire(server) as wire:
        wire.say(request("POST", "/v1/approvals", key=key, more="Content-Length: 12\r\n") + BODY[:-1])
    with Wire(server) as wire:
        assert wire.say(HEALTH).reply().status == 200
    assert count(server) == before
