"""Patterns and what they say of a name: one verdict, and the rule that spoke."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one scope; a rule is its pattern."""

    blocked_tools: tuple[str, ...] = ()
    require_approval_for: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    default: str | None = None


NO_POLICY = Policy()
