"""From the arguments of `require_approval` to one question that is ready to be sent, or to everything wrong with it."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from signoff.errors import InvalidRequest
from signoff.flow import Ask
from signoff.normalise import normalise
from signoff.protocol.canonical import pointer_to
from signoff.protocol.models import CreateApproval

_MAX_KEY: Final = 255
M = TypeVar("M", bound=BaseModel)


def ask(
    name: str,
    context: Any = None,
    *,
    arguments: Any = None,
    idempotency_key: str | None = None,
    expires_in: int | None = None,
    reviewers: Sequence[str] = (),
    summary: str | None = None,
    metadata: Mapping[str, str] | None = None,
    on_behalf_of: str | None = None,
) -> Ask:
    """Raises `InvalidRequest`, with every place that is wrong, before anything is sent."""
    if idempotency_key is not None:
        check_idempotency_key(idempotency_key)
    if isinstance(reviewers, str):
        raise InvalidRequest("This cannot be asked", errors=[("/reviewers", "a list of texts, not one text")])
    fields: dict[str, Any] = normalise(context={} if context is None else context, arguments=arguments)
    fields |= {"name": name}
    optional = {
        "expires_in": expires_in,
        "reviewers": list(reviewers) or None,
        "summary": summary,
        "metadata": dict(metadata) if metadata else None,
        "on_behalf_of": on_behalf_of,
    }
    fields |= {field: value for field, value in optional.items() if value is not None}
    body = checked(lambda: CreateApproval(**fields))
    return Ask(body, idempotency_key or fresh_key(), idempotency_key is not None)


def fresh_key() -> str:
    """An idempotency key, or a redeemer, that nobody has used."""
    return f"sdk:{secrets.token_hex(16)}"


def check_idempotency_key(key: str) -> None:
    """Raises `InvalidRequest` unless `key` is 1–255 printable ASCII characters without spaces at its ends."""
    fit = isinstance(key, str) and 1 <= len(key) <= _MAX_KEY and key.isascii() and key.isprintable()
    if not fit or key != key.strip():
        raise InvalidRequest(
            "This cannot be asked", errors=[("/idempotency_key", "1–255 printable ASCII characters are wanted")]
        )


def checked(make: Callable[[], M]) -> M:
    """The model that `make` makes; its complaints as `InvalidRequest`."""
    try:
        return make()
    except ValidationError as error:
        raise InvalidRequest("This cannot be asked", errors=_places(error)) from None


def _places(error: ValidationError) -> list[tuple[str, str]]:
    places = []
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        pointer = ""
        for step in each["loc"]:
            pointer = pointer_to(pointer, step)
        places.append((pointer, each["msg"]))
    return places
