"""Regular expressions of users: which are taken, and what the search for one costs at most.

Rules of the room: the engine of expressions searches for them, in time linear in the text (like RE2), but it builds
the whole pattern each time, with every counted repetition written out. So counts are small and never of a group, and
what a pattern costs is told from its text, in the units of `costs`.
"""

import re
from functools import lru_cache
from typing import Final

from signoff_server.core import cel

MAX_LENGTH: Final = 200
MAX_COUNT: Final = 64
MAX_SIGNS: Final = 1_500
MAX_CLASSES: Final = 32
_BASE: Final = 300
_SIGN: Final = 50
# Of a hundredth of a unit: one state of the pattern at one character, where the engine has to keep them all.
_SEARCH: Final = 8
# Classes like \w hold many thousand characters.
_CLASS: Final = 3_000
_PIECE: Final = re.compile(
    r"(?P<count>\{[0-9]{1,3}(?:,[0-9]{0,3})?\})|(?P<escape>\\[pP]?.)|(?P<set>\[(?:\\.|[^\\\]])*\])|(?P<sign>.)",
    re.DOTALL,
)
_HEAVY: Final = re.compile(r"\\[wWdDsSbBpP]")


@lru_cache(maxsize=256)
def fault_of(pattern: str) -> str | None:
    """What is wrong with a pattern, and what to write instead; None where nothing is."""
    if len(pattern) > MAX_LENGTH:
        return f"a pattern has at most {MAX_LENGTH} characters, not {len(pattern)}"
    last = ""
    for piece in _PIECE.finditer(pattern):
        if piece["count"] and (not last or last in "()|*+?^$}"):
            return "a count {n} follows a single sign or a set like [a-z]: write a group out, or repeat it with * or +"
        if piece["count"] and max(_counts(piece[0])) > MAX_COUNT:
            return f"a count is at most {MAX_COUNT}: measure the length of the text itself"
        if piece["sign"] and piece[0] in "{}":
            return "braces stand only around counts, like {2} or {1,5}; \\{ is a brace"
        last = "}" if piece["count"] else piece[0]
    if _signs(pattern) > MAX_SIGNS:
        return f"a pattern has at most {MAX_SIGNS} signs, with its counts written out"
    if _classes(pattern) > MAX_CLASSES:
        return f"classes like \\w stand at most {MAX_CLASSES} times, counts written out: write a set like [A-Za-z0-9_]"
    return _unreadable(pattern)


def _unreadable(pattern: str) -> str | None:
    try:
        found(pattern, "")
    except cel.EngineFailed:
        return "this is not a regular expression (of the kind that RE2 reads)"
    return None


def found(pattern: str, text: str) -> bool:
    """Whether `pattern` is found anywhere in `text`."""
    return bool(cel.run("text.matches(pattern)", {"text": text, "pattern": pattern}))


@lru_cache(maxsize=256)
def cost_of(pattern: str) -> tuple[int, int]:
    """What it costs at most to build the pattern, and to hold each character of a text against it (in hundredths)."""
    signs = _signs(pattern)
    return _BASE + signs * _SIGN + _classes(pattern) * _CLASS, _SEARCH * (10 + signs)


def _signs(pattern: str) -> int:
    return sum(len(atom) * count for atom, count in _repeated(pattern))


def _classes(pattern: str) -> int:
    return sum(len(_HEAVY.findall(atom)) * count for atom, count in _repeated(pattern))


def _repeated(pattern: str) -> list[tuple[str, int]]:
    """The pieces of a pattern, each with how often it is written out."""
    pieces: list[tuple[str, int]] = []
    for piece in _PIECE.finditer(pattern):
        if piece["count"] and pieces:
            pieces[-1] = (pieces[-1][0], max(1, *_counts(piece[0])))
        else:
            pieces.append((piece[0], 1))
    return pieces


def _counts(text: str) -> list[int]:
    return [int(number) for number in text[1:-1].split(",") if number]
