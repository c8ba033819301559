"""Moments and spans as people read them."""

from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"))
_SHORT: Final = 10


def span(seconds: float) -> str:
    """`42s`, `3m`, `2h`, `6d`: whole units, rounded down; less than nothing is `0s`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def age(at: str) -> str:
    """How long ago that RFC 3339 moment was."""
    return span((now() - datetime.fromisoformat(at)).total_seconds())


def left(at: str) -> str:
    """How long it is until that RFC 3339 moment."""
    return span((datetime.fromisoformat(at) - now()).total_seconds())


def between(begin: str, end: str) -> str:
    """How long it was from one moment to the other; `0.4s` where it was short."""
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
    return f"{max(0.0, seconds):.1f}s" if seconds < _SHORT else span(seconds)


def shown(at: str) -> str:
    """`2026-11-23 08:15:00 UTC`"""
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def now() -> datetime:
    return datetime.now(UTC)
