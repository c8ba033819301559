"""A server that answers what a test tells it to, and the command line in front of it."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from signoff.cli import signoff

KEY = "sgo_test_reviewer"
APP_KEY = "sgo_test_app"
Run = Callable[..., Result]


@dataclass
class Asked:
    """One request as it arrived; its body is what JSON says, or text of another kind."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @classmethod
    def of(cls, body: Any, status: int = 200, **headers: str) -> Self:
        """JSON, or bytes as they are; a problem document where the status says so."""
        media = "application/problem+json" if status >= 400 else "application/json"
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, encoded, {"Content-Type": media, **given})


def problem(status: int, code: str, detail: str = "Because.", **more: Any) -> Answer:
    document = {"type": f"urn:signoff:problem:{code}", "title": "No", "status": status, "detail": detail}
    return Answer.of(document | {"code": code, "request_id": "req_1"} | more, status)


@dataclass
class FakeServer:
    """Answers each path with what was told for it, in turn, and with the last of that for ever; 404 else."""

    url: str = ""
    listening: ThreadingHTTPServer | None = None
    asked: list[Asked] = field(default_factory=list)
    _answers: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)

    def tell(self, method: str, path: str, *bodies: Any) -> None:
        """Tell it JSON bodies, or whole answers."""
        answers = [body if isinstance(body, Answer) else Answer.of(body) for body in bodies]
        self._answers[method, path] = answers

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """From now on only by TLS."""
        assert self.listening is not None
        # The handshake is left to the thread of each connection, so that one that fails holds up no other.
        self.listening.socket = context.wrap_socket(
            self.listening.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = self.url.replace("http:", "https:")

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        told = self._answers.get((asked.method, asked.path))
        if not told:
            body = {
                "title": "No",
                "status": 404,
                "detail": "None.",
                "code": "not_found",
                "type": "x",
                "request_id": "r",
            }
            return Answer(404, json.dumps(body).encode(), {"Content-Type": "application/problem+json"})
        return told.pop(0) if len(told) > 1 else told[0]


class Listening(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or trusts nobody, is the test's business."""


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    server = FakeServer()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            sent = self.rfile.read(length)
            body = json.loads(sent) if self.headers.get_content_type() == "application/json" else sent.decode()
            split = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.answer(Asked(self.command, split.path, query, headers, body))
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """A test prints nothing."""

    with Listening(("127.0.0.1", 0), Handler) as listening:
        server.listening = listening
        server.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        listening.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIGNOFF_URL", "SIGNOFF_API_KEY", "SIGNOFF_REVIEWER_KEY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command against the fake server."""
    monkeypatch.setenv("SIGNOFF_URL", fake.url)
    monkeypatch.setenv("SIGNOFF_REVIEWER_KEY", KEY)
    monkeypatch.setenv("SIGNOFF_API_KEY", APP_KEY)
    return invoke


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(signoff, arguments, prog_name="signoff", catch_exceptions=False)
