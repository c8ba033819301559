"""Patterns of users: which are taken, and that their cost is known before they are searched for."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff_server.core import cel
from signoff_server.core.regexes import MAX_COUNT, MAX_LENGTH, cost_of, fault_of, found

# A unit, in seconds, on a machine that is four times as slow as the one that it was measured on.
UNIT = 4e-7

TAKEN = [
    "",
    "^[A-Z]{2}[0-9]{2}$",
    "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    r"\d{4}-\d{2}-\d{2}",
    "a{1,5}b{2,}",
    "(a|b)*c+d?",
    r"\{\}[{}]",
    r"(?i)hello",
    r"\pL+",
    "é{3}",
]
REFUSED = {
    "a" * (MAX_LENGTH + 1): "at most 200 characters",
    f"a{{{MAX_COUNT + 1}}}": "a count is at most 64",
    "a{2,65}": "a count is at most 64",
    "(a){2}": "follows a single sign",
    "a{2}{3}": "follows a single sign",
    "a*{2}": "follows a single sign",
    "{2}": "follows a single sign",
    "a{1000}": "braces stand only",
    "a{x}": "braces stand only",
    "a{": "braces stand only",
    r"\p{Greek}": "braces stand only",
    "a{64}" * 25: "at most 1500 signs",
    r"\w{33}": "classes like",
    r"[\w\d]{17}": "classes like",
    "(": "not a regular expression",
    "[a": "not a regular expression",
    r"(a)\1": "not a regular expression",
    "(?=a)": "not a regular expression",
}


@pytest.mark.parametrize("pattern", TAKEN)
def test_what_is_taken(pattern: str) -> None:
    assert fault_of(pattern) is None
    for text in ("", "a", "AB12", "2026-01-02", "{}", "Hello", "ééé", "aaabb"):
        if "pL" not in pattern:
            assert found(pattern, text) == bool(
                re.search(pattern.removesuffix("$") + r"\Z" * pattern.endswith("$"), text)
            )


@pytest.mark.parametrize(("pattern", "message"), REFUSED.items())
def test_what_is_refused(pattern: str, message: str) -> None:
    told = fault_of(pattern)
    assert told
    assert message in told


DEAR = [
    r"\w{32}",
    r"\w" * 32,
    r"\S\D\W" * 10,
    r"[^x]{64}" * 5,
    r".{64}" * 15,
    r"(?i)[a-z]{64}" * 4,
    ".{0,64}" * 7 + "b",
    "(a|aa|aaa)+" * 15 + "b",
    "(a*)*" * 30 + "b",
    "[а-яё]{32}" * 7,
]


@pytest.mark.parametrize("pattern", DEAR)
@pytest.mark.parametrize("length", [1, 20_000])
def test_it_costs_no_more_than_was_told(pattern: str, length: int) -> None:
    assert fault_of(pattern) is None
    build, search = cost_of(pattern)
    text = "a" * length
    spent = []
    for _ in range(3):
        begin = time.process_time()
        found(pattern, text)
        spent.append(time.process_time() - begin)
    assert min(spent) < (build + search * length / 100) * UNIT


@settings(max_examples=500, deadline=None)
@given(st.text("ab[](){}\\wd^$*+?|,.-1239:", max_size=30))
def test_any_pattern_is_judged_in_a_moment_and_what_is_taken_can_be_searched_for(pattern: str) -> None:
    if fault_of(pattern) is None:
        begin = time.process_time()
        found(pattern, "ab" * 1_000)
        assert time.process_time() - begin < 0.5


def test_a_pattern_that_was_not_judged_fails() -> None:
    with pytest.raises(cel.EngineFailed):
        found("(", "a")
