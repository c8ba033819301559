"""JSON that two sides can agree on: strict reading, RFC 8785 bytes, and the binding made from them.

What a reviewer saw is what is approved: the binding is a digest of name, context, arguments, project and a nonce, made
by the server and made again by the caller before anything is done under the approval.

Rules: integers lie within ±(2^53 − 1); numbers are finite; text holds no lone surrogate and no U+0000; nesting goes
32 deep at most; keys are at most 256 bytes of UTF-8; a key stands once in its object. A breach raises and names the
place by its JSON pointer (RFC 6901).
"""

import hashlib
import json
import math
from typing import Any, Final, NoReturn

import rfc8785

MAX_INTEGER: Final = 2**53 - 1
MAX_DEPTH: Final = 32
MAX_KEY_BYTES: Final = 256
_FIRST_EXPONENT: Final = 1e21
_BINDING_PREFIX: Final = b"signoff-binding/1\n"


class MalformedJSON(ValueError):
    """The bytes are not JSON in the strict sense of RFC 8259 and I-JSON (RFC 7493)."""


class NotCanonical(ValueError):
    """A value that JSON can write and two programs cannot be trusted to read alike."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer or 'the value'}: {message}")
        self.pointer = pointer
        self.message = message

    def __reduce__(self) -> tuple[type["NotCanonical"], tuple[str, str]]:
        return type(self), (self.pointer, self.message)


def loads(data: bytes | str) -> Any:
    """Read JSON strictly.

    Raises `MalformedJSON` for a syntax error, bad UTF-8, a key that stands twice, NaN and infinities, and
    `NotCanonical` for what `check` refuses.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer)
    except MalformedJSON:
        raise
    except UnicodeDecodeError as error:
        raise MalformedJSON("the body is not UTF-8") from error
    except RecursionError as error:
        raise MalformedJSON("the nesting is far too deep") from error
    except ValueError as error:
        raise MalformedJSON(str(error)) from error
    check(value)
    return value


def check(value: Any) -> None:
    """Raise `NotCanonical` unless `value` is plain JSON data that keeps the rules at the top of this module."""
    pending: list[tuple[Any, str, int]] = [(value, "", 0)]
    while pending:
        item, pointer, depth = pending.pop()
        kind = type(item)
        if kind is str:
            _check_text(item, pointer)
        elif kind is dict or kind is list:
            if depth >= MAX_DEPTH:
                raise NotCanonical(pointer, f"nesting goes deeper than {MAX_DEPTH}")
            pending.extend(_children(item, pointer, depth + 1))
        elif kind is int:
            if not -MAX_INTEGER <= item <= MAX_INTEGER:
                raise NotCanonical(pointer, "integers beyond ±(2^53 − 1) lose digits; write this one as a string")
        elif kind is float:
            if not math.isfinite(item):
                raise NotCanonical(pointer, "NaN and infinities are not JSON")
            # RFC 8785 writes these as integers, and nobody would read them back.
            if MAX_INTEGER < abs(item) < _FIRST_EXPONENT:
                raise NotCanonical(pointer, "numbers beyond ±(2^53 − 1) lose digits; write this one as a string")
        elif item is not None and kind is not bool:
            raise NotCanonical(pointer, f"{kind.__name__} is not JSON data")


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of `value`, as UTF-8 bytes. Raises `NotCanonical`."""
    check(value)
    return rfc8785.dumps(value)


def binding(*, project: str, name: str, context: Any, arguments: Any, nonce: str) -> str:
    """`sha256:` and 64 hex digits over everything that an approval is about.

    `arguments` is None where the approval has none; `nonce` is the text that the server made (base64url, 32 bytes).
    """
    bound = {"arguments": arguments, "context": context, "name": name, "nonce": nonce, "project": project}
    return "sha256:" + hashlib.sha256(_BINDING_PREFIX + canonical(bound)).hexdigest()


def pointer_to(parent: str, key: str | int) -> str:
    """The JSON pointer of one member of the value at `parent` (RFC 6901: `~` and `/` are escaped)."""
    return f"{parent}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _children(item: Any, pointer: str, depth: int) -> list[tuple[Any, str, int]]:
    if isinstance(item, list):
        return [(child, f"{pointer}/{index}", depth) for index, child in enumerate(item)]
    for key in item:
        if type(key) is not str:
            raise NotCanonical(pointer, f"keys are text, not {type(key).__name__}")
        _check_text(key, pointer)
        if len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
            raise NotCanonical(pointer, f"a key is longer than {MAX_KEY_BYTES} bytes")
    return [(child, pointer_to(pointer, key), depth) for key, child in item.items()]


def _check_text(text: str, pointer: str) -> None:
    if "\x00" in text:
        raise NotCanonical(pointer, "U+0000 is not allowed in text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotCanonical(pointer, "a lone surrogate is not text") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedJSON("an object has the same key twice")
    return value


def _constant(text: str) -> NoReturn:
    raise MalformedJSON(f"{text} is not JSON")


def _integer(text: str) -> int:
    # The limit is told with its place by `check`; a number of a million digits must not be computed to get there.
    return int(text) if len(text) <= 20 else MAX_INTEGER + 1
