"""Server-Sent Events, read as the standard says; of the product's own code nothing is used."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.server import RunningServer


@dataclass
class Block:
    """What stood between two empty lines."""

    id: str | None = None
    event: str | None = None
    data: str | None = None
    retry: str | None = None
    comment: bool = False

    def json(self) -> Any:
        assert self.data is not None
        return json.loads(self.data)


def blocks(chunks: Iterable[bytes]) -> Iterator[Block]:
    """The blocks of a stream as they are complete; one that is cut off does not count."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        for each in whole:
            yield _block(each.decode())


def _block(text: str) -> Block:
    block = Block()
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        if not name:
            block.comment = True
        else:
            assert getattr(block, name) is None, text
            setattr(block, name, value.removeprefix(" "))
    return block


@contextmanager
def following(
    server: RunningServer, query: str = "", *, key: str | None = None, last: int | None = None
) -> Iterator[Iterator[Block]]:
    """A stream of this server, which has begun."""
    headers = {"Authorization": f"Bearer {key or server.reviewer_key}"}
    if last is not None:
        headers["Last-Event-ID"] = str(last)
    with httpx.stream("GET", f"{server.url}/v1/events/stream{query}", headers=headers, timeout=30) as reply:
        assert reply.status_code == 200, reply.read()
        assert reply.headers["content-type"].partition(";")[0] == "text/event-stream"
        yield blocks(reply.iter_raw())
