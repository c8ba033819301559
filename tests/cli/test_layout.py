"""Widths, folding, pairs, trees and tables."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.cli import times
from signoff.cli.globs import matcher
from signoff.cli.layout import fold, hang, pairs, scalar, table, tree, width
from signoff.protocol import canonical
from signoff.protocol.visible import is_invisible, visible

# What a reply may hold: one with larger integers is refused before anything of it is shown.
WHOLE = st.integers(-canonical.MAX_INTEGER, canonical.MAX_INTEGER)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), WHOLE, st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=12,
)


def test_wide_and_combining_characters_have_their_columns() -> None:
    assert width("abc") == 3
    assert width("東京") == 4
    assert width("e\u0301") == 1


def test_a_short_text_is_not_folded_and_a_long_one_says_what_is_left_out() -> None:
    assert fold("x" * 40, 40) == "x" * 40
    folded = fold("x" * 1000, 40)
    kept, more = re.fullmatch(r"(x+)… \((\d+) more characters\)", folded).groups()
    assert len(kept) + int(more) == 1000
    assert width(folded) <= 40


def test_folding_never_cuts_an_escape() -> None:
    for room in range(9, 60):
        folded = fold("\u202e" * 50, room)
        assert re.fullmatch(r"(\\u202e)+…( \(\d+ more characters\))?", folded), (room, folded)


@given(st.text(), st.integers(9, 200))
def test_folded_text_fits(text: str, room: int) -> None:
    assert width(fold(text, room)) <= max(room, 11)


def test_pairs_name_nested_members_and_count_what_is_left_out() -> None:
    context = {"amount": "5.00", "to": {"iban": "DE 1", "name": ""}, "tags": [1, 2], "n": 5, "gone": None}
    assert pairs(context, 100) == 'amount=5.00 to.iban="DE 1" to.name="" tags=[2] n=5 gone=null'
    assert pairs(context, 40) == 'amount=5.00 to.iban="DE 1" … (4 more)'
    assert pairs({}, 40) == ""


def test_a_value_cannot_pose_as_another_pair() -> None:
    assert pairs({"a": 'x" b="y'}, 100) == 'a="x\\" b=\\"y"'
    assert pairs({"a": "x b=y"}, 100) == 'a="x b=y"'


def test_the_first_pair_is_shown_also_where_it_must_be_folded() -> None:
    shown = pairs({"note": "y" * 500, "b": 1, "c": 2}, 60)
    assert shown.startswith("note=yyy")
    assert "more characters" in shown
    assert shown.endswith("… (2 more)")
    assert width(shown) <= 60


@given(st.dictionaries(st.text(), VALUES), st.integers(40, 200))
def test_pairs_are_one_visible_line(values: dict, room: int) -> None:
    shown = pairs(values, room)
    assert not any(map(is_invisible, shown))
    assert width(shown) <= room + 12


def test_a_tree_shows_all_of_it_in_its_order() -> None:
    value = {"b": "text", "a": {"list": [1, "two", {"deep": None}, []], "empty": {}}, "yes": True}
    assert list(tree(value)) == [
        "b: text",
        "a:",
        "  list:",
        "    - 1",
        "    - two",
        "    -",
        "      deep: null",
        "    - []",
        "  empty: {}",
        "yes: true",
    ]


@pytest.mark.parametrize("text", ["5", "50000.00", "true", "null", "", " x", "x ", '"', "[1]", "{}", "nan", "1e9"])
def test_text_that_could_be_another_value_is_quoted(text: str) -> None:
    assert scalar(text) == f'"{visible(text, chr(34))}"'


@pytest.mark.parametrize("value", [5, -1.5, True, None, [], {}])
def test_what_is_no_text_is_json(value: object) -> None:
    assert scalar(value) == json.dumps(value)


def test_a_key_cannot_pose_as_structure() -> None:
    assert list(tree({"a: b\nc": 1, "- x": 2, "": 3})) == ['"a: b\\nc": 1', '"- x": 2', '"": 3']


def test_a_line_that_is_broken_cannot_pose_as_another() -> None:
    line = "  note: " + "x" * 30 + "binding: forged" + "y" * 30
    broken = list(hang(line, 38))
    assert all(width(each) <= 38 for each in broken)
    assert all(each.startswith("    ↳ ") for each in broken[1:])
    assert "".join(each.removeprefix("    ↳ ") for each in broken) == line


@given(st.text(alphabet="ab 東", max_size=200), st.integers(20, 60))
def test_breaking_loses_nothing(text: str, columns: int) -> None:
    broken = list(hang(text, columns))
    assert text.startswith(broken[0])
    indent = " " * (len(text) - len(text.lstrip(" "))) + "  ↳ "
    assert "".join([broken[0], *(each.removeprefix(indent) for each in broken[1:])]) == text


def test_a_table_that_does_not_fit_puts_its_last_column_below() -> None:
    rows = [["a", "b", "a long last cell"], ["東京", "bbb", ""]]
    assert list(table(rows, ["X", "Y", "Z"], 80)) == ["X     Y    Z", "a     b    a long last cell", "東京  bbb"]
    assert list(table(rows, ["X", "Y", "Z"], 20)) == ["X     Y", "a     b", "      a long last cell", "東京  bbb"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (7200, "2h"),
        (86_399, "23h"),
        (6 * 86_400, "6d"),
    ],
)
def test_spans(seconds: float, shown: str) -> None:
    assert times.span(seconds) == shown


def test_globs_know_two_signs_and_no_more() -> None:
    assert matcher("approval.*")("approval.approved")
    assert not matcher("approval.*")("approvals")
    assert matcher("a?c")("abc")
    assert not matcher("a[b]c")("abc")
    assert matcher("*")("anything\nat all")
    assert not matcher("a")("ab")
