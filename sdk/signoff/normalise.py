"""What a caller may put into `context` and `arguments`, and what becomes of it.

Rules, in this order; whatever matches none of them is refused with the JSON pointer of its place:

- an enum member becomes its value where that is text, else its name;
- None, bool and str stay; int stays within ±(2^53 − 1); a finite float stays and warns (`FloatWarning`);
- `Decimal` becomes text in positional notation with all its digits (`Decimal("50000.00")` → `"50000.00"`);
- `UUID` becomes its 36 characters; an aware `datetime` RFC 3339 in UTC with `Z`; a `date` `2026-11-23`;
- a mapping (keys are text), a dataclass and a pydantic model become objects; lists and tuples become lists.

Sets, bytes, naive datetimes, NaN, infinities and larger integers are refused: two programs would read them differently.
"""

import dataclasses
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from signoff.errors import FloatWarning, InvalidRequest
from signoff.protocol.canonical import MAX_DEPTH, MAX_INTEGER, NotCanonical, check, pointer_to

_MAX_DECIMAL_EXPONENT: Final = 1_000
_PACKAGE: Final = str(Path(__file__).parent)


def normalise(**parts: Any) -> dict[str, dict[str, Any]]:
    """The named parts as JSON objects; a part that is None is left out.

    Raises `InvalidRequest` with every place that is wrong, before anything is sent.
    """
    reading = _Reading()
    normal = {part: reading.top(value, f"/{part}") for part, value in parts.items() if value is not None}
    if not reading.errors:
        try:
            check(normal)
        except NotCanonical as error:
            reading.errors.append((error.pointer, error.message))
    if reading.errors:
        raise InvalidRequest("This cannot be shown to a reviewer as it is", errors=reading.errors)
    if reading.floats:
        _warn(reading.floats)
    return normal


class _Reading:
    """One pass over a call's payload, gathering all that is wrong with it."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, str]] = []
        self.floats: list[str] = []

    def top(self, value: Any, pointer: str) -> dict[str, Any]:
        members = _members(value)
        if members is None:
            self.errors.append((pointer, f"a mapping, a dataclass or a pydantic model is wanted, not {_kind(value)}"))
            return {}
        return self.object(members, pointer, 1)

    def value(self, value: Any, pointer: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            return self.refuse(pointer, f"nesting goes deeper than {MAX_DEPTH}")
        if isinstance(value, list | tuple):
            return [self.value(item, pointer_to(pointer, at), depth + 1) for at, item in enumerate(value)]
        members = None if isinstance(value, Enum) else _members(value)
        return self.scalar(value, pointer) if members is None else self.object(members, pointer, depth)

    def object(self, members: Mapping[Any, Any], pointer: str, depth: int) -> dict[str, Any]:
        normal: dict[str, Any] = {}
        for key, item in members.items():
            if not isinstance(key, str):
                self.refuse(pointer, f"keys are text, not {_kind(key)}")
                continue
            name = str(key.value) if isinstance(key, Enum) else str(key)
            normal[name] = self.value(item, pointer_to(pointer, name), depth + 1)
        return normal

    def scalar(self, value: Any, pointer: str) -> Any:
        try:
            normal = _scalar(value)
        except ValueError as error:
            return self.refuse(pointer, str(error))
        if isinstance(normal, float):
            self.floats.append(pointer)
        return normal

    def refuse(self, pointer: str, message: str) -> None:
        self.errors.append((pointer, message))


def _members(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields} | (value.model_extra or {})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _scalar(value: Any) -> bool | str | int | float | None:
    if value is None or isinstance(value, bool):
        return value
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            return convert(value)
    raise ValueError(f"{_kind(value)} has no agreed form in JSON; write it as text, a number, a list or a mapping")


def _enum(value: Enum) -> str:
    return str.__str__(value.value) if isinstance(value.value, str) else value.name


def _integer(value: int) -> int:
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ValueError("integers beyond ±(2^53 − 1) lose digits; write this one as text")
    return int(value)


def _float(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("NaN and infinities are not JSON")
    return float(value)


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError("NaN and infinities are not amounts")
    if abs(value.adjusted()) > _MAX_DECIMAL_EXPONENT:
        raise ValueError("a Decimal of more than a thousand digits")
    return format(value, "f")


def _datetime(value: datetime) -> str:
    if value.utcoffset() is None:
        raise ValueError("a datetime without a time zone; make it aware")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


_CONVERSIONS: Final[tuple[tuple[type, Callable[[Any], str | int | float]], ...]] = (
    (Enum, _enum),
    (str, str.__str__),
    (int, _integer),
    (float, _float),
    (Decimal, _decimal),
    (UUID, str),
    (datetime, _datetime),
    (date, date.isoformat),
)


def _kind(value: Any) -> str:
    return type(value).__name__


def _warn(pointers: list[str]) -> None:
    places = ", ".join(pointers[:5])
    warnings.warn(
        f"float at {places}: what a reviewer sees may differ from what is meant; use text or Decimal",
        FloatWarning,
        stacklevel=_depth_of_caller(),
    )


def _depth_of_caller() -> int:
    """How many frames up the first code outside this package stands, so that the warning names the caller's line."""
    return next((depth for depth, path in enumerate(_callers(), start=1) if not path.startswith(_PACKAGE)), 1)


def _callers() -> Iterator[str]:
    # Two frames are generators and this function's caller; warnings.warn counts from `_warn`.
    frame = sys._getframe(3)
    while frame is not None:
        yield frame.f_code.co_filename
        if frame.f_back is None:
            return
        frame = frame.f_back
