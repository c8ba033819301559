"""What kind of value an expression has, as far as its text tells, and where kinds cannot go together.

Rules of the room: `dyn` is what cannot be told, and goes with everything; a fault is told only where the engine would
fail on every input. CEL turns no kind into another by itself (https://github.com/google/cel-spec, "Overloads").
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from signoff_server.core.syntax import SyntaxFault
from signoff_server.core.trees import Call, Index, Listing, Literal, Macro, Mapping, Member, Name, Slot, Tree

DYN: Final = "dyn"
NUMBERS: Final = ("int", "double")
_OF_LITERALS: Final = {bool: "bool", int: "int", float: "double", str: "string", type(None): "null"}
_KEYS: Final = ("int", "bool", "string")
_ORDERED: Final = (*NUMBERS, "string", "bool", "timestamp", "duration")
_SUMS: Final = {
    **{(kind, kind): kind for kind in (*NUMBERS, "string", "list", "duration")},
    ("timestamp", "duration"): "timestamp",
}
_DIFFERENCES: Final = {
    **{(kind, kind): kind for kind in (*NUMBERS, "duration")},
    ("timestamp", "timestamp"): "duration",
    ("timestamp", "duration"): "timestamp",
}
_PRODUCTS: Final = {(kind, kind): kind for kind in NUMBERS}
_ARITHMETIC: Final = {
    "+": _SUMS,
    "-": _DIFFERENCES,
    "*": _PRODUCTS,
    "/": _PRODUCTS,
    "%": {("int", "int"): "int"},
}
_TEXTS: Final = (("string",), ("string",))
# Function -> the kinds that each of its arguments may have, and the kind of its value.
_CALLS: Final[dict[str, tuple[tuple[tuple[str, ...], ...], str]]] = {
    "size": ((("string", "list", "map"),), "int"),
    "string": (((*NUMBERS, "string", "timestamp", "duration"),), "string"),
    "int": (((*NUMBERS, "string"),), "int"),
    "double": (((*NUMBERS, "string"),), "double"),
    "timestamp": ((("string",),), "timestamp"),
    "duration": ((("string",),), "duration"),
    **dict.fromkeys(["contains", "startsWith", "endsWith", "matches"], (_TEXTS, "bool")),
    "!": ((("bool",),), "bool"),
    "neg": ((NUMBERS,), DYN),
}
_OF_TIMES: Final = ("timestamp",)
_OF_DURATIONS_TOO: Final = ("getHours", "getMinutes", "getSeconds", "getMilliseconds")


def kind_of(tree: Tree, slots: Sequence[str], faults: list[SyntaxFault]) -> str:
    """The kind of the value of `tree`, whose slots have the kinds `slots`; what cannot be goes to `faults`."""
    return _Kinds(slots, faults).of(tree)


@dataclass(frozen=True, slots=True)
class _Kinds:
    slots: Sequence[str]
    faults: list[SyntaxFault] = field(default_factory=list)

    def of(self, tree: Tree) -> str:
        match tree:
            case Slot():
                return self.slots[tree.number]
            case Literal():
                return _OF_LITERALS[type(tree.value)]
            case Name():
                return DYN
            case Member():
                self.wanted(tree.of, ("map",), f"a field {tree.name!r} is read of it")
                return DYN
            case Index():
                return self.index(tree)
            case Listing() | Mapping():
                for part in tree.parts:
                    self.of(part)
                return "list" if isinstance(tree, Listing) else "map"
            case Macro():
                return self.macro(tree)
            case Call():
                return self.call(tree)

    def wanted(self, tree: Tree, kinds: Sequence[str], why: str) -> str:
        kind = self.of(tree)
        if kind != DYN and kind not in kinds:
            self.faults.append(SyntaxFault(tree.at, f"{' or '.join(kinds)} is wanted here, not {kind}: {why}"))
        return kind

    def index(self, tree: Index) -> str:
        of = self.wanted(tree.of, ("list", "map"), "a part is read of it")
        if of == "list":
            self.wanted(tree.key, ("int",), "places in a list are whole numbers, from 0")
        else:
            self.of(tree.key)
        return DYN

    def macro(self, tree: Macro) -> str:
        self.wanted(tree.over, ("list", "map"), f"{tree.kind} goes over it")
        *tests, last = tree.bodies
        for body in tests:
            self.wanted(body, ("bool",), f"{tree.kind} asks it of each")
        if tree.kind == "map":
            self.of(last)
        else:
            self.wanted(last, ("bool",), f"{tree.kind} asks it of each")
        return "list" if tree.kind in ("map", "filter") else "bool"

    def call(self, tree: Call) -> str:
        match tree.name:
            case "has":
                self.of(tree.parts[0])
                return "bool"
            case "&&" | "||":
                for part in tree.parts:
                    self.wanted(part, ("bool",), f"{tree.name} is of what is true or false")
                return "bool"
            case "?:":
                self.wanted(tree.parts[0], ("bool",), "it decides between the two behind it")
                either = {self.of(part) for part in tree.parts[1:]}
                return either.pop() if len(either) == 1 else DYN
            case "in":
                key, holder = tree.parts
                if self.wanted(holder, ("list", "map"), "it is looked for in it") == "map":
                    self.wanted(key, _KEYS, "it is looked for among keys")
                else:
                    self.of(key)
                return "bool"
        if tree.name in _ARITHMETIC:
            return self.arithmetic(tree)
        if tree.name in _CALLS or tree.name.startswith("get"):
            return self.function(tree)
        return self.comparison(tree)

    def arithmetic(self, tree: Call) -> str:
        table = _ARITHMETIC[tree.name]
        kinds = [self.of(part) for part in tree.parts]
        sum_ = kinds[0]
        for at, kind in enumerate(kinds[1:], 1):
            possible = {made for (left, right), made in table.items() if sum_ in (left, DYN) and kind in (right, DYN)}
            if not possible:
                told = f"{sum_} {tree.name} {kind} is not defined: int(), double() and string() make one of another"
                self.faults.append(SyntaxFault(tree.parts[at].at, told))
            sum_ = possible.pop() if len(possible) == 1 else DYN
        return sum_

    def comparison(self, tree: Call) -> str:
        kinds = [self.of(part) for part in tree.parts]
        if tree.name not in ("==", "!="):
            for left, right in pairwise(kinds):
                alike = DYN in (left, right) or left == right or (left in NUMBERS and right in NUMBERS)
                if not alike or not {left, right} <= {*_ORDERED, DYN}:
                    told = f"{left} {tree.name} {right} is not defined: only values of one kind have an order"
                    self.faults.append(SyntaxFault(tree.at, told))
        return "bool"

    def function(self, tree: Call) -> str:
        of_durations = ("duration",) if tree.name in _OF_DURATIONS_TOO else ()
        arguments, made = _CALLS.get(tree.name, (((*_OF_TIMES, *of_durations),), "int"))
        why = "it is turned round" if tree.name in ("neg", "!") else f"{tree.name} takes no other"
        pairs = zip(tree.parts, arguments, strict=True)
        kinds = [self.wanted(part, wanted, why) for part, wanted in pairs]
        return kinds[0] if tree.name == "neg" else made
