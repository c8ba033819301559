"""Odd bytes in every place of a request that takes text: path, query, headers. No client would send them, so a bare
socket does; the answers are held against `openapi.yaml` all the same.
"""

import json
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, Final
from urllib.parse import quote

import yaml
from jsonschema import Draft202012Validator

from signoff_server.web.routes import ROUTES, Route
from tests.fuzz.generated import BEST, DOCUMENT, Sent
from tests.fuzz.runs import WORKFLOW
from tests.fuzz.target import Target

TEXTS: Final = (
    "",
    " ",
    "a\x00b",
    "\x00",
    "a\nb",
    "\r\nX-Injected: 1",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "é",
    "\u202e\u2066txt.exe",
    "\ufeffapr",
    "ﬁ",
    "İı",
    "😀",
    "\ufffe",
    "..",
    "../../healthz",
    "a/b",
    "\\",
    "\\%",
    "%",
    "_",
    "*",
    "?",
    "[a-z]",
    "'",
    '"',
    "' OR 1=1 --",
    "0x10",
    "1e3",
    "-1",
    "+1",
    "1_0",
    "١",
    "9" * 17,
    "9" * 400,
    "nan",
    "true",
    "null",
    "prn_",
    "apr_" + "0" * 26,
    "APR_" + "Z" * 26,
    "x" * 5_000,
)
# Not text at all, or badly written: as it stands in the request line.
RAW: Final = (b"%", b"%0", b"%zz", b"%00", b"%2500", b"%ff", b"%c3%28", b"%c0%af", b"%ed%a0%80", b"%f4%90%80%80", b"+")
HEADERS: Final = ("Idempotency-Key", "Authorization", "Content-Type", "Signoff-Client", "Accept", "X-Request-Id")
# What a header may hold beyond text; a control byte or U+0000 makes it no HTTP at all.
RAW_HEADERS: Final = (b"\x00", b"a\x00b", b"\x01", b"\x1b[2J", b"\xff\xfe", b"\xc3\x28", b"\x80", b"a\tb", b"x" * 256)
_BODIES: Final = {
    "decision": {"decision": "rejected", "reason": "no"},
    "decisions": {"decisions": [{"id": "apr_x", "decision": "approved"}]},
    "redeem": {"binding": "x", "redeemer": "r"},
    "renew": {"fence": 7},
    "outcome": {"fence": 7, "outcome": "failed"},
    "resolve": {"outcome": "release", "reason": "no"},
    "principals": {"name": "app", "kind": "human"},
    "users": {"name": "alice", "role": "reviewer"},
    "keys": {"principal": "prn_x", "scopes": ["work"]},
    "approvals": {"name": "a"},
    "approve": {"decision": "approved"},
    "signal": {"name": "paid"},
    "executions": {"workflow_id": WORKFLOW},
    "lease": {"request": "r", "tools": [{"name": "nobodys"}]},
    "heartbeat": {"fence": 7},
    "complete": {"fence": 7},
    "fail": {"fence": 7, "outcome": "failed", "message": "no"},
    "judge": {"name": "payments.submit"},
    "policy": {"blocked_tools": ["never.*"]},
    "workflows": {"workflow": {"id": "odd", "version": "1.0.0", "start": "end"}, "nodes": {"end": {"type": "end"}}},
}


@dataclass(frozen=True, slots=True)
class Odd:
    """One request as it is sent, without what every request has."""

    route: Route
    target: bytes
    header: tuple[bytes, bytes] | None = None


def every(target: Target) -> Iterator[Odd]:
    """Each odd text in each place, one at a time."""
    for route in ROUTES:
        real = _real(target, route.path)
        path = _path(route.path, real)
        for name in real:
            for text in _targets():
                yield Odd(route, _path(route.path, real | {name: text}))
        for name in () if route.query is None else (*route.query.model_fields, "nothing", ""):
            for text in _targets():
                yield Odd(route, path + b"?" + name.encode() + b"=" + text)
        names = HEADERS if route.body is not None else ("Authorization", "Accept") if route.scopes else ("Accept",)
        for header in (*names, *(("Last-Event-ID",) if route.resumed else ())):
            for value in _header_values():
                yield Odd(route, path, (header.encode(), value))


def _real(target: Target, path: str) -> dict[str, bytes]:
    """What stands in the path, by name: things that are over, so that they stay as they are."""
    chance = random.Random(0)
    match path.split("/")[2:3]:
        case ["executions"]:
            found = target.runs.some(chance, "failed")["id"]
        case ["work"]:
            found = target.runs.some_item(chance)["id"]
        case ["workflows"]:
            found = WORKFLOW
        case _:
            found = target.some(chance, "rejected")["id"]
    return {name: known.encode() for name, known in (("id", found), ("node_id", "plain")) if f"{{{name}}}" in path}


def _path(path: str, given: dict[str, bytes]) -> bytes:
    found = path.encode()
    for name, text in given.items():
        found = found.replace(b"{%s}" % name.encode(), text)
    return found


def _targets() -> Iterator[bytes]:
    yield from (quote(text, safe="").encode() for text in TEXTS)
    yield from RAW


def _header_values() -> Iterator[bytes]:
    yield from (text.encode() for text in TEXTS if not set(text) & set("\r\n\x00"))
    yield from RAW_HEADERS


class Wire:
    """Sends them over one connection, which is opened again where the server closes it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._host = target.url.removeprefix("http://").encode()
        self._connection: socket.socket | None = None
        document = yaml.safe_load(DOCUMENT.read_text())
        self._paths, self._components = document["paths"], document["components"]
        self._validators: dict[tuple[str, str, int, str], Draft202012Validator] = {}

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def send(self, odd: Odd) -> Sent:
        request = self._request(odd)
        status, kind, body = self._answer(request)
        wrong = self._judge(odd, status, kind, body)
        violation = None if wrong is None else f"{wrong}: {request!r} -> {status} {kind} {body[:500]!r}"
        return Sent(f"{odd.route.method} {odd.route.path}", "odd", status, violation)

    def _request(self, odd: Odd) -> bytes:
        kind = odd.route.body if isinstance(odd.route.body, str) else "application/json"
        headers = {b"Host": self._host, b"Content-Type": kind.encode()}
        if odd.route.scopes is not None:
            headers[b"Authorization"] = b"Bearer " + self._target.keys[BEST[odd.route.scopes[0]]].encode()
        if odd.header is not None:
            headers[odd.header[0]] = odd.header[1]
        wanted = _BODIES.get(odd.route.path.rpartition("/")[2], {})
        # YAML takes JSON as it is.
        body = json.dumps(wanted).encode() if odd.route.body is not None else b""
        headers[b"Content-Length"] = str(len(body)).encode()
        lines = b"".join(b"%s: %s\r\n" % pair for pair in headers.items())
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (odd.route.method.encode(), odd.target, lines, body)

    def _answer(self, request: bytes) -> tuple[int, str, bytes]:
        if self._connection is None:
            host, _, port = self._host.decode().partition(":")
            self._connection = socket.create_connection((host, int(port)), timeout=30)
        self._connection.sendall(request)
        reply = HTTPResponse(self._connection)
        reply.begin()
        body = reply.read()
        if reply.will_close:
            self.close()
        return reply.status, reply.headers.get("content-type", ""), body

    def _judge(self, odd: Odd, status: int, kind: str, body: bytes) -> str | None:
        if status == 400 and kind.startswith("text/plain"):
            # The server below ours found that it was no HTTP.
            return None if _is_no_http(odd) else "text was taken for no HTTP"
        if status >= 500:
            return "a server error"
        told = self._paths[odd.route.path][odd.route.method.lower()]["responses"].get(str(status))
        if told is None:
            return "a status that the document does not list"
        if "content" not in told:
            return None if body == b"" else "a body that the document does not know"
        schema = told["content"].get(kind.partition(";")[0])
        if schema is None:
            return "a media type that the document does not list"
        if not kind.startswith("application/") or "yaml" in kind:
            return None
        validator = self._validator((odd.route.method, odd.route.path, status, kind), schema["schema"])
        errors = [error.message for error in validator.iter_errors(json.loads(body))]
        return "; ".join(errors) or None

    def _validator(self, key: tuple[str, str, int, str], schema: dict[str, Any]) -> Draft202012Validator:
        if key not in self._validators:
            self._validators[key] = Draft202012Validator({**schema, "components": self._components})
        return self._validators[key]


def _is_no_http(odd: Odd) -> bool:
    return odd.header is not None and any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in odd.header[1])
