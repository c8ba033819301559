"""One approval in few words: a row of the inbox, a line, a person."""

from collections.abc import Iterator, Sequence
from typing import Final

from signoff.cli import times
from signoff.cli.layout import GAP, UNDER, fold, joined, pairs, table, width
from signoff.cli.replies import Record
from signoff.protocol.visible import visible

HEADERS: Final = ["AGE", "NAME", "ASKED BY", "LEFT", "ID"]
_WIDE: Final = 120
_LONGEST_NAME: Final = 32
_LONGEST_PERSON: Final = 32
_SHORTER_PERSON: Final = 16
_LEAST_NAME: Final = 12
_LEAST_CONTEXT: Final = 30


def person(principal: Record) -> str:
    """`alice (human)`; the system has no name."""
    name = principal["name"] or principal["id"]
    return f"{visible(name)} ({visible(principal['kind'])})" if name else "the system"


def time_left(approval: Record) -> str:
    """Until it expires, or its status where it no longer waits."""
    return times.left(approval["expires_at"]) if approval["status"] == "pending" else visible(approval["status"])


def telling(approval: Record, room: int) -> str:
    """The first members of what is to be looked at: the context, or the arguments where there is none."""
    return pairs(approval["context"] or approval["arguments"] or {}, room)


def in_one_line(approval: Record, room: int) -> str:
    """Name, context in `room` columns, who asked, and the id."""
    tail = f"asked by {person(approval['requested_by'])}{GAP}{visible(approval['id'])}"
    return GAP.join(part for part in (visible(approval["name"]), telling(approval, room), tail) if part)


def inbox(approvals: Sequence[Record], columns: int) -> Iterator[str]:
    """The rows of the inbox, in `columns`; on a narrow screen the context stands on a line of its own."""
    rows = [HEADERS, *_cells(approvals, columns)]
    widths = [max(width(row[at]) for row in rows) for at in range(len(HEADERS))]
    room = columns - sum(widths) - len(GAP) * len(HEADERS)
    if room < _LEAST_CONTEXT:
        under = (telling(each, columns - len(UNDER)) for each in approvals)
        # Wider than any screen: what is last goes below.
        yield from table([[*row, text] for row, text in zip(rows[1:], under, strict=True)], [*HEADERS, ""], 0)
        return
    contexts = ["CONTEXT", *(telling(each, room) for each in approvals)]
    widths.insert(2, max(map(width, contexts)))
    for row, context in zip(rows, contexts, strict=True):
        yield joined([*row[:2], context, *row[2:]], widths)


def _cells(approvals: Sequence[Record], columns: int) -> Iterator[list[str]]:
    """Names get what the other columns leave them."""
    most = _LONGEST_PERSON if columns >= _WIDE else _SHORTER_PERSON
    others = [
        [times.age(each["created_at"]), _requester(each, most), time_left(each), visible(each["id"])]
        for each in approvals
    ]
    headed = zip(*others, ["AGE", "ASKED BY", "LEFT", "ID"], strict=True)
    taken = sum(max(map(width, column)) for column in headed) + len(GAP) * 4
    room = _LONGEST_NAME if columns >= _WIDE else max(_LEAST_NAME, columns - taken)
    for each, (age, *rest) in zip(approvals, others, strict=True):
        yield [age, fold(each["name"], room), *rest]


def _requester(approval: Record, room: int) -> str:
    requester = approval["requested_by"]
    return fold(requester["name"] or requester["id"] or "the system", room)
