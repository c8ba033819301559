"""Patterns and verdicts: against an oracle, against tricks, and by the clock."""

import fnmatch
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff_server.core.policies import (
    EFFECTS,
    MAX_NAME,
    MAX_PATTERN,
    NO_POLICY,
    Policy,
    Rule,
    Verdict,
    check_policy,
    judge,
    matches,
    well_formed,
)

SEGMENT = st.text("abAB1_-", min_size=1, max_size=4)
NAMES = st.lists(SEGMENT, min_size=1, max_size=4).map(".".join).filter(well_formed)
PATTERNS = st.text("abAB1_-.*?", min_size=1, max_size=10)
BLOCK = Policy(blocked_tools=("payments.*",))
ASK = Policy(require_approval_for=("payments.*",))


@settings(max_examples=500, deadline=None)
@given(PATTERNS, NAMES)
def test_it_matches_what_fnmatch_matches_in_lower_case(pattern: str, name: str) -> None:
    assert matches(pattern, name) == fnmatch.fnmatchcase(name.lower(), pattern.lower())


@settings(max_examples=300, deadline=None)
@given(PATTERNS.map(lambda pattern: f"a.{pattern}"), NAMES)
def test_the_narrow_form_matches_segment_by_segment(pattern: str, name: str) -> None:
    there, here = pattern.lower().split("."), name.lower().split(".")
    expected = len(there) == len(here) and all(map(fnmatch.fnmatchcase, here, there))
    assert matches(pattern, name, narrow=True) == expected
    assert not expected or matches(pattern, name)


def test_all_short_names_and_patterns_agree_with_the_oracle() -> None:
    patterns = ["".join(signs) for size in range(1, 5) for signs in itertools.product("a.*?", repeat=size)]
    names = ["".join(signs) for size in range(1, 6) for signs in itertools.product("ab.", repeat=size)]
    for name in filter(well_formed, names):
        for pattern in patterns:
            assert matches(pattern, name) == fnmatch.fnmatchcase(name, pattern), (pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name", "wide", "narrow"),
    [
        ("payments.*", "payments.submit", True, True),
        ("payments.*", "payments.a.b", True, False),
        ("payments.*", "payments", False, False),
        ("payments.*.b", "payments.a.b", True, True),
        ("payments.?", "payments.a", True, True),
        ("pay/*", "pay/a", True, None),
        ("payments.*", "payments.a/b", True, False),
        ("payments", "PAYMENTS", True, True),
        ("PAYMENTS.*", "payments.x", True, True),
        ("payments.**", "payments.x", True, True),
    ],
)
def test_where_the_two_forms_differ(pattern: str, name: str, wide: bool, narrow: bool | None) -> None:
    assert matches(pattern, name) is wide
    if narrow is None:
        with pytest.raises(ValueError, match="first segment"):
            matches(pattern, name, narrow=True)
    else:
        assert matches(pattern, name, narrow=True) is narrow


TRICKS = [
    "",
    " ",
    "payments.submit ",
    " payments.submit",
    "payments. submit",
    "payments.submit\n",
    "\npayments.submit",
    "payments.submit\r\n",
    "payments.submit\x00",
    "payments\x00.submit",
    "payments.submit\t",
    "payments.submit\u2028",
    "payments.submit\u200b",
    "p\u200dayments.submit",
    "\ufeffpayments.submit",
    "payments\u3002submit",
    "payments\uff0esubmit",
    "payments\u2024submit",
    "payments\u00b7submit",
    "p\u0430yments.submit",
    "pa\u0443ments.submit",
    "\uff50ayments.submit",
    "payment\u017f.submit",
    "payments.\u212aeep",
    "payments.sub\u0131mit",
    "payments.submit\u0301",
    "\u202epayments.submit",
    "payments..submit",
    ".payments.submit",
    "payments.submit.",
    "payments./submit",
    "payments\\submit",
    "payments:submit",
    "payments%2esubmit",
    "payments.submit?",
    "payments.*",
    "*",
    "payments.[s]ubmit",
    "payments.{submit}",
    "${{ input.x }}",
    "payments.submit#x",
    "payments.submit;x",
    "-payments.submit",
    "_payments.submit",
    "x" * (MAX_NAME + 1),
    "\ud800",
]


@pytest.mark.parametrize("name", TRICKS)
@pytest.mark.parametrize("policy", [NO_POLICY, BLOCK, ASK, Policy(allow=("payments.submit",)), Policy(default="allow")])
def test_a_name_that_is_not_one_is_blocked_whatever_the_rules(name: str, policy: Policy) -> None:
    assert judge([("project", policy)], name) == Verdict("block", None, ())
    assert not matches("*", name)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_nothing_but_a_well_formed_name_gets_past(name: str) -> None:
    verdict = judge([("project", ASK)], name)
    assert verdict.effect == "block" or well_formed(name)


@pytest.mark.parametrize("name", ["Payments.submit", "PAYMENTS.SUBMIT", "payments.Submit", "pAyMeNtS.x"])
def test_case_is_no_way_around(name: str) -> None:
    assert judge([("workflow", BLOCK)], name).effect == "block"
    assert judge([("workflow", ASK)], name).effect == "require_approval"


def test_the_rule_that_speaks_is_named() -> None:
    verdict = judge([("project", NO_POLICY), ("workflow", ASK)], "payments.submit")
    assert str(verdict.rule) == "workflow/require_approval_for/payments.*"
    assert str(judge([("project", Policy(default="block"))], "x").rule) == "project/default/block"
    assert judge([("project", NO_POLICY)], "x") == Verdict("allow", None, ())


def test_within_a_scope_block_beats_approval_beats_allow_beats_default() -> None:
    every = Policy(("a.*",), ("a.*", "b.*"), ("a.x", "b.x", "c.x"), "require_approval")
    effects = [judge([("project", every)], name).effect for name in ("a.x", "b.x", "c.x", "d.x")]
    assert effects == ["block", "require_approval", "allow", "require_approval"]
    matched = judge([("project", every)], "a.x").matched
    assert [str(rule) for rule in matched] == [
        "project/blocked_tools/a.*",
        "project/require_approval_for/a.*",
        "project/allow/a.x",
    ]


SAYING = {
    "nothing": NO_POLICY,
    "allow": Policy(allow=("a.x",)),
    "require_approval": Policy(require_approval_for=("a.*",)),
    "block": Policy(blocked_tools=("*.x",)),
    "default allow": Policy(default="allow"),
    "default require_approval": Policy(default="require_approval"),
    "default block": Policy(default="block"),
    "allow over block": Policy(allow=("a.x",), default="block"),
}
ALONE = {
    name: EFFECTS["allow" if name == "allow over block" else name.removeprefix("default ").replace("nothing", "allow")]
    for name in SAYING
}


def test_scopes_only_add_and_on_a_tie_the_outermost_speaks() -> None:
    scopes = ("project", "workflow", "node")
    for said in itertools.product(SAYING, repeat=3):
        verdict = judge([(scope, SAYING[each]) for scope, each in zip(scopes, said, strict=True)], "a.x")
        strictest = max(ALONE[each] for each in said)
        assert EFFECTS[verdict.effect] == strictest, said
        of_effect = [scope for scope, each in zip(scopes, said, strict=True) if ALONE[each] == strictest]
        speaking = [scope for scope in of_effect if said[scopes.index(scope)] != "nothing"]
        assert (verdict.rule.scope if verdict.rule else None) == (speaking[0] if speaking else None), said


def test_two_scopes_of_one_name_do_not_mix() -> None:
    verdict = judge([("node", Policy(allow=("a",))), ("node", Policy(default="block"))], "a")
    assert verdict.effect == "block"


def test_a_policy_that_was_not_checked_fails_closed() -> None:
    for policy in (Policy(blocked_tools=("[a]",)), Policy(allow=("*",)), Policy(blocked_tools=("",))):
        with pytest.raises(ValueError, match="is not a pattern"):
            judge([("project", policy)], "a")
    with pytest.raises(ValueError, match="is not an effect"):
        judge([("project", Policy(default="no"))], "a")


def test_a_checked_policy_takes_both_forms_of_a_rule() -> None:
    data = {"blocked_tools": ["a", {"match": "b.*"}], "allow": [], "default": "block"}
    assert check_policy(data) == (Policy(("a", "b.*"), (), (), "block"), [])
    assert check_policy({}) == (NO_POLICY, [])


@pytest.mark.parametrize(
    ("data", "places"),
    [
        (None, [()]),
        ([], [()]),
        ("x", [()]),
        ({"blocked": []}, [("blocked",)]),
        ({"allow": None}, [("allow",)]),
        ({"allow": {"match": "a"}}, [("allow",)]),
        ({"allow": ["*", "?.a", "a*.b", "a.*"]}, [("allow", 0), ("allow", 1), ("allow", 2)]),
        ({"blocked_tools": [1, None, ["a"]]}, [("blocked_tools", 0), ("blocked_tools", 1), ("blocked_tools", 2)]),
        ({"blocked_tools": [{}, {"match": 1}, {"match": "a", "when": "x"}]},
         [("blocked_tools", 0), ("blocked_tools", 1, "match"), ("blocked_tools", 2, "when")]),
        ({"default": "no"}, [("default",)]),
        ({"default": None}, [("default",)]),
        ({"default": ["allow"]}, [("default",)]),
        ({"blocked_tools": ["a"] * 300, "allow": ["a"] * 201}, [()]),
    ],
)  # fmt: skip
def test_every_fault_of_a_policy_is_told_with_its_place(data: object, places: list[tuple[str | int, ...]]) -> None:
    complaints = check_policy(data)[1]
    assert [complaint.path for complaint in complaints] == places
    assert all(complaint.message for complaint in complaints)


BAD_PATTERNS = [
    *("", " ", "a b", "a\n", "[a]", "a]", "{a,b}", "p\u0430y", "é", "a\x00", "a:b", "!a", "a,b", "\\*", "\uff0a"),
    "a" * (MAX_PATTERN + 1),
]


@pytest.mark.parametrize("pattern", BAD_PATTERNS)
def test_what_is_not_a_pattern_is_refused(pattern: str) -> None:
    assert len(check_policy({"blocked_tools": [pattern]})[1]) == 1
    with pytest.raises(ValueError, match="is not a pattern"):
        matches(pattern, "a")


def test_matching_takes_linear_time() -> None:
    """What makes others take a power of the length: many stars, and a name that fails at its very end."""
    pattern = ("*a" * 63)[: MAX_PATTERN - 1] + "b"
    name = "a" * MAX_NAME

    def spent(length: int) -> float:
        begin = time.process_time()
        for _ in range(200):
            assert not matches(pattern, name[:length])
        return time.process_time() - begin

    matches(pattern, name)
    whole, half = min(spent(MAX_NAME) for _ in range(3)), min(spent(MAX_NAME // 2) for _ in range(3))
    assert whole < 200 * 0.002
    assert whole < 4 * half


def test_the_largest_policies_are_judged_in_a_moment() -> None:
    policy = Policy(blocked_tools=tuple(f"*a*{number}*b" for number in range(500)))
    scopes = [("project", policy), ("workflow", policy), ("node", policy)]
    name = "a" * MAX_NAME
    judge(scopes, name)
    begin = time.process_time()
    assert judge(scopes, name) == Verdict("allow", None, ())
    assert time.process_time() - begin < 0.5


def test_a_rule_is_written_with_its_place() -> None:
    assert str(Rule("node", "blocked_tools", "a.?")) == "node/blocked_tools/a.?"
