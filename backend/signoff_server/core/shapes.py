"""Kinds of values in a file: what each accepts, what it says of what it does not, and its JSON Schema.

Rules of the room: one table of these says what a workflow file may hold; what checks a file and what helps an editor
are made from the same table. A kind judges a value by itself: what depends on the rest of the file is judged elsewhere.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from signoff_server.core.policies import Complaint, Path

MAX_DURATION: Final = 365 * 24 * 3_600_000
_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = r"[0-9]{1,15}(ms|s|m|h|d)"
Schema = dict[str, Any]


class Kind(Protocol):
    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        """Everything that is wrong with `data`, which stands at `path`."""

    def schema(self) -> Schema:
        """The JSON Schema of the kind (draft 2020-12)."""


@dataclass(frozen=True, slots=True)
class Text:
    """`pattern` covers the whole text; `about` says in words what is wanted."""

    about: str
    pattern: str | None = None
    longest: int = 2_000

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        if not isinstance(data, str) or not data:
            yield Complaint(path, f"{self.about}, as text{'' if isinstance(data, str) else ' (in quotes, if need be)'}")
        elif len(data) > self.longest:
            yield Complaint(path, f"{self.about}, of at most {self.longest} characters; this has {len(data)}")
        elif self.pattern and re.fullmatch(self.pattern, data) is None:
            yield Complaint(path, f"{self.about}, not {_shown(data)}")

    def schema(self) -> Schema:
        pattern = {"pattern": f"^(?:{self.pattern})$"} if self.pattern else {}
        return {"type": "string", "minLength": 1, "maxLength": self.longest, **pattern}


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[str, ...]

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        if data not in self.options:
            yield Complaint(path, f"one of {', '.join(self.options)}, not {_shown(data)}")

    def schema(self) -> Schema:
        return {"enum": list(self.options)}


@dataclass(frozen=True, slots=True)
class Whole:
    least: int
    most: int

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        if type(data) is not int or not self.least <= data <= self.most:
            yield Complaint(path, f"a whole number from {self.least} to {self.most}, not {_shown(data)}")

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Duration:
    """`500ms`, `30s`, `5m`, `24h`, `7d`, or a whole number of seconds; more than nothing and at most 365 days."""

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        length = milliseconds(data)
        if length is None:
            yield Complaint(path, f"a duration, like 500ms, 30s, 5m, 24h or 7d, not {_shown(data)}")
        elif not 0 < length <= MAX_DURATION:
            yield Complaint(path, f"a duration of more than nothing and at most 365d, not {_shown(data)}")

    def schema(self) -> Schema:
        text = {"type": "string", "pattern": f"^{_DURATION}$", "examples": ["30s", "5m", "24h", "7d"]}
        return {"oneOf": [text, {"type": "integer", "minimum": 1, "maximum": MAX_DURATION // 1_000}]}


def milliseconds(data: Any) -> int | None:
    """The length of a duration as it stands in a file; None for what is none."""
    if type(data) is int:
        return data * 1_000
    if not isinstance(data, str) or re.fullmatch(_DURATION, data) is None:
        return None
    unit = data.lstrip("0123456789")
    return int(data.removesuffix(unit)) * _UNITS[unit]


@dataclass(frozen=True, slots=True)
class Data:
    """Any mapping; what stands in it is for others to judge."""

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        if not isinstance(data, dict):
            yield Complaint(path, f"a mapping, not {_shown(data)}")

    def schema(self) -> Schema:
        return {"type": "object"}


@dataclass(frozen=True, slots=True)
class Items:
    kind: Kind
    least: int = 0
    most: int = 100
    distinct: bool = False

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        if not isinstance(data, list) or not self.least <= len(data) <= self.most:
            found = f"{len(data)} items" if isinstance(data, list) else _shown(data)
            yield Complaint(path, f"a list of {self.least} to {self.most} items, not {found}")
            return
        for at, item in enumerate(data):
            yield from self.kind.faults(item, (*path, at))
            if self.distinct and item in data[:at]:
                yield Complaint((*path, at), f"{_shown(item)} stands in this list before")

    def schema(self) -> Schema:
        distinct = {"uniqueItems": True} if self.distinct else {}
        return {"type": "array", "minItems": self.least, "maxItems": self.most, "items": self.kind.schema(), **distinct}


@dataclass(frozen=True, slots=True)
class Field:
    kind: Kind
    about: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping with these keys and no other; `name` says what it is."""

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        if not isinstance(data, dict):
            yield Complaint(path, f"{self.name} is a mapping, not {_shown(data)}")
            return
        for key in data:
            if key not in self.fields:
                yield Complaint((*path, key), f"unknown key; {self.name} has {', '.join(self.fields)}", key=True)
            else:
                yield from self.fields[key].kind.faults(data[key], (*path, key))
        for key, known in self.fields.items():
            if known.required and key not in data:
                yield Complaint(path, f"{key} is missing: {known.about}")

    def schema(self) -> Schema:
        properties = {key: {"description": known.about, **known.kind.schema()} for key, known in self.fields.items()}
        required = [key for key, known in self.fields.items() if known.required]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A mapping whose other keys depend on what stands under `type`."""

    name: str
    types: Mapping[str, Fields]

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        if not isinstance(data, dict):
            yield Complaint(path, f"{self.name} is a mapping, not {_shown(data)}")
        elif "type" not in data:
            yield Complaint(path, f"type is missing: one of {', '.join(self.types)}")
        elif not isinstance(data["type"], str) or data["type"] not in self.types:
            yield from Choice(tuple(self.types)).faults(data["type"], (*path, "type"))
        else:
            yield from self.types[data["type"]].faults(data, path)

    def schema(self) -> Schema:
        return {"oneOf": [{"title": name, **fields.schema()} for name, fields in self.types.items()]}


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping from names to values of one kind."""

    name: str
    names: Text
    kind: Kind
    least: int = 1

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        if not isinstance(data, dict) or len(data) < self.least:
            yield Complaint(path, f"{self.name}, at least {self.least}, not {_shown(data)}")
            return
        for key, value in data.items():
            for told in self.names.faults(key, (*path, key)):
                yield Complaint(told.path, told.message, key=True)
            yield from self.kind.faults(value, (*path, key))

    def schema(self) -> Schema:
        names = {key: value for key, value in self.names.schema().items() if key != "type"}
        kind = self.kind.schema()
        return {"type": "object", "minProperties": self.least, "propertyNames": names, "additionalProperties": kind}


def _shown(data: Any) -> str:
    match data:
        case None:
            return "nothing"
        case bool():
            return "true" if data else "false"
        case dict():
            return "a mapping" if data else "an empty mapping"
        case list():
            return "a list"
    text = repr(data)
    return text if len(text) <= 80 else f"{text[:79]}…"
