"""Text that others wrote, as HTML that hides nothing: what cannot be seen, or looks like something else, is marked.

Rules of the room: every character goes out escaped, once, whatever it is. An invisible one is drawn as its escape; one
that `lookalikes.py` finds stands in a mark that says which character it is. Nothing else is changed.
"""

import json
import re
import unicodedata
from functools import lru_cache
from typing import Any, Final

from markupsafe import Markup, escape

from signoff.protocol.visible import is_invisible, pieces
from signoff_server.dashboard.lookalikes import STACKED, odd_places

_NAMELESS: Final = "a character without a name"
_EMOJI_STYLE: Final = "\ufe0f"
_JOINER: Final = "\u200d"
_KEYCAP: Final = "\u20e3"
_OF_EMOJI: Final = frozenset((_EMOJI_STYLE, _JOINER))


def seen(value: object) -> Markup:
    """`value` as text in which everything can be seen."""
    return Markup(_drawn(str(value)))  # noqa: S704 - every part of it was escaped


def seen_lines(value: object) -> Markup:
    """The same where lines are kept: behind each drawn end of a line there is a real one."""
    return Markup(_drawn(str(value)).replace(_LINE_END, f"{_LINE_END}\n"))  # noqa: S704 - the same


def seen_json(laid_out: str) -> Markup:
    """JSON on several lines: their ends are ours, since JSON itself escapes those within a text."""
    return Markup("\n").join(seen(line) for line in laid_out.split("\n"))


def brief(value: object, characters: int, room: int = 1_000) -> Markup:
    """The beginning of `value`: so many characters at most, in `room` characters of HTML; a cut is said."""
    text = str(value)
    cut = text[:characters]
    drawn = seen(cut)
    while len(drawn) > room and len(cut) > 1:
        cut = cut[: len(cut) // 2]
        drawn = seen(cut)
    return drawn if len(cut) == len(text) else drawn + Markup('<span class="quiet">…</span>')


def number(value: Any) -> str:
    """A number as JSON writes it: never rounded, never grouped."""
    return json.dumps(value)


def pretty(value: Any) -> str:
    """A value as JSON over several lines."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def lines(value: str, room: int = 20_000) -> Markup:
    """A text with its lines as they are, everything within them seen, in so many characters of HTML; a cut is said."""
    drawn, left = [], room
    every = value.split("\n")
    for at, line in enumerate(every):
        part = brief(line, left, left)
        drawn.append(part)
        left -= len(part) + 1
        if left < 100 and at + 1 < len(every):
            drawn.append(Markup('<span class="quiet">… and {} lines more</span>').format(len(every) - at - 1))
            break
    return Markup("\n").join(drawn)


def _drawn(text: str) -> str:
    """As HTML. What is plain is escaped as a whole; what is not, one character at a time."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return str(escape(text))
    odd = odd_places(text)
    special = [re.escape(character) for character in set(text) if character == "\\" or is_invisible(character)]
    places = {found.start() for found in re.finditer(f"[{''.join(special)}]", text)} if special else set()
    parts, done = [], 0
    for at in sorted(places | odd):
        if done < at:
            parts.append(str(escape(text[done:at])))
        parts.append(_odd(text[at]) if at in odd else _special(text, at))
        done = at + 1
    parts.append(str(escape(text[done:])))
    return "".join(parts)


def _special(text: str, at: int) -> str:
    character = text[at]
    if character in _OF_EMOJI and _is_of_an_emoji(text, at):
        return character
    return _escaped(character, text[at + 1 : at + 2])


@lru_cache(maxsize=4_096)
def _escaped(character: str, following: str) -> str:
    # Whether a backslash is doubled depends on what follows it.
    piece = pieces(character + following)[0]
    return _unseen(character, piece) if is_invisible(character) else str(escape(piece))


def _is_of_an_emoji(text: str, at: int) -> bool:
    """A style selector right behind a sign, or a joiner between two: what emoji are made of."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if text[at] == _EMOJI_STYLE:
        return _is_sign(before) or (before.isascii() and after == _KEYCAP)
    if text[at] == _JOINER:
        behind = text[at - 2 : at - 1] if before == _EMOJI_STYLE else before
        return _is_sign(behind) and _is_sign(after)
    return False


def _is_sign(character: str) -> bool:
    # U+1F3FB to U+1F3FF give an emoji its skin.
    return character != "" and (unicodedata.category(character) == "So" or "\U0001f3fb" <= character <= "\U0001f3ff")


def _unseen(character: str, piece: str) -> str:
    return f'<span class="unseen" title="{_name(character)}">{escape(piece)}</span>'


@lru_cache(maxsize=4_096)
def _odd(character: str) -> str:
    # Drawn where it stands, a mark that is stacked on others would cover them.
    drawn = f"\\u{ord(character):04x}" if unicodedata.category(character) in STACKED else character
    return f'<mark class="odd" title="{_name(character)}">{escape(drawn)}</mark>'


def _name(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, _NAMELESS)}"


_LINE_END: Final = _unseen("\n", "\\n")
