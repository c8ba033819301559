"""A form made of an input schema: what it asks, and that what was filled in becomes exactly that."""

from typing import Any

import pytest

from signoff_server.core.inputs import check_input
from signoff_server.dashboard.schema_form import Field, each, filled, form_of, place, read, read_json

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["amount", "count", "to", "flag"],
    "properties": {
        "amount": {
            "type": "string",
            "title": "Amount",
            "description": "in euros",
            "pattern": "^[0-9.]+$",
            "maxLength": 9,
        },
        "count": {"type": "integer", "minimum": 1, "maximum": 9007199254740991, "default": 3},
        "rate": {"type": "number"},
        "flag": {"type": "boolean"},
        "speed": {"enum": ["slow", 2, True, None]},
        "note": {"type": "string", "maxLength": 2000},
        "tags": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "integer"}},
        "to": {
            "type": "object",
            "required": ["iban"],
            "properties": {"iban": {"type": "string"}, "a/b~c": {"type": "string"}},
        },
        "maybe": {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}},
        "any": {"anyOf": [{"type": "object"}, {"type": "integer"}]},
        "ref": {"$ref": "#/$defs/small", "title": "Referred"},
    },
    "$defs": {"small": {"type": "integer", "maximum": 5}},
}
GIVEN = {
    "input/amount": "10.00",
    "input/count": "9007199254740991",
    "input/rate": "0.1",
    "input/flag": "false",
    "input/speed": "2",
    "input/note": "two\nlines \\ and \u202e",
    "input/tags": "one\n\ntwo words \n",
    "input/numbers": "1\n-2",
    "input/to/iban": "DE89",
    "input/any": '{"x": [1, 2.5]}',
    "input/ref": "4",
}
VALUE = {
    "amount": "10.00",
    "count": 9007199254740991,
    "rate": 0.1,
    "flag": False,
    "speed": True,
    "note": "two\nlines \\ and \u202e",
    "tags": ["one", "two words "],
    "numbers": [1, -2],
    "to": {"iban": "DE89"},
    "any": {"x": [1, 2.5]},
    "ref": 4,
}


def form(schema: Any = SCHEMA) -> Field:
    made = form_of(schema)
    assert made is not None
    return made


def one(part: Any, text: str, *, required: bool = True) -> Any:
    """The value of a form with one field, or its fault."""
    schema = {"type": "object", "properties": {"x": part}, "required": ["x"] if required else []}
    found = read(form(schema), {"input/x": text})
    return found.faults["/x"] if found.faults else found.value.get("x", "left out")


def test_each_property_is_asked_for_by_the_control_that_fits() -> None:
    kinds = {field.pointer: field.kind for field in each(form())}
    assert kinds == {
        "": "group",
        "/amount": "text",
        "/count": "integer",
        "/rate": "number",
        "/flag": "boolean",
        "/speed": "choice",
        "/note": "long",
        "/tags": "list",
        "/numbers": "list",
        "/to": "group",
        "/to/iban": "text",
        "/to/a~1b~0c": "text",
        "/maybe": "group",
        "/maybe/x": "integer",
        "/any": "json",
        "/ref": "integer",
    }


def test_a_field_says_what_the_schema_says_of_it() -> None:
    fields = {field.pointer: field for field in each(form())}
    amount = fields["/amount"]
    assert (amount.label, amount.description, amount.required) == ("Amount", "in euros", True)
    assert amount.attributes == {"maxlength": "9", "pattern": ".*(?:^[0-9.]+$).*"}
    assert fields["/count"].attributes == {"min": "1", "max": "9007199254740991"}
    assert (fields["/ref"].label, fields["/ref"].attributes) == ("Referred", {"max": "5"})
    assert [fields["/speed"].option(at) for at in range(4)] == ["slow", "2", "true", "null"]
    assert not fields["/rate"].required


def test_what_was_filled_in_becomes_exactly_that() -> None:
    found = read(form(), GIVEN)
    assert found.faults == {}
    assert found.value == VALUE
    assert [type(found.value[name]) for name in ("count", "rate", "speed")] == [int, float, bool]
    assert check_input(SCHEMA, found.value) == []


def test_a_value_goes_into_the_form_and_comes_out_the_same() -> None:
    texts = filled(form(), VALUE)
    assert texts is not None
    assert read(form(), texts).value == VALUE | {"tags": ["one", "two words "]}


def test_a_form_begins_with_the_defaults() -> None:
    texts = filled(form())
    assert texts is not None
    assert texts["input/count"] == "3"
    assert {text for name, text in texts.items() if name != "input/count"} == {""}


@pytest.mark.parametrize(
    "value",
    [
        {"unknown": 1},
        {"amount": 1},
        {"count": True},
        {"speed": "fast"},
        {"speed": 1},
        {"tags": ["a\nb"]},
        {"tags": [""]},
        {"to": "x"},
        {"to": {"else": 1}},
        {"amount": ""},
        {"maybe": {}},
    ],
)
def test_what_a_form_has_no_place_for_stays_json(value: Any) -> None:
    assert filled(form(), value) is None


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"anyOf": [{"type": "object"}]},
        {"type": "object", "properties": {f"x{at}": {"type": "string"} for at in range(101)}},
    ],
)
def test_where_there_is_nothing_to_ask_by_field_json_is_asked_for(schema: Any) -> None:
    assert form_of(schema) is None


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-7", -7), (" 12 ", 12), ("9007199254740991", 9007199254740991)]
)
def test_integers_are_read_exactly(text: str, value: int) -> None:
    assert one({"type": "integer"}, text) == value
    assert type(one({"type": "number"}, text)) is int


@pytest.mark.parametrize(
    "text", ["1.0", "1e3", "01", "+1", "1,000", "x", "\u0661", "9007199254740993", "1" * 5000, "--1"]
)
def test_what_is_no_integer_is_told(text: str) -> None:
    assert isinstance(one({"type": "integer"}, text), str)


@pytest.mark.parametrize(("text", "value"), [("0.1", 0.1), ("-2.50", -2.5), ("1e3", 1000.0)])
def test_decimals_are_read_as_they_are(text: str, value: float) -> None:
    assert one({"type": "number"}, text) == value


@pytest.mark.parametrize("text", ["1,5", "0.1000000000000000001", "1e999", "nan", "Infinity", ".5", "5."])
def test_a_decimal_that_would_become_another_is_told(text: str) -> None:
    assert isinstance(one({"type": "number"}, text), str)


def test_what_is_empty_is_left_out_or_told() -> None:
    for part in ({"type": "string"}, {"type": "integer"}, {"enum": ["a"]}, {"type": "boolean"}, {}):
        assert one(part, "") == "This has to be filled in."
        assert one(part, "", required=False) == "left out"
    many = {"type": "array", "items": {"type": "string"}}
    assert one(many, "\n") == []
    assert one(many, "", required=False) == "left out"


def test_a_choice_is_one_of_those_offered() -> None:
    for text in ("2", "-1", "x", "\u0661", "9" * 30):
        assert one({"enum": ["a", "b"]}, text) == "One of those that are offered."
    assert one({"const": {"k": 1}}, "0") == {"k": 1}


def test_of_too_many_choices_one_is_written_as_json() -> None:
    many = {"enum": [f"c{at}" for at in range(101)]}
    assert one(many, '"c7"') == "c7"


def test_a_group_that_may_be_left_out_is_asked_for_once_it_is_begun() -> None:
    inner = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    made = form({"type": "object", "properties": {"g": inner}})
    assert read(made, {}).value == {}
    assert read(made, {"input/g/b": "x"}).faults == {"/g/a": "This has to be filled in."}


def test_messages_stand_at_their_field_or_the_nearest_around_it() -> None:
    placed = place(form(), [("/tags/1", "short"), ("/to/iban", "long"), ("/nowhere/x", "odd"), ("", "whole")])
    assert placed == {"/tags": "short", "/to/iban": "long", "": "odd"}


def test_json_is_read_strictly() -> None:
    assert read_json('{"a": 1}').value == {"a": 1}
    assert read_json("").value == {}
    for text in ("[1]", '{"a": 1, "a": 2}', "{", '{"a": NaN}', '{"a": 9007199254740993}'):
        assert list(read_json(text).faults) == [""]
