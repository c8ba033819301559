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
# Without floats, and where keys sort alike by code points and by UTF-16, this writes what RFC 8785 wants.
_PLAIN: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
# A place in a value: its parent's place and its own key there; its pointer is only written where something is wrong.
_Place = tuple["_Place", str | int] | None


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
    _walk(value)


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of `value`, as UTF-8 bytes. Raises `NotCanonical`."""
    if _walk(value):
        return _PLAIN.encode(value).encode()
    return rfc8785.dumps(value)


def binding(*, project: str, name: str, context: Any, arguments: Any, nonce: str) -> str:
    """`sha256:` and 64 hex digits over everything that an approval is about.

    `arguments` is None where the approval has none; `nonce` is the text that the server made (base64url, 32 bytes).
    """
    return binding_of(
        project=project, name=name, context=canonical(context), arguments=canonical(arguments), nonce=nonce
    )


def binding_of(*, project: str, name: str, context: bytes, arguments: bytes, nonce: str) -> str:
    """The same from the canonical forms of context and arguments."""
    members = (
        b'"arguments":' + arguments,
        b'"context":' + context,
        b'"name":' + canonical(name),
        b'"nonce":' + canonical(nonce),
        b'"project":' + canonical(project),
    )
    return "sha256:" + hashlib.sha256(_BINDING_PREFIX + b"{" + b",".join(members) + b"}").hexdigest()


def pointer_to(parent: str, key: str | int) -> str:
    """The JSON pointer of one member of the value at `parent` (RFC 6901: `~` and `/` are escaped)."""
    return f"{parent}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _walk(value: Any) -> bool:
    """Check `value`; answers whether its RFC 8785 form is what `_PLAIN` writes: no floats, and keys that are ASCII."""
    plain = True
    pending: list[tuple[Any, _Place, int]] = [(value, None, 0)]
    while pending:
        item, place, depth = pending.pop()
        kind = type(item)
        if kind is str:
            _check_text(item, place)
        elif kind is dict or kind is list:
            if depth >= MAX_DEPTH:
                raise NotCanonical(_pointer(place), f"nesting goes deeper than {MAX_DEPTH}")
            if kind is list:
                pending.extend([(child, (place, at), depth + 1) for at, child in enumerate(item)])
            else:
                plain = _check_keys(item, place) and plain
                pending.extend([(child, (place, key), depth + 1) for key, child in item.items()])
        elif kind is int:
            if not -MAX_INTEGER <= item <= MAX_INTEGER:
                told = "integers beyond ±(2^53 − 1) lose digits; write this one as a string"
                raise NotCanonical(_pointer(place), told)
        elif kind is float:
            plain = False
            _check_float(item, place)
        elif item is not None and kind is not bool:
            raise NotCanonical(_pointer(place), f"{kind.__name__} is not JSON data")
    return plain


def _check_keys(item: dict[Any, Any], place: "_Place") -> bool:
    ascii_only = True
    for key in item:
        if type(key) is not str:
            raise NotCanonical(_pointer(place), f"keys are text, not {type(key).__name__}")
        _check_text(key, place)
        if len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
            raise NotCanonical(_pointer(place), f"a key is longer than {MAX_KEY_BYTES} bytes")
        ascii_only = ascii_only and key.isascii()
    return ascii_only


def _check_float(item: float, place: "_Place") -> None:
    if not math.isfinite(item):
        raise NotCanonical(_pointer(place), "NaN and infinities are not JSON")
    # RFC 8785 writes these as integers, and nobody would read them back.
    if MAX_INTEGER < abs(item) < _FIRST_EXPONENT:
        raise NotCanonical(_pointer(place), "numbers beyond ±(2^53 − 1) lose digits; write this one as a string")


def _pointer(place: "_Place") -> str:
    steps: list[str | int] = []
    while place is not None:
        place, step = place
        steps.append(step)
    pointer = ""
    for step in reversed(steps):
        pointer = pointer_to(pointer, step)
    return pointer


def _check_text(text: str, place: "_Place") -> None:
    if "\x00" in text:
        raise NotCanonical(_pointer(place), "U+0000 is not allowed in text")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotCanonical(_pointer(place), "a lone surrogate is not text") from None


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
