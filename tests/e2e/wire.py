"""One TCP connection to a server, byte by byte: what an honest client would never send, and how it is answered."""

import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.server import RunningServer

_PATIENCE = 20.0


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Of a problem."""
        assert self.headers["content-type"] == "application/problem+json", self
        assert self.headers["cache-control"] == "no-store"
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["request_id"].startswith("req_")
        found: str = problem["code"]
        return found

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """Reading waits for twenty seconds at most; `narrow` has as little room for what is not read as there can be."""

    def __init__(self, server: RunningServer, *, narrow: bool = False) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(_PATIENCE)
        if narrow:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = urlsplit(server.url)
        self._socket.connect((address.hostname, address.port))
        self._read = b""

    def say(self, data: bytes) -> Self:
        self._socket.sendall(data)
        return self

    def say_while_heard(self, data: bytes, times: int) -> bool:
        """Whether it could all be sent; the far side may hang up meanwhile."""
        try:
            for _ in range(times):
                self._socket.sendall(data)
        except ConnectionError:
            return False
        return True

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing comes, not even the end, for so long."""
        self._socket.settimeout(seconds)
        try:
            more = self._socket.recv(65_536)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(_PATIENCE)
        self._read += more
        return False

    def reply(self) -> Reply:
        """The next answer. Raises `EOFError` where the connection ends instead."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        while len(self._read) < (length := int(headers.get("content-length", 0))):
            self._more()
        body, self._read = self._read[:length], self._read[length:]
        return Reply(int(first.split()[1]), headers, body)

    def replies_to_the_end(self) -> list[Reply]:
        """All that is answered until the far side ends the connection."""
        replies = []
        try:
            while True:
                replies.append(self.reply())
        except EOFError:
            assert self._read == b"", self._read
            return replies

    def hear(self, part: bytes) -> None:
        """Returns when this has come; it and all before it are forgotten."""
        while part not in self._read:
            self._more()
        self._read = b""

    def take(self, size: int) -> int:
        """So many bytes of whatever comes, or fewer at the end."""
        taken = 0
        while taken < size:
            more = self._socket.recv(min(65_536, size - taken))
            if not more:
                break
            taken += len(more)
        return taken

    def _more(self) -> None:
        try:
            more = self._socket.recv(65_536)
        except ConnectionError as error:
            raise EOFError from error
        if not more:
            raise EOFError
        self._read += more

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._socket.close()


def request(method: str, path: str, *, key: str | None = None, body: bytes | None = None, more: str = "") -> bytes:
    """An honest request; `more` are further lines of its head."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    head = "".join(f"{line}\r\n" for line in lines) + more
    return head.encode("latin-1") + b"\r\n" + (body or b"")
