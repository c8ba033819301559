"""How values become lines: width on the screen, folding, pairs, trees, tables.

Everything that goes in is text as it came; everything that comes out is `visible`. What is left out is always said.
"""

import json
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from signoff.protocol.visible import pieces, visible

GAP: Final = "  "
UNDER: Final = "      "
_FALLBACK: Final = (100, 24)
_LEAST_WIDTH: Final = 40
_LONGEST_PAIR: Final = 56
# The widest escape, as \\U000e0041.
_LEAST_KEPT: Final = 10
_LONGEST_KEY: Final = 24
_WORDS_OF_JSON: Final = frozenset({"true", "false", "null"})


def screen_width() -> int:
    """Columns of the terminal, 100 where there is none."""
    return max(_LEAST_WIDTH, shutil.get_terminal_size(_FALLBACK).columns)


def width(shown: str) -> int:
    """Columns that `shown` takes: two for a wide character, none for a combining one."""
    if shown.isascii():
        return len(shown)
    return sum(map(_columns, shown))


def fold(text: str, room: int, quote: str = "") -> str:
    """`text` visible in at most `room` columns; what does not fit is counted: `Lorem ip… (1204 more characters)`.

    Where the count would leave no room for the text, the ellipsis stands alone.
    """
    parts = pieces(text, quote)
    shown = "".join(parts)
    if width(shown) <= room:
        return shown
    rest = room - len(_more(len(text)))
    if rest < _LEAST_KEPT:
        return _fitting(parts, room - 1)[0] + "…"
    kept, end = _fitting(parts, rest)
    return kept + _more(len(text) - end)


def pairs(values: Mapping[str, Any], room: int) -> str:
    """`amount=50000.00 currency=EUR to="DE89 3704" … (3 more)`: the first members, nested ones with a dotted key."""
    members = list(_flat(values, ""))
    shown: list[str] = []
    left = room
    for at, (key, value) in enumerate(members):
        rest = len(members) - at - 1
        after = f" … ({rest} more)" if rest else ""
        pair = _pair(key, value, _LONGEST_PAIR if shown else left - len(after))
        if shown and width(pair) + len(after) > left:
            return " ".join([*shown, f"… ({rest + 1} more)"])
        shown.append(pair)
        left -= width(pair) + 1
    return " ".join(shown)


def tree(value: Any, indent: str = "") -> Iterator[str]:
    """Lines, whole and in the order they came: `key: value`, a nested value further in, a list's items after `-`."""
    items = (
        [("-", each) for each in value] if isinstance(value, list) else [(f"{key_of(k)}:", v) for k, v in value.items()]
    )
    for label, each in items:
        if isinstance(each, dict | list) and each:
            yield f"{indent}{label}"
            yield from tree(each, indent + GAP)
        else:
            yield f"{indent}{label} {scalar(each)}"


def scalar(value: Any) -> str:
    """Text bare, unless it could be taken for another JSON value or for nothing; all else as JSON."""
    if not isinstance(value, str):
        return json.dumps(value)
    return f'"{visible(value, chr(34))}"' if _reads_otherwise(value) else visible(value)


def key_of(key: str) -> str:
    """A member's name, in quotes where it could be mistaken for the tree itself."""
    plain = key and key == key.strip() and ":" not in key and not key.startswith(('"', "-"))
    return visible(key) if plain else f'"{visible(key, chr(34))}"'


def hang(line: str, columns: int) -> Iterator[str]:
    """`line` broken to `columns`; what goes on is marked and stands further in: it cannot pose as a line of its own."""
    indent = " " * (len(line) - len(line.lstrip(" "))) + "  ↳ "
    room = columns
    while width(line) > room and room > len(indent):
        kept, end = _fitting(list(line), room)
        yield kept
        line = indent + line[end:]
    yield line


def table(rows: Sequence[Sequence[str]], headers: Sequence[str], columns: int) -> Iterator[str]:
    """Rows of visible cells; where they do not fit, the last cell of each stands on a line of its own."""
    lines = [headers, *rows]
    widths = [max(width(line[at]) for line in lines) for at in range(len(headers))]
    if sum(widths) + len(GAP) * (len(widths) - 1) <= columns:
        yield from (joined(line, widths) for line in lines)
        return
    yield joined(headers[:-1], widths[:-1])
    for row in rows:
        yield joined(row[:-1], widths[:-1])
        if row[-1]:
            yield f"{UNDER}{row[-1]}"


def joined(cells: Sequence[str], widths: Iterable[int]) -> str:
    """One row: each cell filled up to its width."""
    filled = (cell + " " * max(0, columns - width(cell)) for cell, columns in zip(cells, widths, strict=True))
    return GAP.join(filled).rstrip()


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _fitting(parts: Sequence[str], room: int) -> tuple[str, int]:
    """As many whole parts as fit, and how many those are; one at least, so that folding always gets on."""
    used = 0
    for end, part in enumerate(parts):
        used += width(part)
        if used > room:
            return "".join(parts[: max(1, end)]), max(1, end)
    return "".join(parts), len(parts)


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _pair(key: str, value: Any, room: int) -> str:
    name = fold(key, max(_LEAST_KEPT, min(_LONGEST_KEY, room // 2)))
    if isinstance(value, list):
        return f"{name}=[{len(value)}]"
    if not isinstance(value, str):
        return f"{name}={json.dumps(value)}"
    left = max(_LEAST_KEPT, min(_LONGEST_PAIR, room) - width(name) - len('=""'))
    quoted = not value or any(character in ' "=' for character in value)
    return f'{name}="{fold(value, left, chr(34))}"' if quoted else f"{name}={fold(value, left)}"


def _more(count: int) -> str:
    return f"… ({count} more characters)"


def _reads_otherwise(text: str) -> bool:
    if not text or text != text.strip() or text[0] in '"[{' or text in _WORDS_OF_JSON:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
