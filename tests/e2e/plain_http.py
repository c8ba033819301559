"""HTTP with next to no cost to the client, for tests in which the server is to have the processor."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

Call = tuple[str, dict[str, Any]]
_AT_ONCE: Final = 32


async def post_all(url: str, api_key: str, calls: Sequence[Call], connections: int = _AT_ONCE) -> list[dict[str, Any]]:
    """POST each (path, body) over so many connections; the bodies of the replies, in the order of the calls.

    Raises `AssertionError` for a reply that is not a success.
    """
    replies: list[dict[str, Any]] = [{} for _ in calls]

    async def work(first: int) -> None:
        host, port = urlsplit(url).hostname or "", urlsplit(url).port
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for at in range(first, len(calls), connections):
                writer.write(_request(host, api_key, *calls[at]))
                replies[at] = await _reply(reader)
        finally:
            writer.close()
            await writer.wait_closed()

    await asyncio.gather(*(work(first) for first in range(connections)))
    return replies


def _request(host: str, api_key: str, path: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {api_key}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
    )
    return "\r\n".join((*head, "", "")).encode() + content


async def _reply(reader: asyncio.StreamReader) -> dict[str, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    body = await reader.readexactly(length)
    assert head.startswith("http/1.1 20"), (head, body)
    found: dict[str, Any] = json.loads(body)
    return found
