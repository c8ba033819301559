"""Signing in: what a role may do, how long a session lasts, and when a password is not even looked at.

Rules of the room: a role is looked up at each request, so that a change of it counts at once; a session ends when it is
idle and, used or not, after a day's work. Failed sign-ins are counted for a person from a network, so that somebody
elsewhere locks nobody out, and for a network, so that nobody tries one password on everybody. Times are milliseconds.
"""

from dataclasses import dataclass
from typing import Final

SCOPES: Final[dict[str, frozenset[str]]] = {
    "reviewer": frozenset({"approvals:decide"}),
    "auditor": frozenset({"audit:read"}),
    "admin": frozenset({"approvals:decide", "audit:read", "admin"}),
}
IDLE: Final = 30 * 60_000
LONGEST: Final = 12 * 3_600_000
# How exactly it is known when a session was last used: a write for each page would be too many.
SEEN_EACH: Final = 60_000
LINK_LIVES: Final = {"sign_in": 10 * 60_000, "password": 24 * 3_600_000}
WINDOW: Final = 15 * 60_000
MOST_OF_PAIR: Final = 5
MOST_OF_NETWORK: Final = 30
SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 1_024


@dataclass(frozen=True, slots=True)
class Tries:
    """Sign-ins that failed, or are not over: how many, and since when they count."""

    count: int
    since: int


def scopes(role: str) -> frozenset[str]:
    """What a session of this role may do; nothing where the role does not sign in."""
    return SCOPES.get(role, frozenset())


def session_end(seen_at: int, ends_at: int) -> int:
    """When a session ends that was last used at `seen_at`."""
    return min(seen_at + IDLE, ends_at)


def locked_until(tries: Tries | None, most: int, now: int) -> int | None:
    """Until when no further try is looked at; None where one may be made."""
    if tries is None or tries.count < most or now >= tries.since + WINDOW:
        return None
    return tries.since + WINDOW


def one_more(tries: Tries | None, most: int, now: int) -> Tries:
    """The count with one more; the one that locks begins the time of the lock."""
    if tries is None or now >= tries.since + WINDOW:
        return Tries(1, now)
    count = tries.count + 1
    return Tries(count, now if count >= most else tries.since)


def one_less(tries: Tries | None) -> Tries | None:
    """The count without one that did not fail after all; None where nothing is left."""
    return None if tries is None or tries.count <= 1 else Tries(tries.count - 1, tries.since)
