"""Text that others wrote, as HTML that hides nothing: what cannot be seen, or looks like something else, is marked.

Rules of the room: every character goes out escaped, once, whatever it is. An invisible one is drawn as its escape.
"""

import json
import unicodedata
from typing import Any, Final

from markupsafe import Markup, escape

from signoff.protocol.visible import is_invisible, pieces

_NAMELESS: Final = "a character without a name"
_LONGEST: Final = 12_000


def seen(value: object) -> Markup:
    """`value` as text in which everything can be seen."""
    text = str(value)
    if text.isascii() and text.isprintable() and "\\" not in text:
        return escape(text)
    drawn = pieces(text)
    return Markup("").join(_drawn(character, piece) for character, piece in zip(text, drawn, strict=True))


def number(value: Any) -> str:
    """A number as JSON writes it: never rounded, never grouped."""
    return json.dumps(value)


def pretty(value: Any) -> str:
    """JSON over several lines; what is too long for a page is cut, and says so."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n… and {len(text) - _LONGEST} characters more"


def _drawn(character: str, piece: str) -> Markup:
    if not is_invisible(character):
        return escape(piece)
    name = f"U+{ord(character):04X} {unicodedata.name(character, _NAMELESS)}"
    return Markup('<span class="unseen" title="{}">{}</span>').format(name, piece)
