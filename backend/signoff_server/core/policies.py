"""Patterns and what they say of a name: one verdict, and the rule that spoke.

Rules of the room: a name that is not well formed is blocked whatever the rules; names and patterns are ASCII and are
compared in lower case. In a pattern `*` is any run of characters, dots included, and `?` is one; it covers the whole
name. What loosens matches less: in `allow` both stay inside one segment, and the first segment is literal. Matching
takes time in proportion to the name. A scope can only add to what the scopes around it demand.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

MAX_PATTERN: Final = 128
MAX_NAME: Final = 128
MAX_RULES: Final = 500
SECTIONS: Final = ("blocked_tools", "require_approval_for", "allow")
# What separates the segments of a name.
SEPARATORS: Final = "./"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_-]+)*")
_PATTERN: Final = re.compile(r"[A-Za-z0-9_./*?-]+")
_WILD: Final = re.compile(r"[*?]")

Effect = Literal["allow", "require_approval", "block"]
EFFECTS: Final[dict[str, int]] = {"allow": 0, "require_approval": 1, "block": 2}
_SAYS: Final[dict[str, Effect]] = {
    "blocked_tools": "block",
    "require_approval_for": "require_approval",
    "allow": "allow",
}
_UNKNOWN: Final = f"unknown key; a policy has {', '.join(SECTIONS)}, default"
_SILENCE: Final[tuple[Effect, "Rule | None"]] = ("allow", None)
Path = tuple[str | int, ...]


class Complaint(NamedTuple):
    """What is wrong at a place of the data that is checked; `key` where it is the key there and not its value."""

    path: Path
    message: str
    key: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one scope; a rule is its pattern. `default` is an effect, None for none."""

    blocked_tools: tuple[str, ...] = ()
    require_approval_for: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    default: str | None = None


NO_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in its place, written `workflow/require_approval_for/payments.*`, a default `project/default/block`."""

    scope: str
    section: str
    pattern: str

    def __str__(self) -> str:
        return f"{self.scope}/{self.section}/{self.pattern}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rule` is the one that speaks, None where none does; `matched` are all whose pattern names it."""

    effect: Effect
    rule: Rule | None
    matched: tuple[Rule, ...]


# ---------------------------------------------------------------- matching


class _Automaton(NamedTuple):
    """Bit i of a set of states: the first i signs of the pattern are behind us. A star `stays`, and `skips` itself."""

    steps: Mapping[str, int]
    stays: Mapping[str, int]
    skips: int
    final: int


def matches(pattern: str, name: str, *, narrow: bool = False) -> bool:
    """Whether `pattern` covers the whole `name`; `narrow` keeps `*` and `?` inside one segment.

    Raises `ValueError` for what is not a pattern. A name that is not well formed is never matched.
    """
    automaton = _automaton(pattern, narrow)
    return well_formed(name) and _accepts(automaton, name.lower())


def well_formed(name: str) -> bool:
    """Whether this is a name at all: ASCII letters, digits, `_` and `-` in segments parted by `.` or `/`."""
    return len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None


def _accepts(automaton: _Automaton, name: str) -> bool:
    states = 1 | (automaton.skips & 1) << 1
    for character in name:
        moved = (states & automaton.steps.get(character, 0)) << 1 | states & automaton.stays[character]
        states = moved | (moved & automaton.skips) << 1
        if not states:
            return False
    return bool(states & automaton.final)


@lru_cache(maxsize=4_096)
def _automaton(pattern: str, narrow: bool) -> _Automaton:
    """All states at once, one step for each character of the name (the NFA simulation of Thompson, 1968)."""
    told = fault_of(pattern, narrow=narrow)
    if told:
        raise ValueError(f"{pattern!r} is not a pattern: {told}")
    signs = re.sub(r"\*+", "*", pattern.lower())
    skips = _bits(signs, "*")
    anything = _bits(signs, "?")
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789_-./"
    inside = {character: not (narrow and character in SEPARATORS) for character in alphabet}
    return _Automaton(
        steps={each: _bits(signs, each) | (anything if inside[each] else 0) for each in alphabet},
        stays={each: skips if inside[each] else 0 for each in alphabet},
        skips=skips,
        final=1 << len(signs),
    )


def _bits(signs: str, wanted: str) -> int:
    return sum(1 << at for at, sign in enumerate(signs) if sign == wanted)


# ---------------------------------------------------------------- judging


def judge(policies: Sequence[tuple[str, Policy]], name: str) -> Verdict:
    """What `policies`, the outermost first, each with the name of its scope, say of `name` together.

    The strictest scope wins, on a tie the outermost that has a rule for it.
    """
    if not well_formed(name):
        return Verdict("block", None, ())
    found = [(scope, policy, tuple(_matching(scope, policy, name.lower()))) for scope, policy in policies]
    spoken = [said for scope, policy, rules in found if (said := _said(rules, scope, policy))]
    effect, rule = max(spoken, key=lambda said: EFFECTS[said[0]], default=_SILENCE)
    return Verdict(effect, rule, tuple(rule for _, _, rules in found for rule in rules))


def _matching(scope: str, policy: Policy, folded: str) -> Iterator[Rule]:
    for section in SECTIONS:
        for pattern in getattr(policy, section):
            if _accepts(_automaton(pattern, section == "allow"), folded):
                yield Rule(scope, section, pattern)


def _said(matched: Sequence[Rule], scope: str, policy: Policy) -> tuple[Effect, Rule] | None:
    """The effect of one scope by itself and its rule; None where it has nothing to say. Sections are in order."""
    if matched:
        return _SAYS[matched[0].section], matched[0]
    match policy.default:
        case None:
            return None
        case "allow" | "require_approval" | "block" as effect:
            return effect, Rule(scope, "default", effect)
    raise ValueError(f"{policy.default!r} is not an effect")


# ---------------------------------------------------------------- checking


def fault_of(pattern: str, *, narrow: bool = False) -> str | None:
    """What is wrong with a pattern, and what to write instead; None where nothing is."""
    if not pattern:
        return "a pattern is not empty; * stands for every name"
    if len(pattern) > MAX_PATTERN:
        return f"a pattern has at most {MAX_PATTERN} characters, not {len(pattern)}"
    if _PATTERN.fullmatch(pattern) is None:
        return "a pattern holds ASCII letters, digits, _ - . / and the wildcards * and ?, nothing else"
    if narrow and _WILD.search(pattern.partition(".")[0]):
        return "the first segment of a pattern in `allow` is written out: payments.* rather than *"
    return None


def check_policy(data: Any) -> tuple[Policy, list[Complaint]]:
    """A policy of plain data, and everything that is wrong with the data; with faults the policy is not to be used."""
    if not isinstance(data, dict):
        return NO_POLICY, [
            Complaint((), "a policy is a mapping with blocked_tools, require_approval_for, allow or default")
        ]
    complaints: list[Complaint] = [Complaint((), told)] if (told := _too_many(data)) else []
    complaints += [Complaint((key,), _UNKNOWN, key=True) for key in data if key not in (*SECTIONS, "default")]
    sections = {section: _rules(section, data.get(section, []), complaints) for section in SECTIONS}
    default = data.get("default")
    if "default" in data and (not isinstance(default, str) or default not in EFFECTS):
        complaints.append(Complaint(("default",), "one of allow, require_approval, block"))
    return Policy(**sections, default=default if isinstance(default, str) else None), complaints


def _too_many(data: Mapping[str, Any]) -> str | None:
    count = sum(len(rules) for section in SECTIONS if isinstance(rules := data.get(section), list))
    return f"a policy has at most {MAX_RULES} rules, not {count}" if count > MAX_RULES else None


def _rules(section: str, data: Any, complaints: list[Complaint]) -> tuple[str, ...]:
    if not isinstance(data, list):
        complaints.append(Complaint((section,), "a list of patterns"))
        return ()
    rules = [_rule((section, at), item, complaints) for at, item in enumerate(data[: MAX_RULES + 1])]
    return tuple(rule for rule in rules if rule is not None)


def _rule(place: Path, data: Any, complaints: list[Complaint]) -> str | None:
    """A rule is a pattern, or a mapping that holds it below `match`."""
    if isinstance(data, dict):
        complaints += [
            Complaint((*place, key), "unknown key; a rule has only match", key=True) for key in data if key != "match"
        ]
        if "match" not in data:
            complaints.append(Complaint(place, "a rule needs match: PATTERN"))
            return None
        place, data = (*place, "match"), data["match"]
    if not isinstance(data, str):
        complaints.append(Complaint(place, "a pattern, as text: payments.*"))
        return None
    told = fault_of(data, narrow=place[0] == "allow")
    if told:
        complaints.append(Complaint(place, told))
    return None if told else data
