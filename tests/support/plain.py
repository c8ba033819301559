"""HTTP over one connection, with next to no cost to the client."""

import json
from http.client import HTTPConnection
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """A status, the headers by lower-case name, and the JSON of the body; None where there is none."""

    status: int
    headers: dict[str, str]
    body: Any


class Plain:
    """For one thread. What breaks the connection is raised as it is; the next call opens another one."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(url.removeprefix("http://"), timeout=60)

    def call(self, method: str, path: str, key: str, body: Any = None, **headers: str) -> Answer:
        """`key` is the API key; `body` goes out as JSON, or as it is where it is bytes."""
        about = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self._connection.request(method, path, content, about)
            reply = self._connection.getresponse()
            told = reply.read()
        except BaseException:
            self._connection.close()
            raise
        named = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(reply.status, named, json.loads(told) if told else None)

    def close(self) -> None:
        self._connection.close()
