"""Text that others wrote, made safe and honest to print: what cannot be seen is written as an escape.

A context can hold an escape sequence that clears the screen, a bidi override that turns an account number round, or a
zero-width character that makes two names look alike. Each of them is printed as `\\u202e`, a newline as `\\n`. The
rendering can be undone: a backslash that could be read as the beginning of an escape is doubled, so that no text looks
like another text's escape.
"""

import unicodedata
from typing import Final

# Controls, format characters (bidi, zero width, tags), surrogates, private use, unassigned, line and paragraph ends.
_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# What the Unicode property Default_Ignorable_Code_Point adds to those (joiners, fillers, variation selectors), and
# three signs that are drawn as nothing: the empty braille cell, the null notehead, the Khitan filler.
_BLANK: Final = frozenset(
    {
        0x034F,
        0x115F,
        0x1160,
        0x17B4,
        0x17B5,
        0x2800,
        0x3164,
        0xFFA0,
        0x16FE4,
        0x1D159,
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    }
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BEGINS_ESCAPE: Final = frozenset("\\nrtuU")


def visible(text: str, quote: str = "") -> str:
    """`text` on one line, everything invisible in it escaped, and the character `quote` where it is given."""
    if text.isascii() and text.isprintable() and "\\" not in text and (not quote or quote not in text):
        return text
    return "".join(pieces(text, quote))


def pieces(text: str, quote: str = "") -> list[str]:
    """What `visible` prints for each character of `text`, so that a cut never falls into an escape."""
    following = [*text[1:], ""]
    return [_piece(character, after, quote) for character, after in zip(text, following, strict=False)]


def is_invisible(character: str) -> bool:
    """Whether a terminal would draw nothing for it, or do something else than draw."""
    return unicodedata.category(character) in _CATEGORIES or ord(character) in _BLANK


def _piece(character: str, following: str, quote: str) -> str:
    if character == "\\":
        return "\\\\" if _is_ambiguous_before(following, quote) else "\\"
    if character == quote:
        return f"\\{character}"
    if not is_invisible(character):
        return character
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _is_ambiguous_before(following: str, quote: str) -> bool:
    if not following:
        # Inside quotes the closing one follows.
        return bool(quote)
    return following in _BEGINS_ESCAPE or following == quote or is_invisible(following)
