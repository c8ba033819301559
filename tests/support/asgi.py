"""A request to an application in this process whose answer is read as it comes: what TestClient cannot do."""

import json
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio

from tests.support.project import Project


class Answer:
    """The answer so far; `read` waits for the next piece of its body."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.status = 0
        self.headers: dict[str, str] = {}

    async def send(self, message: Any) -> None:
        self._messages.put(message)

    def begin(self) -> None:
        start = self._messages.get(timeout=10)
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}

    def read(self) -> bytes:
        """The next piece; nothing where the answer has ended."""
        body: bytes = self._messages.get(timeout=10).get("body", b"")
        return body

    def json(self) -> Any:
        return json.loads(self.read())


@contextmanager
def asked(project: Project, who: str | None, method: str, path: str, **headers: str) -> Iterator[Answer]:
    """Ask, and read the answer while the block runs; leaving it hangs up."""
    portal, answer, split = project.client.portal, Answer(), urlsplit(path)
    assert portal is not None
    given = {"host": "testserver", **({"authorization": f"Bearer {project.keys[who]}"} if who else {}), **headers}
    hung_up, begun = portal.call(anyio.Event), iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        if (request := next(begun, None)) is not None:
            return request
        await hung_up.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": split.path,
        "query_string": split.query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in given.items()],
    }
    running = portal.start_task_soon(project.client.app, scope, receive, answer.send)
    try:
        answer.begin()
        yield answer
    finally:
        portal.call(hung_up.set)
        running.result(10)
