"""Expressions in CEL: checked when a workflow is registered, evaluated on plain data, with a bound on what they cost.

They read `input`, `nodes.ID.output`, `execution.id` and `now`, and nothing else. In the data of a workflow a text may
hold `${{ … }}`: a text that is one whole expression becomes its value; else values are put into the text.

Rules of the room: what can be told from the text alone is told by `check`; what fails later fails as
`ExpressionFailed` and in no other way. Results are JSON data that keep the rules of `signoff.protocol.canonical`, a
timestamp as its RFC 3339 text; durations, bytes, NaN and infinities are failures. `has(…)` is false wherever a part of
the way is missing. Paths are looked up here, so that the engine is given only what an expression reads.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from signoff.protocol.canonical import NotCanonical
from signoff.protocol.canonical import check as check_canonical
from signoff_server.core import cel, syntax
from signoff_server.core.costs import Budget, Size, TooCostly, estimate, size_of, weigh
from signoff_server.core.events import to_text
from signoff_server.core.readings import NO_SHAPE, Expression, Reading, Shape, check, read, reads, short, told
from signoff_server.core.syntax import SyntaxFault
from signoff_server.core.trees import Slot, written

__all__ = [
    "ExpressionFailed",
    "Scope",
    "SyntaxFault",
    "check",
    "check_in",
    "evaluate",
    "fill",
    "holds",
    "reads",
    "reads_in",
    "texts",
]

# What is done with a part of a result here and by those who store and show it, in the units of `costs`.
_HANDLED: Final = 8
_OPEN: Final = "${{"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MISSING: Final = object()


class ExpressionFailed(Exception):
    """An expression that has no value on this data; the message says why, and is fit to be shown."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Scope:
    """What expressions read. `outputs`: of the nodes that ended, by id; `now`: milliseconds since 1970."""

    input: Any
    outputs: Mapping[str, Any]
    execution_id: str
    now: int


# ---------------------------------------------------------------- evaluating


def evaluate(text: str, scope: Scope, budget: Budget | None = None) -> Any:
    """The value of a bare expression as JSON data. Raises `ExpressionFailed`."""
    try:
        return _value(read(text), scope, budget or Budget())
    except SyntaxFault as fault:
        raise ExpressionFailed(told(text, fault)) from None
    except TooCostly as error:
        raise ExpressionFailed(f"{error}, in {short(text)}") from None


def holds(text: str, scope: Scope) -> bool:
    """Whether a condition is true. Raises `ExpressionFailed`, also for what is neither true nor false."""
    value = evaluate(text, scope)
    if not isinstance(value, bool):
        raise ExpressionFailed(f"a condition is true or false, and this is neither: {short(text)}")
    return value


def _value(expression: Expression, scope: Scope, budget: Budget) -> Any:
    if expression.faults:
        raise ExpressionFailed(told(expression.text, expression.faults[0]))
    found = [_look(scope, reading) for reading in expression.readings]
    if not isinstance(expression.tree, Slot):
        value = _plain(_run(expression, found, budget), expression.text)
    elif found[0] is _MISSING:
        raise ExpressionFailed(_not_there(expression, 0))
    else:
        value = _converted(found[0], expression.text) if isinstance(found[0], datetime) else found[0]
    budget.spend(weigh(value) * _HANDLED)
    return value


def _run(expression: Expression, found: list[Any], budget: Budget) -> Any:
    sizes = [Size() if value is _MISSING else size_of(value) for value in found]
    budget.spend(sum(size.weight for size in sizes))
    estimate(expression.tree, sizes, budget)
    values = {f"__{at}": value for at, value in enumerate(found) if value is not _MISSING}
    try:
        return cel.run(written(expression.tree), values)
    except cel.EngineFailed as error:
        raise ExpressionFailed(_said(expression, error)) from None


def _look(scope: Scope, reading: Reading) -> Any:
    value = _walk(scope, reading.path)
    return value is not _MISSING if reading.asks else value


def _walk(scope: Scope, path: tuple[str, ...]) -> Any:
    match path:
        case ("now",):
            return _EPOCH + timedelta(milliseconds=scope.now)
        case ("execution", "id"):
            return scope.execution_id
        case ("nodes", node, _, *rest):
            value = scope.outputs.get(node, _MISSING)
        case _:
            value, rest = scope.input, list(path[1:])
    for name in rest:
        value = value.get(name, _MISSING) if isinstance(value, dict) else _MISSING
    return value


def _plain(value: Any, text: str) -> Any:
    """JSON data of what the engine answered, mappings in the order of their keys."""
    value = _converted(value, text)
    try:
        check_canonical(value)
    except NotCanonical as error:
        raise ExpressionFailed(f"the result is not JSON data: {error}, in {short(text)}") from None
    return value


def _converted(value: Any, text: str) -> Any:
    match value:
        case str() | bool() | int() | float() | None:
            return value
        case list():
            return [_converted(item, text) for item in value]
        case dict():
            return {key: _converted(value[key], text) for key in sorted(value, key=str)}
        case datetime():
            return to_text((value - _EPOCH) // timedelta(milliseconds=1))
        case timedelta():
            raise ExpressionFailed(f"the result is a duration: write string(…) around it, in {short(text)}")
    raise ExpressionFailed(f"the result is of a type that JSON does not have: {type(value).__name__}, in {short(text)}")


def _said(expression: Expression, error: cel.EngineFailed) -> str:
    """What the engine said, in the words of the one who wrote the expression."""
    line = str(error)
    unknown = re.search(r"Undefined variable or function: '(\w+)'", line)
    if unknown and unknown[1].startswith("__"):
        return _not_there(expression, int(unknown[1][2:]))
    if unknown:
        line = f"{unknown[1]} does not take values of this type"
    elif error.kind == "KeyError":
        line = f"there is no key {line}"
    return f"{line}, in {short(expression.text)}"


def _not_there(expression: Expression, number: int) -> str:
    path = expression.readings[number].path
    dotted = path[0] + "".join(f".{name}" if name.isidentifier() else f"[{json.dumps(name)}]" for name in path[1:])
    if path[0] == "nodes":
        return f"{dotted} is not there: the node has not ended, or its output has no such part"
    return f"{dotted} is not there; ask has({dotted}) where it may be left out"


# ---------------------------------------------------------------- data with expressions in it


Part = str | Expression


@lru_cache(maxsize=256)
def parts(text: str) -> tuple[Part, ...]:
    """A text as what stands and what is to be evaluated, by turns as they come. Raises `SyntaxFault`."""
    found: list[Part] = []
    at = 0
    while (start := text.find(_OPEN, at)) >= 0:
        if start > at:
            found.append(text[at:start])
        end = _end_of(text, start + len(_OPEN))
        found.append(read(text[start + len(_OPEN) : end].strip()))
        at = end + 2
    if at < len(text) or not found:
        found.append(text[at:])
    return tuple(found)


def _end_of(text: str, start: int) -> int:
    """Where the `}}` stands that ends the expression which begins at `start`; one inside a text does not."""
    depth = 0
    for token in syntax.tokens(text, start):
        if token.kind in ("(", "[", "{"):
            depth += 1
        elif token.kind == "}" and depth <= 0 and text.startswith("}}", token.at):
            return token.at
        elif token.kind in (")", "]", "}"):
            depth -= 1
    raise SyntaxFault(start, "this ${{ has no }} to end it")


def check_in(data: Any, nodes: Collection[str], shape: Shape = NO_SHAPE) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the expressions in `data`, each with the path of its text."""
    for path, text in texts(data):
        yield from ((path, complaint) for complaint in _check_text(text, nodes, shape))
    yield from _check_keys(data, ())


def _check_keys(data: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        if isinstance(key, str) and _OPEN in key:
            yield (*path, key), "an expression stands in a value, not in a key"
        yield from _check_keys(value, (*path, key))


def _check_text(text: str, nodes: Collection[str], shape: Shape) -> list[str]:
    try:
        found = parts(text)
    except SyntaxFault as fault:
        return [told(text, fault)]
    use = "value" if len(found) == 1 else "text"
    expressions = [part for part in found if isinstance(part, Expression)]
    return [complaint for each in expressions for complaint in check(each.text, nodes, use, shape)]


def reads_in(data: Any) -> frozenset[str]:
    """The nodes whose outputs the expressions in `data` read."""
    found = (part for _, text in texts(data) for part in parts(text))
    return frozenset(node for part in found if isinstance(part, Expression) for node in part.nodes)


def texts(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text in `data` that holds an expression."""
    if isinstance(data, str):
        if _OPEN in data:
            yield path, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from texts(value, (*path, key))
    elif isinstance(data, list):
        for at, value in enumerate(data):
            yield from texts(value, (*path, at))


def fill(data: Any, scope: Scope) -> Any:
    """`data` with its expressions evaluated, together within one budget. Raises `ExpressionFailed`."""
    budget = Budget()
    try:
        return _filled(data, lambda part: _value(part, scope, budget))
    except (SyntaxFault, TooCostly) as error:
        raise ExpressionFailed(str(error)) from None


def _filled(data: Any, value_of: Callable[[Expression], Any]) -> Any:
    if isinstance(data, dict):
        return {key: _filled(value, value_of) for key, value in data.items()}
    if isinstance(data, list):
        return [_filled(value, value_of) for value in data]
    if not isinstance(data, str) or _OPEN not in data:
        return data
    found = parts(data)
    if len(found) == 1 and isinstance(found[0], Expression):
        return value_of(found[0])
    return "".join(part if isinstance(part, str) else _as_text(part, value_of(part)) for part in found)


def _as_text(expression: Expression, value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case None:
            told = "it is null"
        case _:
            told = "it is a list or a mapping"
    raise ExpressionFailed(f"{short(expression.text)} cannot be put into a text: {told}")
