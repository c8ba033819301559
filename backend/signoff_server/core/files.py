"""A YAML file as plain data and where each part of it stands, or every fault of it.

Rules of the room: one document of UTF-8 in the core schema of YAML 1.2 (`no` is text, `12:30` is text); no anchors,
aliases, tags, merge keys, directives or keys that stand twice; keys are text; what comes out keeps the rules of
`signoff.protocol.canonical`. Sizes are checked before anything is read and depth while it is read, so that a hostile
file costs no more than an honest one. A file is data: reading it runs nothing and fetches nothing.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final, NoReturn

import yaml
from yamlcore import CCoreLoader

from signoff.protocol.canonical import MAX_DEPTH, MAX_INTEGER, MAX_KEY_BYTES, pointer_to

MAX_BYTES: Final = 256 * 1024
MAX_VALUES: Final = 5_000
MAX_FAULTS: Final = 50
# The longest number that is in range, with its sign, its base and some zeros.
_MAX_DIGITS: Final = 24
_MAX_FLOAT: Final = 64
_WRONG_NUMBER: Final = "numbers are finite and lie within ±(2^53 − 1): write this one as text, in quotes"
_FIRST_EXPONENT: Final = 1e21
# What YAML does not call printable (1.2.2, §5.1).
_UNPRINTABLE: Final = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
# They are read all at once, and each is held against all before it.
_DIRECTIVE: Final = re.compile("^%", re.MULTILINE)
_CORE: Final = "tag:yaml.org,2002:"
_HINTS: Final = {"mapping values are not allowed in this context": "; put a text that holds `: ` in quotes"}
_CONSTANTS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}

Path = tuple[str | int, ...]
# Line and column, both from 1.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong at a place of a file; `pointer` is the JSON pointer of the value there."""

    line: int
    column: int
    pointer: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


class DefinitionInvalid(Exception):
    """A file that says something wrong; `faults` are sorted by their place, at most `MAX_FAULTS`."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults))[:MAX_FAULTS])
        super().__init__("\n".join(f"{fault.pointer or '/'}: {fault}" for fault in self.faults))


@dataclass(frozen=True, slots=True)
class Document:
    """`values` and `keys` say where a value and the key in front of it begin; `wide` are mappings and lists."""

    data: Any
    values: Mapping[Path, Place]
    keys: Mapping[Path, Place]
    wide: frozenset[Path]

    def fault(self, path: Path, message: str, *, key: bool = False) -> Fault:
        """A fault at the value at `path`; at its key, where it is about that or the value has parts of its own."""
        holder = path
        while holder not in self.values:
            holder, key = holder[:-1], False
        places = self.keys if key or holder in self.wide else self.values
        return Fault(*places.get(holder, self.values[holder]), pointer_of(path), message)


def pointer_of(path: Path) -> str:
    return reduce(pointer_to, path, "")


def parse(source: bytes) -> Document:
    """The one document in `source`. Raises `DefinitionInvalid` with every fault that could be found."""
    reader = _Reader(_text(source))
    try:
        return reader.read()
    except yaml.MarkedYAMLError as error:
        problem = error.problem or error.context or ""
        reader.stop(error.problem_mark or error.context_mark, f"this is not YAML: {problem}{_HINTS.get(problem, '')}")
    except yaml.YAMLError as error:
        reader.stop(None, f"this is not YAML: {error}")
    except RecursionError:
        reader.stop(None, "the nesting is far too deep")


def _text(source: bytes) -> str:
    if len(source) > MAX_BYTES:
        raise DefinitionInvalid([Fault(1, 1, "", f"a file has at most {MAX_BYTES // 1024} KiB; this one is larger")])
    try:
        text = source.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8")
        raise DefinitionInvalid([_at_end_of(before, "this is not UTF-8: save the file as UTF-8")]) from None
    if directive := _DIRECTIVE.search(text):
        told = "directives are not allowed: no line begins with %"
        raise DefinitionInvalid([_at_end_of(text[: directive.start()], told)])
    if bad := _UNPRINTABLE.search(text):
        raise DefinitionInvalid([_at_end_of(text[: bad.start()], f"U+{ord(bad[0]):04X} is not allowed in a file")])
    return text


def _at_end_of(text: str, message: str) -> Fault:
    return Fault(text.count("\n") + 1, len(text) - text.rfind("\n"), "", message)


@dataclass(slots=True)
class _Frame:
    """A mapping or a list that is being read; `key` is the one whose value comes next, None before a key."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None
    # Of the value that comes next in a mapping.
    next: Path = ()


@dataclass(slots=True)
class _Reader:
    text: str
    faults: list[Fault] = field(default_factory=list)
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    wide: set[Path] = field(default_factory=set)
    frames: list[_Frame] = field(default_factory=list)
    root: Any = None
    documents: int = 0

    def read(self) -> Document:
        loader = CCoreLoader(self.text)
        while not isinstance(event := loader.get_event(), yaml.StreamEndEvent):
            # By far the most are scalars, and what is done for each of them is what a large file costs.
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event, loader)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._open(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.frames.pop()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._document(event)
        if not self.documents:
            self.stop(None, "the file is empty")
        if self.faults:
            raise DefinitionInvalid(self.faults)
        return Document(self.root, self.values, self.keys, frozenset(self.wide))

    def stop(self, mark: Any, message: str) -> NoReturn:
        """Give up: nothing sensible can be said of the rest."""
        self.faults.append(Fault(*_place(mark), pointer_of(self._path()), message))
        raise DefinitionInvalid(self.faults)

    def _fault(self, mark: Any, message: str, path: Path | None = None) -> None:
        if len(self.faults) >= MAX_FAULTS:
            raise DefinitionInvalid(self.faults)
        self.faults.append(Fault(*_place(mark), pointer_of(self._path() if path is None else path), message))

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            self.stop(event.start_mark, "a file holds one document; put this one into a file of its own")

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        self._plain(event)
        if len(self.frames) >= MAX_DEPTH:
            self.stop(event.start_mark, f"nesting goes deeper than {MAX_DEPTH}")
        if self._awaits_key():
            self.stop(event.start_mark, "a key is text, not a list or a mapping")
        path = self._path()
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(value, event.start_mark)
        self.wide.add(path)
        self.frames.append(_Frame(value, path))

    def _alias(self, event: yaml.AliasEvent) -> None:
        if self._awaits_key():
            self.stop(event.start_mark, "aliases are not allowed: write the key out")
        self._fault(event.start_mark, "aliases are not allowed: write the value out")
        self._put(None, event.start_mark)

    def _awaits_key(self) -> bool:
        frame = self.frames[-1] if self.frames else None
        return frame is not None and isinstance(frame.value, dict) and frame.key is None

    def _plain(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            self._fault(event.start_mark, "anchors are not allowed: write the value out where it is wanted")
        if getattr(event, "tag", None) is not None:
            self._fault(event.start_mark, "tags are not allowed: leave out what begins with !")

    def _scalar(self, event: Any, loader: Any) -> None:
        self._plain(event)
        tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit) if event.implicit[0] else "str"
        kind = tag.removeprefix(_CORE)
        if self._awaits_key():
            self._key(self.frames[-1], event, kind)
        else:
            self._put(self._value(event, kind), event.start_mark)

    def _key(self, frame: _Frame, event: Any, kind: str) -> None:
        key = event.value
        assert isinstance(frame.value, dict)
        path = (*frame.path, key)
        told = _wrong_key(key, kind, plain=event.implicit[0])
        if key in frame.value:
            told = f"the key {key!r} stands on line {self.keys[path][0]} before"
        if told:
            self._fault(event.start_mark, told, frame.path)
        frame.key, frame.next = key, path
        self.keys.setdefault(path, _place(event.start_mark))

    def _value(self, event: Any, kind: str) -> Any:
        text = event.value
        if kind in ("null", "bool"):
            return _CONSTANTS[text.lower()]
        value = text if kind == "str" else _integer(text) if kind == "int" else _float(text)
        told = _wrong_text(text) if kind == "str" else _WRONG_NUMBER if value is None else None
        if told:
            self._fault(event.start_mark, told)
        return value

    def _put(self, value: Any, mark: Any) -> None:
        path = self._path()
        if len(self.values) >= MAX_VALUES:
            self.stop(mark, f"a file has at most {MAX_VALUES} values")
        self.values.setdefault(path, _place(mark))
        if not self.frames:
            self.root = value
            return
        frame = self.frames[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
        else:
            assert frame.key is not None
            frame.value[frame.key] = value
            frame.key = None

    def _path(self) -> Path:
        """Of the value that comes next."""
        if not self.frames:
            return ()
        frame = self.frames[-1]
        if isinstance(frame.value, list):
            return (*frame.path, len(frame.value))
        return frame.path if frame.key is None else frame.next


def _place(mark: Any) -> Place:
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _wrong_key(key: str, kind: str, *, plain: bool) -> str | None:
    if kind != "str":
        return f"a key is text: write it as {key!r}, in quotes" if len(key) <= _MAX_FLOAT else "a key is text"
    if plain and key == "<<":
        return "merge keys are not allowed: write the keys out"
    if len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES:
        return f"a key has at most {MAX_KEY_BYTES} bytes"
    return _wrong_text(key)


def _wrong_text(text: str) -> str | None:
    if "\x00" in text:
        return "U+0000 is not allowed in text"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "a lone surrogate is not text"
    return None


def _integer(text: str) -> int | None:
    """None where it is out of range; a number of a million digits is never computed."""
    digits = text.lstrip("+-")
    if len(digits) > _MAX_DIGITS:
        return None
    bases = {"0o": 8, "0x": 16}
    value = int(digits, bases.get(digits[:2], 10))
    value = -value if text.startswith("-") else value
    return value if abs(value) <= MAX_INTEGER else None


def _float(text: str) -> float | None:
    if len(text) > _MAX_FLOAT or text.lower().endswith((".inf", ".nan")):
        return None
    value = float(text)
    return value if math.isfinite(value) and not MAX_INTEGER < abs(value) < _FIRST_EXPONENT else None
