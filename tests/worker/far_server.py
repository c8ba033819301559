"""The far side of HTTP tools: a real server on loopback that answers with bytes, whether they are HTTP or not."""

import socket
import ssl
import threading
from dataclasses import dataclass
from typing import Self

NAME = "bank.example.com"


@dataclass
class Got:
    line: str
    headers: dict[str, str]
    body: bytes
    names: list[str]


class FarServer:
    """Answers each request with the next of `answers`, the last for all that follow; `b""` closes without a word."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: list[bytes] = [reply(b"{}")]
        self.got: list[Got] = []
        self.connections = 0
        self.asked = threading.Event()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(10)
            try:
                with (
                    connection
                    if self._context is None
                    else self._context.wrap_socket(connection, server_side=True) as made
                ):
                    self._answer(made)
            except OSError:
                connection.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            first = lines.readline().decode()
            headers: dict[str, str] = {}
            names: list[str] = []
            while (line := lines.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
                names.append(name.lower())
            body = lines.read(int(headers.get("content-length", "0")))
        self.got.append(Got(first.strip(), headers, body, names))
        self.asked.set()
        connection.sendall(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


def reply(body: bytes, status: int = 200, media: str = "application/json", **headers: str) -> bytes:
    head = {"Content-Type": media, "Content-Length": str(len(body)), "Connection": "close"}
    head |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    return "\r\n".join(lines).encode() + body
