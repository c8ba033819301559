"""The JSON Schema of a workflow's input: checked when it is registered, applied when a run starts.

Rules of the room: draft 2020-12, less what reaches outside the schema, never ends or takes time out of proportion:
`$ref` leads to `#/$defs/NAME` and never in a circle; there is no `unevaluated…`, which checks all again at each level;
patterns are searched for by the engine of expressions, whose time is linear, not by Python's. Nothing is ever fetched.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from signoff.protocol.canonical import canonical, pointer_to
from signoff_server.core import regexes
from signoff_server.core.costs import weigh
from signoff_server.core.policies import Complaint, Path
from signoff_server.core.readings import Shape

MAX_FAULTS: Final = 50
MAX_EXPANDED: Final = 2_000
MAX_PATTERNS: Final = 100
MAX_HEIGHT: Final = 40
# Units of `costs` in one part of a schema that is held against one part of an input.
_UNITS: Final = 50
MAX_WORK: Final = 2_000_000
_KINDS: Final = {"string": "string", "integer": "int", "boolean": "bool", "array": "list", "object": "map"}
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REF: Final = re.compile(r"#/\$defs/([A-Za-z0-9_.-]+)")
_SINGLE: Final = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS: Final = ("$defs", "dependentSchemas", "properties")
_NOTES: Final = (
    "$comment",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "format",
    "readOnly",
    "title",
)
_BOUNDS: Final = ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf", "maxLength", "minLength")
_COUNTS: Final = ("maxContains", "maxItems", "maxProperties", "minContains", "minItems", "minProperties", "uniqueItems")
_VALUES: Final = ("$ref", "const", "dependentRequired", "enum", "pattern", "required", "type", "writeOnly")
_KNOWN: Final = frozenset([*_SINGLE, *_LISTS, *_MAPS, *_NOTES, *_BOUNDS, *_COUNTS, *_VALUES])


def check_schema(schema: Any, path: Path) -> list[Complaint]:
    """Everything that is wrong with the schema of an input, which stands at `path`."""
    if not isinstance(schema, dict):
        return [Complaint(path, "a JSON Schema, as a mapping")]
    if _patterns(schema) > MAX_PATTERNS:
        return [Complaint(path, f"an input_schema has at most {MAX_PATTERNS} patterns")]
    found = list(_outside(schema, schema, path))
    if not found and (found := _expansion(schema, path)):
        return found
    errors = _against_the_standard(schema)
    return found + [Complaint((*path, *error.absolute_path), _short(error.message)) for error in errors]


def check_input(schema: Mapping[str, Any] | None, value: Any) -> list[tuple[str, str]]:
    """What is wrong with an input, as JSON pointer and message, at most `MAX_FAULTS`."""
    if schema is None:
        return []
    if weigh(value) * _measured(schema, schema, {})[0] > MAX_WORK:
        return [("", "the input is too large to be checked against the schema of this workflow: send less")]
    validator = _validator()(schema, registry=_registry())
    found = []
    for error in validator.iter_errors(value):
        pointer = ""
        for step in error.absolute_path:
            pointer = pointer_to(pointer, step)
        found.append((pointer, _short(error.message)))
        if len(found) == MAX_FAULTS:
            break
    return sorted(set(found))


def shape_of(schema: Mapping[str, Any] | None) -> Shape:
    """What a sound schema says of each path into an input. `number` says nothing: 1 and 1.5 are of two kinds."""
    kinds: dict[tuple[str, ...], str] = {}
    closed: dict[tuple[str, ...], frozenset[str]] = {}
    pending: list[tuple[tuple[str, ...], Any]] = [((), schema)]
    while pending:
        path, part = pending.pop()
        if not isinstance(part, dict):
            continue
        if isinstance(kind := part.get("type"), str) and kind in _KINDS:
            kinds[path] = _KINDS[kind]
        properties = part.get("properties", {})
        if kind == "object" and part.get("additionalProperties") is False:
            closed[path] = frozenset(properties)
        pending.extend(((*path, name), each) for name, each in properties.items())
    return Shape(kinds, closed)


def _short(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:299]}…"


# ---------------------------------------------------------------- what a schema may hold


def _subschemas(schema: Mapping[str, Any], path: Path) -> Iterator[tuple[Any, Path]]:
    for key, value in schema.items():
        if key in _SINGLE:
            yield value, (*path, key)
        elif key in _LISTS and isinstance(value, list):
            yield from ((item, (*path, key, at)) for at, item in enumerate(value))
        elif key in _MAPS and isinstance(value, dict):
            yield from ((item, (*path, key, name)) for name, item in value.items())


def _patterns(schema: Any) -> int:
    if not isinstance(schema, dict):
        return 0
    return ("pattern" in schema) + sum(_patterns(item) for item, _ in _subschemas(schema, ()))


def _outside(schema: Any, root: Mapping[str, Any], path: Path) -> Iterator[Complaint]:
    """What the standard allows, or passes over, and this room does not."""
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        told = _wrong(key, value, root)
        if told:
            yield Complaint((*path, key), told, key=True)
    for item, place in _subschemas(schema, path):
        yield from _outside(item, root, place)


def _wrong(key: str, value: Any, root: Mapping[str, Any]) -> str | None:
    match key:
        case "$ref":
            defined = root.get("$defs")
            found = _REF.fullmatch(value) if isinstance(value, str) else None
            if found is None or not isinstance(defined, dict) or found[1] not in defined:
                return "$ref leads to a schema of the same input_schema: #/$defs/NAME"
        case "$schema":
            return None if value == DIALECT else f"the only dialect is {DIALECT}"
        case "pattern":
            return regexes.fault_of(value) if isinstance(value, str) else None
        case _ if key not in _KNOWN and not key.startswith("x-"):
            return "this keyword is not among those that an input_schema may hold"
    return None


def _expansion(schema: Mapping[str, Any], path: Path) -> list[Complaint]:
    try:
        weight, height = _measured(schema, schema, {})
    except RecursionError:
        return [Complaint(path, "$ref leads in a circle or too far: an input has no schema that contains itself")]
    if height > MAX_HEIGHT:
        return [Complaint(path, f"the schema is too deep: through $ref it goes {height} deep, of {MAX_HEIGHT}")]
    told = f"the schema is too large: its parts, each counted where it is referred to, are {weight} of {MAX_EXPANDED}"
    return [Complaint(path, told)] if weight > MAX_EXPANDED else []


# How much there is to check at most, and how deep it goes.
Measure = tuple[int, int]


def _measured(schema: Any, root: Mapping[str, Any], known: dict[str, Measure | None]) -> Measure:
    """Raises `RecursionError` where `$ref` leads in a circle."""
    if not isinstance(schema, dict):
        return 1, 1
    inner = [_measured(item, root, known) for item, place in _subschemas(schema, ()) if place[0] != "$defs"]
    if "$ref" in schema:
        inner.append(_measured_ref(schema["$ref"].rpartition("/")[2], root, known))
    listed = sum(1 + weigh(value) for key, value in schema.items() if key in ("enum", "const", "required"))
    if isinstance(pattern := schema.get("pattern"), str):
        listed += regexes.cost_of(pattern)[0] // _UNITS
    return 1 + listed + sum(weight for weight, _ in inner), 1 + max((height for _, height in inner), default=0)


def _measured_ref(name: str, root: Mapping[str, Any], known: dict[str, Measure | None]) -> Measure:
    if name in known:
        measure = known[name]
        if measure is None:
            raise RecursionError(name)
        return measure
    known[name] = None
    measure = _measured(root["$defs"][name], root, known)
    known[name] = measure
    return measure


# ---------------------------------------------------------------- the library


def _against_the_standard(schema: Any) -> list[Any]:
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(Draft202012Validator.META_SCHEMA, registry=_registry())
    errors = []
    for error in validator.iter_errors(schema):
        errors.append(error)
        if len(errors) == MAX_FAULTS:
            break
    return errors


@cache
def _registry() -> Any:
    """The schemas of the standard itself, and no way to get others."""
    from jsonschema_specifications import REGISTRY

    return REGISTRY


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, validators

    extend: Any = validators.extend
    return extend(Draft202012Validator, {"pattern": _pattern, "uniqueItems": _unique_items})


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not regexes.found(pattern, instance):
        yield ValidationError(f"{_short(repr(instance))} does not match {pattern!r}")


def _unique_items(validator: Any, wanted: bool, instance: Any, schema: Any) -> Iterator[Any]:
    """By their canonical bytes: the library compares each with each."""
    from jsonschema import ValidationError

    if wanted and isinstance(instance, list) and len({canonical(item) for item in instance}) < len(instance):
        yield ValidationError("an item stands in this list twice")
