"""A form made of the JSON Schema of a workflow's input, and the input made of what was filled in.

Rules of the room: pure. Whatever a form cannot ask for field by field is asked for as JSON. Text becomes a value
exactly or not at all: no integer passes through a float, no decimal is rounded, nothing is guessed. A field that is
left empty and not required is left out. Whether the input fits the schema as a whole is for the service to say.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from signoff.protocol import canonical

MAX_FIELDS: Final = 100
# Where there is no value; None is one.
_NOTHING: Final = object()
_LONG: Final = 120
_SCALARS: Final = ("string", "integer", "number", "boolean")
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MOST_DIGITS: Final = 40
# What HTML calls the bounds of JSON Schema.
_BOUNDS: Final = {"minLength": "minlength", "maxLength": "maxlength", "minimum": "min", "maximum": "max"}


@dataclass(frozen=True, slots=True)
class Field:
    """One control. `kind` is `text`, `long`, `integer`, `number`, `boolean`, `choice`, `list`, `group` or `json`.

    `pointer` leads to its value in the input; `item` is the type of what a list holds. `choices` are values.
    """

    pointer: str
    label: str
    kind: str
    required: bool = False
    description: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[Any, ...] = ()
    default: Any = None
    item: str = ""
    inner: "tuple[tuple[str, Field], ...]" = ()

    @property
    def name(self) -> str:
        """What the control is called in the form."""
        return f"input{self.pointer}"

    def option(self, at: int) -> str:
        """What is shown of a choice."""
        value = self.choices[at]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Read:
    """What was filled in. `faults` are by the pointer of their field."""

    value: dict[str, Any]
    faults: dict[str, str]


def form_of(schema: Mapping[str, Any] | None) -> Field | None:
    """The form that asks for an input, as one group; None where only JSON will do."""
    if schema is None:
        return None
    made = _group("", "", schema, schema, required=True)
    return made if made is not None and 1 <= sum(1 for _ in each(made)) - 1 <= MAX_FIELDS else None


def each(made: Field) -> Iterator[Field]:
    """The field and all those within it."""
    yield made
    for _, inner in made.inner:
        yield from each(inner)


# ---------------------------------------------------------------- a form of a schema


def _group(
    pointer: str, label: str, schema: Mapping[str, Any], root: Mapping[str, Any], *, required: bool
) -> Field | None:
    properties = schema.get("properties")
    if schema.get("type", "object") != "object" or not isinstance(properties, Mapping) or not properties:
        return None
    wanted = schema.get("required", ())
    inner = tuple(
        (name, _field(canonical.pointer_to(pointer, name), name, part, root, required=name in wanted))
        for name, part in properties.items()
    )
    return Field(pointer, label, "group", required, _text(schema, "description"), inner=inner)


def _field(pointer: str, name: str, part: Any, root: Mapping[str, Any], *, required: bool) -> Field:
    part = _resolved(part, root)
    label, about = _text(part, "title") or name, _text(part, "description")
    group = _group(pointer, label, part, root, required=required) if part.get("type") == "object" else None
    if group is not None:
        return group
    kind, item = _kind(part)
    return Field(
        pointer,
        label,
        kind,
        required,
        about,
        _attributes(part, kind),
        tuple(part.get("enum", [part["const"]] if "const" in part else ())) if kind == "choice" else (),
        part.get("default"),
        item,
    )


def _kind(part: Mapping[str, Any]) -> tuple[str, str]:
    """The kind of a field, and the type of what it holds where it is a list. Too many choices are no help."""
    if "const" in part or len(part.get("enum", ())) > 0:
        return ("choice" if len(part.get("enum", ())) <= MAX_FIELDS else "json"), ""
    match part.get("type"):
        case "string":
            return ("long" if part.get("maxLength", 0) > _LONG else "text"), ""
        case "integer" | "number" | "boolean" as kind:
            return kind, ""
        case "array":
            items = part.get("items")
            item = items.get("type") if isinstance(items, Mapping) else None
            if item in ("string", "integer", "number") and "prefixItems" not in part:
                return "list", str(item)
    return "json", ""


def _resolved(part: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """`part`, or what it refers to. References of a registered schema lead nowhere else, and never in a circle."""
    if not isinstance(part, Mapping):
        return {}
    reference = part.get("$ref")
    if not isinstance(reference, str):
        return part
    found = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
    return {**_resolved(found, root), **{key: value for key, value in part.items() if key != "$ref"}}


def _attributes(part: Mapping[str, Any], kind: str) -> dict[str, str]:
    """The bounds of a field as HTML knows them; a browser that checks them saves a round trip, no more."""
    if kind in ("text", "long"):
        known: tuple[str, ...] = ("minLength", "maxLength")
    elif kind in ("integer", "number"):
        known = ("minimum", "maximum")
    else:
        return {}
    found = {_BOUNDS[name]: json.dumps(part[name]) for name in known if name in part}
    if kind == "text" and isinstance(part.get("pattern"), str):
        # JSON Schema searches for a pattern, HTML wants the whole to match.
        found["pattern"] = f".*(?:{part['pattern']}).*"
    return found


def _text(part: Mapping[str, Any], name: str) -> str:
    found = part.get(name)
    return found if isinstance(found, str) else ""


# ---------------------------------------------------------------- what a form begins with


def filled(made: Field, value: Mapping[str, Any] | None = None) -> dict[str, str] | None:
    """What stands in each control: of `value`, or the defaults. None where the form has no place for all of it."""
    texts: dict[str, str] = {}
    fits = _fill(made, {} if value is None else value, texts, defaults=value is None)
    return texts if fits else None


def _fill(made: Field, value: Any, texts: dict[str, str], *, defaults: bool) -> bool:
    if made.kind == "group":
        return _fill_group(made, value, texts, defaults=defaults)
    if value is _NOTHING and defaults and made.default is not None:
        value = made.default
    written = "" if value is _NOTHING else _written(made, value)
    texts[made.name] = written or ""
    return written is not None


def _fill_group(made: Field, value: Any, texts: dict[str, str], *, defaults: bool) -> bool:
    if value == {} and not made.required:
        # Nothing in it looks as if it were left out.
        return False
    within = {} if value is _NOTHING else value
    if not isinstance(within, Mapping) or set(within) - {name for name, _ in made.inner}:
        return False
    return all(_fill(inner, within.get(name, _NOTHING), texts, defaults=defaults) for name, inner in made.inner)


def _written(made: Field, value: Any) -> str | None:
    """A value as its control holds it; None where that cannot."""
    match made.kind:
        case "choice":
            same = (at for at, choice in enumerate(made.choices) if _same(choice, value))
            return next((str(at) for at in same), None)
        case "list":
            if not isinstance(value, Sequence) or isinstance(value, str) or not value:
                return None
            lines = [_plain(item, made.item) for item in value]
            return None if any(not line or "\n" in line for line in lines) else "\n".join(map(str, lines))
        case "json":
            return json.dumps(value, ensure_ascii=False, indent=2)
    found = _plain(value, {"text": "string", "long": "string"}.get(made.kind, made.kind))
    # An empty text cannot be told from none.
    return found or None


def _plain(value: Any, kind: str) -> str | None:
    if kind == "string":
        return value if isinstance(value, str) else None
    fits = isinstance(value, bool) == (kind == "boolean") and isinstance(value, int | float)
    return json.dumps(value) if fits else None


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


# ---------------------------------------------------------------- what was filled in


class _Fault(ValueError):
    """What is wrong with a text, in words."""


def read(made: Field, texts: Mapping[str, str]) -> Read:
    """The input that was filled in. `texts` are by the names of the controls; what is missing is empty."""
    faults: dict[str, str] = {}
    value = _read(made, texts, faults)
    return Read(value if isinstance(value, dict) else {}, faults)


def read_json(text: str) -> Read:
    """The input that was written as JSON; its fault stands at the pointer ""."""
    try:
        value = canonical.loads(text or "{}")
    except (canonical.MalformedJSON, canonical.NotCanonical) as error:
        return Read({}, {"": f"This is not acceptable JSON: {error}."})
    if not isinstance(value, dict):
        return Read({}, {"": "An input is a JSON object: { … }."})
    return Read(value, {})


def place(made: Field, errors: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Each message at the field that it is about, or at the nearest around it; the first one counts."""
    pointers = {inner.pointer for inner in each(made)}
    found: dict[str, str] = {}
    for pointer, message in errors:
        at = pointer
        while at not in pointers:
            at = at.rpartition("/")[0]
        found.setdefault(at, message)
    return found


def _read(made: Field, texts: Mapping[str, str], faults: dict[str, str]) -> Any:
    if made.kind == "group":
        return _read_group(made, texts, faults)
    text = texts.get(made.name, "")
    if made.kind not in ("text", "long", "list"):
        text = text.strip()
    try:
        if text.strip() == "" and (made.kind not in ("text", "long") or text == ""):
            return _empty(made)
        return _READERS[made.kind](made, text)
    except _Fault as fault:
        faults[made.pointer] = str(fault)
        return _NOTHING


def _read_group(made: Field, texts: Mapping[str, str], faults: dict[str, str]) -> Any:
    within = [inner.name for inner in each(made) if inner.kind != "group"]
    if not made.required and not any(texts.get(name, "").strip() for name in within):
        return _NOTHING
    read_ = {name: _read(inner, texts, faults) for name, inner in made.inner}
    return {name: value for name, value in read_.items() if value is not _NOTHING}


def _empty(made: Field) -> Any:
    if not made.required:
        return _NOTHING
    if made.kind == "list":
        return []
    raise _Fault("This has to be filled in.")


def _read_text(_made: Field, text: str) -> str:
    return text


def _read_integer(_made: Field, text: str) -> int:
    if not _INTEGER.fullmatch(text) or len(text) > _MOST_DIGITS:
        raise _Fault("A whole number, such as 12 or -3.")
    return int(_checked(int(text)))


def _read_number(made: Field, text: str) -> int | float:
    if _INTEGER.fullmatch(text):
        return _read_integer(made, text)
    if not _NUMBER.fullmatch(text) or len(text) > _MOST_DIGITS:
        raise _Fault("A number, such as 12.5: with a point, and nothing to group its digits.")
    value = float(text)
    exact = abs(value) != float("inf") and Decimal(repr(value)) == Decimal(text)
    if not exact:
        raise _Fault(f"A number cannot hold this exactly: it would become {value!r}.")
    return float(_checked(value))


def _read_boolean(_made: Field, text: str) -> bool:
    if text not in ("true", "false"):
        raise _Fault("Yes or no.")
    return text == "true"


def _read_choice(made: Field, text: str) -> Any:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) < len(made.choices)):
        raise _Fault("One of those that are offered.")
    return made.choices[int(text)]


def _read_list(made: Field, text: str) -> list[Any]:
    lines = [line for line in text.split("\n") if line.strip()]
    if made.item == "string":
        return lines
    reader, found = (_read_integer if made.item == "integer" else _read_number), []
    for at, line in enumerate(lines, start=1):
        try:
            found.append(reader(made, line.strip()))
        except _Fault as fault:
            raise _Fault(f"Number {at} of the list: {fault}") from fault
    return found


def _read_json(_made: Field, text: str) -> Any:
    try:
        return canonical.loads(text)
    except (canonical.MalformedJSON, canonical.NotCanonical) as error:
        raise _Fault(f"This is not acceptable JSON: {error}.") from error


def _checked(value: Any) -> Any:
    try:
        canonical.check(value)
    except canonical.NotCanonical as error:
        raise _Fault(f"{error.message[:1].upper()}{error.message[1:]}.") from error
    return value


_READERS: Final = {
    "text": _read_text,
    "long": _read_text,
    "integer": _read_integer,
    "number": _read_number,
    "boolean": _read_boolean,
    "choice": _read_choice,
    "list": _read_list,
    "json": _read_json,
}
