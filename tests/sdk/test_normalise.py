"""What becomes of a payload, and what is refused."""

import enum
import json
import uuid
import warnings
from collections import OrderedDict, UserDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from signoff import FloatWarning, InvalidRequest
from signoff.normalise import normalise
from signoff.protocol.canonical import check


class Colour(enum.Enum):
    RED = "red"
    BLUE = 3


class Number(enum.IntEnum):
    ONE = 1


class Name(enum.StrEnum):
    KEY = "key"


class Text(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Wire:
    amount: Decimal
    lines: list[Point] = field(default_factory=list)


class Invoice(BaseModel):
    id: uuid.UUID
    wire: Any = None


BERLIN = timezone(timedelta(hours=1))
SOME = uuid.UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**53 - 1, 2**53 - 1),
        ("é", "é"),
        (Text("t"), "t"),
        (Decimal("50000.00"), "50000.00"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("-0"), "-0"),
        (SOME, str(SOME)),
        (datetime(2026, 11, 23, 9, 15, tzinfo=BERLIN), "2026-11-23T08:15:00Z"),
        (datetime(2026, 11, 23, 8, 15, 0, 5, tzinfo=UTC), "2026-11-23T08:15:00.000005Z"),
        (date(2026, 11, 23), "2026-11-23"),
        (Colour.RED, "red"),
        (Colour.BLUE, "BLUE"),
        (Number.ONE, "ONE"),
        (Name.KEY, "key"),
        ((1, (2, 3)), [1, [2, 3]]),
        (Point(1, 2), [1, 2]),
        ({Name.KEY: 1}, {"key": 1}),
        (OrderedDict(a=UserDict(b=1)), {"a": {"b": 1}}),
        (Wire(Decimal("1.50"), [Point(1, 2)]), {"amount": "1.50", "lines": [[1, 2]]}),
        (Invoice(id=SOME, wire=Wire(Decimal(2))), {"id": str(SOME), "wire": {"amount": "2", "lines": []}}),
    ],
)
def test_what_it_becomes(value: Any, becomes: Any) -> None:
    normal = normalise(context={"v": value})["context"]["v"]
    assert normal == becomes
    assert json.dumps(normal) == json.dumps(becomes), "plain types, and not their relatives"
    check(normal)


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        frozenset(),
        b"x",
        bytearray(b"x"),
        datetime(2026, 11, 23),  # noqa: DTZ001
        time(8, 15),
        timedelta(1),
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("1E+1000000"),
        2**53,
        -(2**53),
        1j,
        object(),
        Path("x"),
        SecretStr("x"),
        iter([]),
        Wire,
        "\x00",
        "\ud800",
        {1: "a"},
        {None: "a"},
        {"k" * 257: "a"},
        {"\x00": "a"},
    ],
)
def test_what_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        normalise(context={"a/b": [value]})
    ((pointer, _),) = raised.value.errors
    assert pointer.startswith("/context/a~1b/0")


def test_every_wrong_place_is_named_at_once() -> None:
    with pytest.raises(InvalidRequest) as raised:
        normalise(context={"a": {1}, "b": [1, b"x"]}, arguments={"c": float("nan")})
    assert [pointer for pointer, _ in raised.value.errors] == ["/context/a", "/context/b/1", "/arguments/c"]


@pytest.mark.parametrize("value", [[], "text", 1, {1}, Colour.RED])
def test_the_whole_must_be_an_object(value: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        normalise(context=value)
    assert raised.value.errors[0][0] == "/context"


def test_depth_and_circles() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    with pytest.raises(InvalidRequest, match="deeper"):
        normalise(context=circle)

    def nested(depth: int) -> Any:
        return {} if depth == 1 else {"a": nested(depth - 1)}

    normalise(context=nested(31))
    with pytest.raises(InvalidRequest, match="deeper"):
        normalise(context=nested(32))


def test_a_float_warns_once_and_names_its_places_and_the_callers_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        normal = normalise(context={"amount": 0.1, "other": [2.5]}, arguments={"x": 1.0})
    assert normal["context"]["amount"] == 0.1
    (warning,) = caught
    assert warning.category is FloatWarning
    assert "/context/amount, /context/other/0, /arguments/x" in str(warning.message)
    assert warning.filename == __file__


def test_parts_that_are_not_given_are_left_out() -> None:
    assert normalise(context={}, arguments=None) == {"context": {}}


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.text()
            | st.decimals()
            | st.uuids()
            | st.dates()
            | st.binary(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=3,
    )
)
def test_what_passes_is_plain_json_and_passes_again_unchanged(value: dict[str, Any]) -> None:
    try:
        normal = normalise(context=value)
    except InvalidRequest:
        return
    check(normal)
    assert normalise(**normal) == normal
