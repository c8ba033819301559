"""Things due: put, claim, renew. A row is made and dropped with the event that it follows from.

Claiming moves `due_at` on by the time the claimer has, so that what a dead claimer held falls due again by itself.
A lease is such a row too: renewing it moves `due_at`, unless it was already claimed as ended.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from signoff_server.core.reactions import LEASE_QUEUE, Drop, Put, agenda_key
from signoff_server.store.statements import Lookup, Statement
from signoff_server.store.tables import AGENDA

CLAIM_MS: Final = 30_000

_DROP = Statement(delete(AGENDA).where(AGENDA.c.key == bindparam("of")))
_PUT = Statement(insert(AGENDA))
# The first entry of an index, however many things wait in the queue.
_NEXT_DUE = Statement(
    select(AGENDA.c.due_at).where(AGENDA.c.queue == bindparam("queue")).order_by(AGENDA.c.due_at).limit(1)
)
# Of each queue the first entry of an index is looked at, and the first that is due ends it.
_ANY_DUE = Lookup(select(AGENDA.c.key).where(AGENDA.c.due_at <= bindparam("now")).limit(1), AGENDA.c.queue)
# A CTE, because a subquery that locks might be run more than once.
_DUE = (
    select(AGENDA.c.key)
    .where(AGENDA.c.queue.in_(bindparam("queues", expanding=True)), AGENDA.c.due_at <= bindparam("now"))
    .order_by(AGENDA.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_CLAIM = (
    update(AGENDA)
    .where(AGENDA.c.key.in_(select(_DUE.c.key)))
    .values(due_at=bindparam("until"), claims=AGENDA.c.claims + 1)
    .returning(AGENDA.c.queue, AGENDA.c.project, AGENDA.c.subject, AGENDA.c.fence)
)
_RENEW = Statement(
    update(AGENDA)
    .where(AGENDA.c.key == bindparam("lease"), AGENDA.c.fence == bindparam("held"), AGENDA.c.claims == 0)
    .values(due_at=bindparam("until"))
)
_LEASES = Lookup(select(AGENDA.c.subject, AGENDA.c.due_at).where(AGENDA.c.claims == 0), AGENDA.c.key)
_RELEASE = update(AGENDA).where(AGENDA.c.claims > 0).values(due_at=bindparam("now"))


@dataclass(frozen=True, slots=True)
class Due:
    queue: str
    project: str
    subject: str
    fence: int


def carry_out(
    connection: Connection, project: str, reactions: Sequence[Put | Drop], now: int, *, new: Collection[str] = ()
) -> None:
    """Apply reactions in their order; of one key only the last counts. Subjects that are `new` have no rows yet."""
    last = {reaction.key: reaction for reaction in reactions}
    _DROP.run(connection, [{"of": key} for key, reaction in last.items() if reaction.subject not in new])
    rows = [
        {
            "key": key,
            "queue": put.queue,
            "project": project,
            "subject": put.subject,
            "due_at": put.due(now),
            "fence": put.fence,
            "claims": 0,
        }
        for key, put in last.items()
        if isinstance(put, Put)
    ]
    _PUT.run(connection, rows)


def next_due(connection: Connection, queues: Sequence[str]) -> int | None:
    """When the first thing of these queues is due; None where nothing waits."""
    firsts = (_NEXT_DUE.first(connection, queue=queue) for queue in queues)
    return min((first[0] for first in firsts if first is not None), default=None)


def any_due(connection: Connection, queues: Iterable[str], now: int) -> bool:
    """Whether anything of these queues is due."""
    return bool(_ANY_DUE.rows(connection, queues, now=now))


def claim(connection: Connection, queues: Sequence[str], now: int, most: int) -> list[Due]:
    """Take what is due, for `CLAIM_MS`; in one statement, so that nobody else takes it too."""
    values = {"queues": list(queues), "now": now, "most": most, "until": now + CLAIM_MS}
    return [Due(row.queue, row.project, row.subject, row.fence) for row in connection.execute(_CLAIM, values)]


def renew(connection: Connection, subject: str, fence: int, until: int) -> bool:
    """Hold the lease of `subject` on until then; False where the fence is old or the lease was claimed as ended."""
    return _RENEW.run(connection, [{"lease": agenda_key(LEASE_QUEUE, subject), "held": fence, "until": until}]) == 1


def leases(connection: Connection, subjects: Iterable[str]) -> dict[str, int]:
    """Until when the leases of `subjects` stand, where they do."""
    return dict(_LEASES.rows(connection, (agenda_key(LEASE_QUEUE, subject) for subject in subjects)))


def leased(connection: Connection, project: str) -> list[str]:
    """What somebody of this project holds: approvals and work items."""
    statement = select(AGENDA.c.subject).where(AGENDA.c.queue == LEASE_QUEUE, AGENDA.c.project == project)
    return [subject for (subject,) in connection.execute(statement)]


def release_claims(connection: Connection, now: int) -> None:
    """Make due at once what a process that is gone had claimed; only where no other process can be alive."""
    connection.execute(_RELEASE, {"now": now})
