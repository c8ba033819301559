"""What an expression reads and what is wrong with it, told from its text alone.

Rules of the room: each path from a root is taken out of the tree and a slot put in its place, so that the engine is
given only what an expression reads, and copies it once. Names, functions and their arguments are known here; a call
with a body for each element never stands inside another.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

from signoff_server.core import cel, regexes, syntax
from signoff_server.core.kinds import DYN, kind_of
from signoff_server.core.syntax import SyntaxFault
from signoff_server.core.trees import (
    Call,
    Index,
    Literal,
    Macro,
    Member,
    Name,
    Slot,
    Tree,
    children,
    with_children,
    written,
)

ROOTS: Final = ("input", "nodes", "execution", "now")
_TIMES: Final = ("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "Hours", "Minutes", "Seconds")
# Name -> how many arguments as a function, and as a method behind its first one; None where it is not that.
FUNCTIONS: Final[dict[str, tuple[int | None, int | None]]] = {
    "has": (1, None),
    "size": (1, 0),
    **dict.fromkeys(["string", "int", "double", "timestamp", "duration"], (1, None)),
    **dict.fromkeys(["contains", "startsWith", "endsWith", "matches"], (None, 1)),
    **dict.fromkeys([f"get{part}" for part in (*_TIMES, "Milliseconds")], (None, 0)),
}
_NAMES: Final = ", ".join(sorted({*FUNCTIONS, *syntax.MACROS} - {name for name in FUNCTIONS if name.startswith("get")}))
_OPERATORS: Final = frozenset(
    ["||", "&&", "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%", "?:", "neg", "!"]
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of an input: the kind at a path, and below which paths there is only what is named."""

    kinds: Mapping[tuple[str, ...], str]
    closed: Mapping[tuple[str, ...], frozenset[str]]


NO_SHAPE: Final = Shape({}, {})


class Reading(NamedTuple):
    """A path that an expression reads, or of which it `asks` only whether it is there."""

    path: tuple[str, ...]
    asks: bool


@dataclass(frozen=True, slots=True)
class Expression:
    """`tree` has a slot for each of `readings`; `faults` are those that do not depend on the workflow around it."""

    text: str
    tree: Tree
    readings: tuple[Reading, ...]
    faults: tuple[SyntaxFault, ...]
    kind: str

    @property
    def nodes(self) -> frozenset[str]:
        return frozenset(each.path[1] for each in self.readings if each.path[0] == "nodes" and len(each.path) > 2)


# ---------------------------------------------------------------- reading


@lru_cache(maxsize=256)
def read(text: str) -> Expression:
    """One expression. Raises `SyntaxFault` where it cannot be read at all; what else is wrong is in its `faults`."""
    hoist = _Hoist([], [])
    tree = hoist.of(syntax.parse(text), frozenset())
    faults = hoist.faults
    kind = DYN if faults else kind_of(tree, [_kind(reading) for reading in hoist.readings], faults)
    return Expression(text, tree, tuple(hoist.readings), tuple(faults), kind)


def _kind(reading: Reading, shape: Shape = NO_SHAPE) -> str:
    if reading.asks:
        return "bool"
    if reading.path[0] == "input" and reading.path[1:] in shape.kinds:
        return shape.kinds[reading.path[1:]]
    return {("now",): "timestamp", ("execution", "id"): "string", ("input",): "map"}.get(reading.path, DYN)


# What an expression stands for -> the kinds that cannot be that, and what is wanted.
USES: Final[dict[str, tuple[frozenset[str], str]]] = {
    "value": (frozenset(["duration"]), "JSON has no durations: write string(…) around it"),
    "text": (frozenset(["duration", "list", "map", "null"]), "only text, a number, true or false goes into a text"),
    "condition": (
        frozenset(["int", "double", "string", "null", "list", "map", "timestamp", "duration"]),
        "a condition is true or false",
    ),
}


def check(text: str, nodes: Collection[str], use: str = "value", shape: Shape = NO_SHAPE) -> list[str]:
    """Everything that is wrong with an expression in a workflow that has `nodes` and an input of such a shape.

    `use` is one of `USES`.
    """
    try:
        expression = read(text)
    except SyntaxFault as fault:
        return [told(text, fault)]
    kind, faults = _in_shape(expression, shape)
    found = [told(text, fault) for fault in faults]
    found += [f"{each}, in {short(text)}" for reading in expression.readings for each in _outside(reading.path, shape)]
    impossible, wanted = USES[use]
    if not found and kind in impossible:
        found.append(f"this is of kind {kind}, and {wanted}, in {short(text)}")
    unknown = sorted(expression.nodes.difference(nodes))
    found += [f"there is no node {node!r} to read from, in {short(text)}" for node in unknown]
    return found or _refused_by_the_engine(expression)


def _in_shape(expression: Expression, shape: Shape) -> tuple[str, list[SyntaxFault]]:
    """The kind of an expression and its faults, once more with what is known of the input."""
    faults = list(expression.faults)
    if faults or not shape.kinds:
        return expression.kind, faults
    slots = [_kind(reading, shape) for reading in expression.readings]
    return kind_of(expression.tree, slots, faults), faults


def _outside(path: tuple[str, ...], shape: Shape) -> Iterator[str]:
    """What the input has no place for, by its schema."""
    root, *names = path
    for at, name in enumerate(names if root == "input" else ()):
        holder = tuple(names[:at])
        if name not in shape.closed.get(holder, (name,)):
            yield f"{'.'.join(('input', *holder))} has no property {name!r}, by the input_schema"
        elif shape.kinds.get(holder, "map") != "map":
            yield f"{'.'.join(('input', *holder))} is a {shape.kinds[holder]} and has no {name!r}, by the input_schema"


def _refused_by_the_engine(expression: Expression) -> list[str]:
    try:
        cel.compile_program(written(expression.tree))
    except cel.EngineFailed as error:
        return [f"{error}, in {short(expression.text)}"]
    return []


def reads(text: str) -> frozenset[str]:
    """The nodes whose outputs a bare expression reads."""
    return read(text).nodes


def told(text: str, fault: SyntaxFault) -> str:
    return f"{fault.message}, in {short(text)} at character {fault.at + 1}"


def short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


@dataclass(frozen=True, slots=True)
class _Hoist:
    """Puts a slot in place of each path that begins at a root, and collects what is wrong on the way."""

    readings: list[Reading]
    faults: list[SyntaxFault]

    def of(self, tree: Tree, bound: frozenset[str]) -> Tree:
        path = _path(tree, bound)
        if path is not None:
            return self.slot(tree, path, asks=False)
        match tree:
            case Call():
                return self.call(tree, bound)
            case Macro():
                return self.macro(tree, bound)
        return with_children(tree, [self.of(child, bound) for child in children(tree)])

    def slot(self, tree: Tree, path: tuple[str, ...], *, asks: bool) -> Tree:
        if told := _wrong_path(path):
            self.faults.append(SyntaxFault(_start(tree), told))
        reading = Reading(path, asks)
        if reading not in self.readings:
            self.readings.append(reading)
        return Slot(tree.at, self.readings.index(reading))

    def call(self, tree: Call, bound: frozenset[str]) -> Tree:
        if told := _wrong_call(tree):
            self.faults.append(SyntaxFault(tree.at, told))
        elif tree.name == "has" and (path := _path(tree.parts[0], bound)):
            return self.slot(tree.parts[0], path, asks=True)
        elif tree.name == "has":
            (member,) = tree.parts
            assert isinstance(member, Member)
            return replace(tree, parts=(replace(member, of=self.of(member.of, bound)),))
        return with_children(tree, [self.of(part, bound) for part in tree.parts])

    def macro(self, tree: Macro, bound: frozenset[str]) -> Tree:
        if bound:
            self.faults.append(SyntaxFault(tree.at, f"{tree.kind} inside another such call is not allowed"))
        if tree.name in ROOTS or tree.name.startswith("__"):
            self.faults.append(SyntaxFault(tree.at, f"{tree.name!r} has a meaning of its own: take another name"))
        inside = bound | {tree.name}
        bodies = [self.of(body, inside) for body in tree.bodies]
        return replace(tree, over=self.of(tree.over, bound), bodies=tuple(bodies))


def _path(tree: Tree, bound: frozenset[str]) -> tuple[str, ...] | None:
    """The names from a root on, where the tree is nothing but such a way."""
    names: list[str] = []
    while isinstance(tree, Member):
        names.append(tree.name)
        tree = tree.of
    if isinstance(tree, Name) and tree.name not in bound:
        return (tree.name, *reversed(names))
    return None


def _start(tree: Tree) -> int:
    while isinstance(tree, Member | Index):
        tree = tree.of
    return tree.at


def _wrong_path(path: tuple[str, ...]) -> str | None:
    root, *rest = path
    match root:
        case "input":
            return None
        case "nodes":
            return (
                None if len(rest) >= 2 and rest[1] == "output" else "of a node only its output is read: nodes.ID.output"
            )
        case "execution":
            return None if rest == ["id"] else "of the execution only its id is read: execution.id"
        case "now":
            return None if not rest else "now is a timestamp and has no parts; there are methods like now.getHours()"
    return f"unknown name {root!r}; there are {', '.join(ROOTS)}"


def _wrong_call(tree: Call) -> str | None:
    if tree.name in _OPERATORS and not tree.method:
        return None
    if tree.name not in FUNCTIONS:
        return f"unknown function {tree.name!r}; there are {_NAMES}, and those of timestamps like getHours"
    wanted = FUNCTIONS[tree.name][tree.method]
    if wanted is None:
        return f"it is written {'x.' if not tree.method else ''}{tree.name}({'…' if tree.name != 'has' else 'x.y'})"
    given = len(tree.parts) - tree.method
    if given != wanted:
        return f"{tree.name} takes {wanted} argument{'s' * (wanted != 1)} here, not {given}"
    match tree.name:
        case "has" if not isinstance(tree.parts[0], Member):
            return "has takes a field: has(input.name)"
        case "matches":
            return _wrong_pattern(tree.parts[1])
    return None


def _wrong_pattern(tree: Tree) -> str | None:
    if not isinstance(tree, Literal) or not isinstance(tree.value, str):
        return "the pattern of matches is a text that is written out"
    return regexes.fault_of(tree.value)
