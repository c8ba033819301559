"""Refusals as RFC 9457 problems: the one place where a no becomes a response."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from signoff_server.core.refusals import CODES, Refusal

MEDIA_TYPE: Final = "application/problem+json"


def problem(refusal: Refusal, request_id: str) -> Response:
    """The response for a refusal."""
    headers = {"Cache-Control": "no-store"}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="signoff"'
    body = json.dumps(as_document(refusal, request_id), ensure_ascii=False).encode()
    return Response(body, refusal.status, headers, MEDIA_TYPE)


def as_document(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The problem document. Nothing of the machine (SQL, stacks, paths, secrets) is in it."""
    document: dict[str, Any] = {
        "type": f"urn:signoff:problem:{refusal.code}",
        "title": CODES[refusal.code].title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "request_id": request_id,
    }
    if refusal.current is not None:
        document["current"] = dict(refusal.current)
    if refusal.errors:
        document["errors"] = [{"pointer": pointer, "message": message} for pointer, message in refusal.errors]
    return document


async def send_problem(refusal: Refusal, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request or deny a websocket handshake with a problem."""
    await problem(refusal, request_id)(scope, receive, send)


def last_words(refusal: Refusal, request_id: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A problem as it goes over the wire, for a connection that ends before it reaches the application."""
    response = problem(refusal, request_id)
    status = HTTPStatus(response.status_code)
    lines = [f"HTTP/1.1 {status} {status.phrase}".encode(), b"connection: close"]
    lines += [name + b": " + value for name, value in (*headers, *response.raw_headers)]
    return b"\r\n".join((*lines, b"", bytes(response.body)))
