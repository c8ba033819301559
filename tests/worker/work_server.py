"""The server of a worker in a process of its own: hands out what a test offers, and may be stopped and begun again."""

import json
import queue
import select
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = tuple[int, Any]


def item(number: int = 1, tool: str = "a.tool", **more: Any) -> dict[str, Any]:
    return {
        "id": f"wrk_{number}",
        "execution_id": f"exe_{number}",
        "workflow_id": "payments",
        "node_id": "submit",
        "tool": tool,
        "visit": 1,
        "attempt": 1,
        "fence": 7,
        "execution_key": f"exe_{number}/submit/1",
        "input": {},
        "approval_id": None,
        "lease_until": "2026-11-25T12:00:30Z",
        "deadline": None,
        "max_attempts": 3,
        **more,
    }


class WorkServer:
    """`answers` are told first, by the last word of the path; None closes the connection without one."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, list[Answer | None]] = {}
        self.keys: set[str] = set()
        self._offers: queue.Queue[list[dict[str, Any]]] = queue.Queue()
        self._given: dict[str, list[dict[str, Any]]] = {}
        self._changed = threading.Condition()
        self._port = 0
        self.begin()

    def begin(self) -> None:
        self._listening = _Listening(("127.0.0.1", self._port), _handler(self))
        self._port = self._listening.server_port
        self.url = f"http://127.0.0.1:{self._port}"
        self._thread = threading.Thread(target=self._listening.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        """Whoever waits for work gets none."""
        self._listening.is_over = True
        self._listening.shutdown()
        self._thread.join(10)
        self._listening.server_close()

    def offer(self, *items: dict[str, Any]) -> None:
        self._offers.put(list(items))

    def sent(self, verb: str) -> list[dict[str, Any]]:
        return [body for path, body in list(self.asked) if path.endswith(f"/{verb}")]

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait for requests until it is so."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout=60), self.asked

    def answer(
        self, path: str, key: str, body: dict[str, Any], server: "_Listening", gone: Callable[[], bool]
    ) -> Answer | None:
        with self._changed:
            self.asked.append((path, body))
            self.keys.add(key)
            self._changed.notify_all()
        verb = path.rpartition("/")[2]
        if told := self.answers.get(verb):
            return told.pop(0)
        if verb == "lease":
            return 200, {"items": self._lease(body, server, gone)}
        if verb == "heartbeat":
            return 200, {"lease_until": "2026-11-25T12:00:30Z", "cancelled": False}
        return 200, {"id": path.split("/")[3], "status": "completed"}

    def _lease(self, body: dict[str, Any], server: "_Listening", gone: Callable[[], bool]) -> list[dict[str, Any]]:
        if body["request"] not in self._given:
            found: list[dict[str, Any]] = []
            for _ in range(body["wait"] * 20):
                try:
                    found = self._offers.get(timeout=0.05)
                    if gone():
                        # Whoever asked has died: it is for the next one.
                        self._offers.put(found)
                        return []
                    break
                except queue.Empty:
                    if server.is_over:
                        break
            self._given[body["request"]] = found
        return self._given[body["request"]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Listening(ThreadingHTTPServer):
    daemon_threads = False
    is_over = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that goes away is the test's business."""


def _handler(work: WorkServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _gone(self) -> bool:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            listening = self.server
            assert isinstance(listening, _Listening)
            answer = work.answer(self.path, self.headers["authorization"], body, listening, self._gone)
            if answer is None:
                self.close_connection = True
                return
            status, said = answer
            text = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/problem+json" if status >= 400 else "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """A test prints nothing."""

    return Handler


def problem(status: int, code: str) -> Answer:
    return status, {
        "type": f"urn:signoff:problem:{code}",
        "title": "No",
        "status": status,
        "detail": "Because.",
        "code": code,
        "request_id": "req_1",
    }
