"""A workflow as it runs: frozen, checked, every name resolved. `definitions` makes one of a file.

Rules of the room: `next` and its kin are the id of a node of the same graph, or None for the end: nodes of type `end`
are resolved away. A region is the set of nodes that one branch of a parallel node leads to; regions share no node, and
a node's `within` names the parallel node whose region it is in, None at the top. Durations are milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from signoff_server.core.policies import NO_POLICY, Policy

MAX_STEPS: Final = 1_000
MAX_LOST_LEASES: Final = 5


@dataclass(frozen=True, slots=True)
class Retry:
    """After reported failures. `backoff` is `exponential`, `linear` or `fixed`; the first pause is `base_delay`."""

    max_attempts: int = 1
    backoff: str = "exponential"
    base_delay: int = 1_000
    max_delay: int = 60_000


NO_RETRY: Final = Retry()


@dataclass(frozen=True, slots=True)
class Tool:
    id: str
    tool: str
    # JSON data in which a text may hold `${{ … }}`.
    input: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry = NO_RETRY
    # For one attempt; None: no end.
    timeout: int | None = None
    next: str | None = None
    policy: Policy = NO_POLICY
    within: str | None = None


@dataclass(frozen=True, slots=True)
class HumanApproval:
    """`routed` names those of `rejected` and `expired` that the node routes; the others fail the run."""

    id: str
    description: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    reviewers: tuple[str, ...] = ()
    # None: as long as an approval lasts by default.
    timeout: int | None = None
    on_approved: str | None = None
    on_rejected: str | None = None
    on_timeout: str | None = None
    routed: frozenset[str] = frozenset()
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """`when` is a CEL expression."""

    when: str
    next: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """`has_default` tells a default that leads to the end from none."""

    id: str
    branches: tuple[Branch, ...]
    default: str | None = None
    has_default: bool = False
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Parallel:
    id: str
    branches: tuple[str, ...]
    next: str | None = None
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """For a time, or for an event (with a `timeout`, which fails the run unless `routed`)."""

    id: str
    duration: int | None = None
    event: str | None = None
    timeout: int | None = None
    on_timeout: str | None = None
    routed: bool = False
    next: str | None = None
    within: str | None = None


Node = Tool | HumanApproval | Condition | Parallel | Wait


@dataclass(frozen=True, slots=True)
class Definition:
    """`start` is None where the workflow ends as it starts. `input_schema` is a JSON Schema, None for any object."""

    id: str
    version: str
    start: str | None
    nodes: Mapping[str, Node]
    description: str | None = None
    input_schema: Mapping[str, Any] | None = None
    policy: Policy = NO_POLICY
    max_steps: int = MAX_STEPS
    max_lost_leases: int = MAX_LOST_LEASES
