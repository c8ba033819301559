"""What happened in a stretch of time, counted: bounded, however long the ledger is."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from signoff_server.store import ledger
from signoff_server.store.tables import EVENTS

# So many of the last events are counted, and so many of the last decisions are asked how long they took.
MOST_EVENTS: Final = 50_000
MOST_DECISIONS: Final = 2_000
_DECIDED: Final = ("approval.approved", "approval.rejected")
_REQUESTED = EVENTS.alias("requested")
_SINCE = (EVENTS.c.project == bindparam("project"), EVENTS.c.seq >= bindparam("first"))
_COUNTS = select(EVENTS.c.type, func.count()).where(*_SINCE).group_by(EVENTS.c.type)
_WAITS = (
    select(EVENTS.c.at - _REQUESTED.c.at)
    .join(
        _REQUESTED,
        (_REQUESTED.c.project == EVENTS.c.project)
        & (_REQUESTED.c.subject == EVENTS.c.subject)
        & (_REQUESTED.c.version == 1),
    )
    .where(*_SINCE, EVENTS.c.type.in_(_DECIDED))
    .order_by(EVENTS.c.seq.desc())
    .limit(MOST_DECISIONS)
)


@dataclass(frozen=True, slots=True)
class Activity:
    """`counts` by type of event; `waits` are milliseconds from request to decision, shortest first. `all_of_it` is
    False where there were more events than are counted.
    """

    counts: dict[str, int]
    waits: list[int]
    all_of_it: bool


def since(connection: Connection, project: str, at: int) -> Activity:
    """What happened at `at` (milliseconds) or later."""
    first = ledger.first_since(connection, project, at)
    lowest = max(first, ledger.end(connection, project) - MOST_EVENTS + 1)
    values = {"project": project, "first": lowest}
    counts = {row[0]: row[1] for row in connection.execute(_COUNTS, values)}
    waits = sorted(int(row[0]) for row in connection.execute(_WAITS, values))
    return Activity(counts, waits, first == lowest)
