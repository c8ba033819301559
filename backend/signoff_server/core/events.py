"""What happened, in the core's own words: an event before it is recorded, and after.

Rules of the room: `facts` holds all that any `evolve` folds, is bounded and has no free text; what people wrote lies in
the payload, which the core carries and never reads. Times are milliseconds since 1970 in state and commands, and
RFC 3339 text in facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and by which surface."""

    id: str | None
    kind: str
    via: str


SYSTEM: Final = Actor(None, "system", "system")
POLICY: Final = Actor(None, "system", "policy")


@dataclass(frozen=True, slots=True)
class Payload:
    """Sealed before it comes here: its bytes, the nonce that hides them, the digest over both.

    `index` is what the store wants to find it by.
    """

    body: bytes
    nonce: bytes
    digest: str
    index: Any = None


@dataclass(frozen=True, slots=True)
class Event:
    """What `decide` answers. A payload that is a mapping is small, and sealed by the write door."""

    type: str
    facts: Mapping[str, Any]
    payload: Payload | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tell:
    """What `decide` answers beside events: a command for another stream of the project, in the same transaction.

    It is carried out after the events that it stands behind; where it is refused, nothing of all this is recorded.
    `actor` is who acts there, None for whoever acted here.
    """

    subject: str
    command: Any
    actor: Actor | None = None


Step = Event | Tell


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its place in the ledger: what `evolve` folds."""

    seq: int
    id: str
    type: str
    schema: int
    subject: str
    version: int
    at: int
    actor: Actor
    facts: Mapping[str, Any]
    payload_digest: str


def to_text(at: int) -> str:
    """Milliseconds as `2026-11-23T08:15:00.123Z`."""
    return f"{_second(at // 1000)}.{at % 1000:03d}Z"


@lru_cache(maxsize=256)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def from_text(text: str) -> int:
    """The milliseconds that `to_text` wrote."""
    moment = datetime.fromisoformat(text)
    return int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000
