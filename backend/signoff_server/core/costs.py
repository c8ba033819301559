"""What an expression can cost at most, told from its tree and the sizes of what it reads, before it runs.

Rules of the room: sizes and costs are upper bounds; whoever runs an expression has seen its bound stay within a budget,
so that none runs away, however it is written. A unit is the copy of one number by the engine, about 0.1 µs. The engine
copies what it selects and what it puts into a list, and builds the list of `map` and `filter` anew for each element.
"""

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from signoff_server.core import regexes
from signoff_server.core.trees import (
    Call,
    Index,
    Listing,
    Literal,
    Macro,
    Mapping,
    Member,
    Name,
    Slot,
    Tree,
)

MAX_COST: Final = 2_000_000
MAX_ITEMS: Final = 1_000
# Characters that cost as much as a number.
_CHARACTERS: Final = 16
_LARGEST: Final = 310


class TooCostly(Exception):
    """The bound exceeds what is left of the budget."""


@dataclass(slots=True)
class Budget:
    """Units that may still be spent; one budget may serve several expressions."""

    left: int = MAX_COST

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise TooCostly("this takes too long or grows too large on data of this size: work on less at a time")


@dataclass(frozen=True, slots=True)
class Size:
    """`weight`: numbers and keys and parts of text in all; `length` of a list or mapping; `each`: its heaviest part."""

    weight: int = 1
    length: int = 0
    each: int = 1


def size_of(value: Any, most: int = MAX_COST) -> Size:
    """The size of plain data; it stops to count beyond `most`."""
    if not isinstance(value, dict | list):
        return Size(weigh(value, most))
    weight = each = 1
    for part in (*value.values(), *value) if isinstance(value, dict) else value:
        heavy = weigh(part, most)
        weight, each = weight + heavy, max(each, heavy)
        if weight > most:
            break
    return Size(weight, len(value), each)


def weigh(value: Any, most: int = MAX_COST) -> int:
    weight, pending = 0, [value]
    while pending and weight <= most:
        item = pending.pop()
        weight += 1
        if isinstance(item, str):
            weight += len(item) // _CHARACTERS
        elif isinstance(item, dict):
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return weight


def estimate(tree: Tree, slots: Sequence[Size], budget: Budget, names: MappingOf[str, Size] | None = None) -> Size:
    """The size of the result at most; what it costs is spent from `budget`. Raises `TooCostly`."""
    return _Estimate(slots, budget, names or {}).of(tree)


@dataclass(frozen=True, slots=True)
class _Estimate:
    slots: Sequence[Size]
    budget: Budget
    names: MappingOf[str, Size]

    def of(self, tree: Tree) -> Size:
        self.budget.spend(1)
        match tree:
            case Slot():
                return self.slots[tree.number]
            case Literal():
                return size_of(tree.value)
            case Name():
                return self.names[tree.name]
            case Member() | Index():
                return self.part(tree)
            case Listing() | Mapping():
                return self.collection(tree.parts)
            case Macro():
                return self.macro(tree)
            case Call():
                return self.call(tree)

    def part(self, tree: Member | Index) -> Size:
        if isinstance(tree, Index):
            self.of(tree.key)
        each = self.of(tree.of).each
        self.budget.spend(each)
        return Size(each, each, each)

    def collection(self, parts: Sequence[Tree]) -> Size:
        sizes = [self.of(part) for part in parts]
        weight = 1 + sum(size.weight for size in sizes)
        self.budget.spend(weight)
        return Size(weight, len(sizes), max((size.weight for size in sizes), default=1))

    def call(self, tree: Call) -> Size:
        sizes = [self.of(part) for part in tree.parts]
        weight = sum(size.weight for size in sizes)
        match tree.name:
            case "+":
                # Each sum of a chain is copied into the next.
                self.budget.spend(weight * len(sizes))
                return Size(weight, sum(size.length for size in sizes), max(size.each for size in sizes))
            case "?:":
                chosen = sizes[1:]
                return Size(*(max(getattr(size, name) for size in chosen) for name in ("weight", "length", "each")))
            case "matches":
                self.budget.spend(self.regex(tree, sizes[0].weight))
            case "string":
                self.budget.spend(weight)
                return Size(max(weight, _LARGEST // _CHARACTERS))
            case "==" | "!=" | "in" | "<" | "<=" | ">" | ">=" | "contains" | "startsWith" | "endsWith":
                self.budget.spend(weight)
        return Size()

    def regex(self, tree: Call, weight: int) -> int:
        pattern = tree.parts[1]
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            return MAX_COST
        build, search = regexes.cost_of(pattern.value)
        return build + search * weight * _CHARACTERS // 100

    def macro(self, tree: Macro) -> Size:
        over = self.of(tree.over)
        count = over.length
        if count > MAX_ITEMS:
            raise TooCostly(f"{tree.kind} goes over at most {MAX_ITEMS} elements, and here may be {count}")
        element = Size(over.each, over.each, over.each)
        once = Budget(self.budget.left)
        inner = _Estimate(self.slots, once, {**self.names, tree.name: element})
        sizes = [inner.of(body) for body in tree.bodies]
        self.budget.spend(count * (self.budget.left - once.left))
        if tree.kind not in ("map", "filter"):
            return Size()
        each = over.each if tree.kind == "filter" else sizes[-1].weight
        self.budget.spend(count * count * each // 2 + count)
        return Size(1 + count * each, count, each)
