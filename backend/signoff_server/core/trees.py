"""An expression as a tree, and the tree as the engine reads it: what runs is written from here, never a user's text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

# How tightly an operator binds.
BINARY: Final = {
    **dict.fromkeys(["||"], 1),
    **dict.fromkeys(["&&"], 2),
    **dict.fromkeys(["==", "!=", "<", "<=", ">", ">=", "in"], 3),
    **dict.fromkeys(["+", "-"], 4),
    **dict.fromkeys(["*", "/", "%"], 5),
}


@dataclass(frozen=True, slots=True)
class Literal:
    at: int
    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`of.name`, and `of["name"]` too, where the name is written out."""

    at: int
    of: "Tree"
    name: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    at: int
    of: "Tree"
    key: "Tree"


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator; what stands before the dot of a method is the first of `parts`."""

    at: int
    name: str
    parts: tuple["Tree", ...]
    method: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    at: int
    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values by turns."""

    at: int
    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Macro:
    """`over.kind(name, body …)`: the bodies are evaluated once for each element."""

    at: int
    kind: str
    over: "Tree"
    name: str
    bodies: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A value that is put in by number; no text is read as one."""

    at: int
    number: int


Tree = Slot | Literal | Name | Member | Index | Call | Listing | Mapping | Macro


def children(tree: Tree) -> tuple[Tree, ...]:
    match tree:
        case Member():
            return (tree.of,)
        case Index():
            return (tree.of, tree.key)
        case Call() | Listing() | Mapping():
            return tree.parts
        case Macro():
            return (tree.over, *tree.bodies)
    return ()


def with_children(tree: Tree, parts: Sequence[Tree]) -> Tree:
    """The tree with other children, as many as `children` tells."""
    match tree:
        case Member():
            return replace(tree, of=parts[0])
        case Index():
            return replace(tree, of=parts[0], key=parts[1])
        case Call() | Listing() | Mapping():
            return replace(tree, parts=tuple(parts))
        case Macro():
            return replace(tree, over=parts[0], bodies=tuple(parts[1:]))
    return tree


def written(tree: Tree) -> str:
    """The tree as the engine reads it. Slots are named `__0`, `__1` …"""
    parts = [written(child) for child in children(tree)]
    match tree:
        case Slot():
            return f"__{tree.number}"
        case Literal():
            return json.dumps(tree.value, ensure_ascii=False)
        case Name():
            return tree.name
        case Member():
            return f"{parts[0]}[{json.dumps(tree.name, ensure_ascii=False)}]"
        case Index():
            return f"{parts[0]}[{parts[1]}]"
        case Listing():
            return f"[{', '.join(parts)}]"
        case Mapping():
            pairs = (f"{key}: {value}" for key, value in zip(parts[::2], parts[1::2], strict=True))
            return f"{{{', '.join(pairs)}}}"
        case Macro():
            return f"{parts[0]}.{tree.kind}({', '.join((tree.name, *parts[1:]))})"
        case Call():
            return _called(tree, parts)


def _called(tree: Call, parts: list[str]) -> str:
    if tree.name == "has":
        # The one place where the engine wants a dot; everywhere else a dot costs it a copy of what stands before.
        (member,) = tree.parts
        assert isinstance(member, Member)
        return f"has({written(member.of)}.{member.name})"
    if tree.name == "?:":
        return f"({parts[0]} ? {parts[1]} : {parts[2]})"
    if tree.name in ("neg", "!"):
        return f"({'-' if tree.name == 'neg' else '!'}{parts[0]})"
    if tree.name in BINARY:
        return f"({f' {tree.name} '.join(parts)})"
    if tree.method:
        return f"{parts[0]}.{tree.name}({', '.join(parts[1:])})"
    return f"{tree.name}({', '.join(parts)})"
