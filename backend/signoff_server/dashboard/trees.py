"""A value of JSON as a tree to read: what kind each place is, what is folded away, and what another value had there.

Rules of the room: a number stands as JSON writes it, and nothing is left out: what is folded says how much it is. Text
stays text here; the templates escape it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from signoff.protocol import canonical

# So many members of an object or list stand open, and so many characters of a text.
OPEN_MEMBERS: Final = 20
OPEN_CHARACTERS: Final = 300
_BRIEF: Final = 120
# So many places are drawn one by one; a list or object that would go beyond stands as its JSON.
MOST_PLACES: Final = 2_000
# Deeper than what is accepted anywhere; a tree is drawn by templates that call themselves.
_DEEPEST: Final = 40


class _Nothing:
    """What stands where nothing does: None is a value."""


NOTHING: Final = _Nothing()


@dataclass(frozen=True, slots=True)
class Node:
    """One place. `kind` is that of JSON, or "json" for an object or list that stands as its text.

    `mark` is "new" or "was", with `was` as the beginning of what stood there; `changes` counts marks, here and below.
    """

    kind: str
    key: str | int | None
    value: Any
    children: tuple["Node", ...] = ()
    mark: str = ""
    was: str = ""
    changes: int = 0

    @property
    def open(self) -> tuple["Node", ...]:
        return self.children if len(self.children) <= OPEN_MEMBERS + 1 else self.children[:OPEN_MEMBERS]

    @property
    def folded(self) -> tuple["Node", ...]:
        return self.children[len(self.open) :]

    @property
    def is_long(self) -> bool:
        return self.kind == "string" and len(self.value) > OPEN_CHARACTERS


def tree(value: Any, before: Any = NOTHING, *, compare: bool = False) -> Node:
    """`value` as a tree; with `compare`, its leaves are marked where they differ from `before`."""
    return _Planting(compare).node(None, value, before, 0)


def removed(before: Any, value: Any) -> list[tuple[str, str]]:
    """(place, beginning of what stood there) of each leaf of `before` that has none in `value`."""
    return list(_removed(before, value, ""))


def short(value: Any) -> str:
    """A value on one line, cut where it is long; a cut is said."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}… ({len(text)} characters)"


def line(value: Any, characters: int) -> str:
    """The leaves of an object by their names, as far as they go in so many characters."""
    told, room = [], characters
    for name, each in value.items():
        inner = f"{{{len(each)}}}" if isinstance(each, dict) else f"[{len(each)}]" if isinstance(each, list) else None
        said = f"{name}: {short(each) if inner is None else inner}"
        told.append(said)
        room -= len(said) + 3
        if room <= 0:
            break
    return " · ".join(told)


class _Planting:
    """Counts the places of a tree while it grows."""

    def __init__(self, compare: bool) -> None:
        self._compare = compare
        self._room = MOST_PLACES

    def node(self, key: str | int | None, value: Any, before: Any, depth: int) -> Node:
        kind = _kind(value)
        if kind not in ("object", "list") or not value:
            return self._leaf(kind, key, value, before)
        if depth >= _DEEPEST or len(value) > self._room:
            return self._leaf("json", key, value, before)
        self._room -= len(value)
        members = _members(value)
        children = tuple(self.node(name, each, _at(before, name), depth + 1) for name, each in members)
        return Node(kind, key, value, children, changes=sum(child.changes for child in children))

    def _leaf(self, kind: str, key: str | int | None, value: Any, before: Any) -> Node:
        shown = json.dumps(value, ensure_ascii=False) if kind == "json" else value
        if not self._compare or _same(value, before):
            return Node(kind, key, shown)
        if before is NOTHING:
            return Node(kind, key, shown, mark="new", changes=1)
        return Node(kind, key, shown, mark="was", was=short(before), changes=1)


def _removed(before: Any, value: Any, place: str) -> Iterator[tuple[str, str]]:
    if value is NOTHING:
        if isinstance(before, dict | list) and before:
            for name, each in _members(before):
                yield from _removed(each, NOTHING, canonical.pointer_to(place, name))
        else:
            yield place, short(before)
    elif isinstance(before, dict | list) and type(before) is type(value):
        for name, each in _members(before):
            yield from _removed(each, _at(value, name), canonical.pointer_to(place, name))


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    yield from value.items() if isinstance(value, dict) else enumerate(value)


def _at(value: Any, name: str | int) -> Any:
    if isinstance(value, dict) and isinstance(name, str):
        return value.get(name, NOTHING)
    if isinstance(value, list) and isinstance(name, int) and name < len(value):
        return value[name]
    return NOTHING


def _same(value: Any, before: Any) -> bool:
    return type(value) is type(before) and bool(value == before)


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else "list" if isinstance(value, list) else "number"
