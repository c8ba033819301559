"""One request, read and checked: what a handler is handed."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from signoff.protocol import canonical
from signoff_server import limits
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.web.head import malformed, too_large

if TYPE_CHECKING:
    from signoff_server.web.server import Server

M = TypeVar("M", bound=BaseModel)
# `world.new_id` makes them. What has another form is nobody's id, and no database is asked.
_ID: Final = re.compile(r"[a-z]{2,8}_[0-9a-z]{26}")
_KEY_LENGTH: Final = 255
# RFC 9512, and what was sent before it.
_YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


@dataclass(frozen=True, slots=True)
class Call:
    """`key` is the idempotency key; `body` and `query` are of the route's models."""

    server: "Server"
    request: Request
    caller: Caller
    body: Any
    query: Any
    key: str | None

    def path(self, name: str) -> str:
        """The id at this place of the path. Raises `Refusal`: 404 for what cannot be one."""
        return id_at(self.request, name)

    def name(self, place: str, pattern: re.Pattern[str]) -> str:
        """The name at this place of the path. Raises `Refusal`: 404 for what cannot be one."""
        return name_at(self.request, place, pattern)


def id_at(request: Request, place: str) -> str:
    found = str(request.path_params[place])
    if not is_id(found):
        raise nobodys()
    return found


def name_at(request: Request, place: str, pattern: re.Pattern[str]) -> str:
    found = str(request.path_params[place])
    if not pattern.fullmatch(found):
        raise Refusal("not_found", "There is nothing of this name.")
    return found


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def nobodys() -> Refusal:
    """The refusal for what cannot be an id."""
    return Refusal("not_found", "There is nothing with this id.")


async def read_body(request: Request, model: type[M]) -> M:
    """The body as `model`. Raises `Refusal`: 400, 413, 415 or 422, with a pointer to each fault."""
    raw = await bounded(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if raw and media_type != "application/json":
        raise Refusal("media_type", "Send JSON, with Content-Type: application/json.")
    try:
        value = canonical.loads(raw) if raw else {}
    except canonical.MalformedJSON as error:
        raise Refusal("malformed_json", f"The body is not JSON: {error}.") from error
    except canonical.NotCanonical as error:
        raise Refusal("invalid", "The body is not acceptable JSON.", errors=[(error.pointer, error.message)]) from error
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Refusal("invalid", "The body does not have the form that is wanted.", errors=_faults(error)) from error


async def read_yaml(request: Request) -> bytes:
    """The body as it was sent. Raises `Refusal`: 413 or 415; what is in it is for the reader of the file to say."""
    raw = await bounded(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _YAML:
        raise Refusal("media_type", "Send YAML, with Content-Type: application/yaml.")
    return raw


def read_query(request: Request, model: type[M]) -> M:
    """The query as `model`. Raises `Refusal`: 400 `invalid_parameter`."""
    pairs = request.query_params.multi_items()
    values = dict(pairs)
    if len(values) != len(pairs):
        raise Refusal("invalid_parameter", "A parameter stands in the query twice.")
    if "\x00" in "".join(values.values()):
        raise Refusal("invalid_parameter", "U+0000 is not allowed in a parameter.")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        told = "; ".join(f"{pointer[1:]}: {message}" for pointer, message in _faults(error))
        raise Refusal("invalid_parameter", f"The query is not valid: {told}.") from error


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key`, None without. Raises `Refusal`."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    key = keys[0]
    if len(keys) > 1 or not 1 <= len(key) <= _KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise Refusal("invalid_parameter", f"An Idempotency-Key is one header of 1–{_KEY_LENGTH} printable ASCII.")
    return key


def cursor(text: str | None) -> int | None:
    """The place that a list's cursor names. Raises `Refusal`."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise Refusal("invalid_parameter", "cursor: take it from next_cursor of the page before, as it stands.")
    return int(text)


def answer(model: BaseModel, status: int = 200, **headers: str) -> Response:
    """A JSON response."""
    body = model.model_dump_json().encode()
    return Response(body, status, {"Cache-Control": "no-store", **headers}, "application/json")


async def bounded(request: Request) -> bytes:
    """The body, as far as it goes. The connection counts too; this holds behind any other server."""
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limits.BODY_BYTES:
                raise too_large()
            chunks.append(chunk)
    except ClientDisconnect as gone:
        raise malformed("The body did not come whole.") from gone
    return b"".join(chunks)


def _faults(error: ValidationError) -> list[tuple[str, str]]:
    faults = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        pointer = ""
        for part in fault["loc"]:
            pointer = canonical.pointer_to(pointer, part)
        faults.append((pointer, fault["msg"]))
    return faults[:20]
