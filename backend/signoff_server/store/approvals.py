"""Approvals as rows to list by, and as they are shown: state, what people wrote, and the names of who acted."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from signoff_server.core.approval_state import Approval
from signoff_server.store import agenda, ledger, principals
from signoff_server.store.statements import Statement
from signoff_server.store.tables import APPROVALS, PRINCIPALS

_NEW = Statement(insert(APPROVALS))
_MOVED = Statement(update(APPROVALS).where(APPROVALS.c.id == bindparam("of")).values(status=bindparam("now_status")))


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """An approval with all that is shown of it.

    `data` is the payload of the request, None where it was erased; `said` the payloads of decisions and outcomes by
    `seq`; `names` those of the principals that occur; `lease_until` that of an open redemption.
    """

    project: str
    state: Approval
    data: dict[str, Any] | None
    said: dict[int, dict[str, Any] | None]
    names: dict[str, str]
    lease_until: int | None


@dataclass(frozen=True, slots=True)
class Filter:
    """`requested_by` is a principal's id or name; `before` a `seq`; the globs are case-blind."""

    status: str | None = None
    name: str | None = None
    execution_id: str | None = None
    requested_by: str | None = None
    only_of: str | None = None
    q: str | None = None
    before: int | None = None


def project(connection: Connection, project_id: str, changes: Sequence[ledger.Change]) -> None:
    """Bring the rows up to `changes`."""
    made, moved = [], {}
    waiting: Counter[str] = Counter()
    for change in changes:
        if not isinstance(change.state, Approval):
            continue
        if change.event.version == 1:
            made.append(_row(project_id, change.state, change.payload.index.search))
        elif change.state.closed_seq == change.event.seq:
            moved[change.state.id] = {"of": change.state.id, "now_status": change.state.status}
        waiting.update(waits(change))
    _NEW.run(connection, made)
    _MOVED.run(connection, list(moved.values()))
    principals.wait_for(connection, waiting)


def waits(change: ledger.Change) -> dict[str, int]:
    """Who waits for how many approvals more by this change. A workflow that waits is not counted."""
    state = change.state
    if not isinstance(state, Approval) or state.source.execution_id is not None or state.requested_by.id is None:
        return {}
    more = int(change.event.version == 1) - int(state.closed_seq == change.event.seq)
    return {state.requested_by.id: more} if more else {}


def views(connection: Connection, project_id: str, ids: Iterable[str]) -> dict[str, ApprovalView]:
    """The approvals among `ids`, in a handful of queries, however many they are."""
    streams = ledger.load(connection, project_id, ids)
    states = [stream.state for stream in streams.values() if isinstance(stream.state, Approval)]
    said = ledger.payloads(connection, project_id, {seq for state in states for seq in seqs(state)})
    names = principals.names(connection, {who for state in states for who in people(state)})
    open_ones = [state.id for state in states if state.redemption and state.redemption.outcome is None]
    until = agenda.leases(connection, open_ones)
    return {
        state.id: ApprovalView(
            project_id,
            state,
            said[state.requested_seq],
            {seq: said[seq] for seq in seqs(state)},
            names,
            until.get(state.id),
        )
        for state in states
    }


def view(connection: Connection, project_id: str, approval: str) -> ApprovalView | None:
    return views(connection, project_id, [approval]).get(approval)


def search(
    connection: Connection, project_id: str, wanted: Filter, limit: int
) -> tuple[list[ApprovalView], int | None]:
    """Newest first; the second value is where the next page begins, None at the end."""
    columns = APPROVALS.c
    statement = select(columns.id, columns.seq).where(columns.project == project_id)
    exact = ((columns.status, wanted.status), (columns.execution_id, wanted.execution_id))
    for column, value in exact:
        if value is not None:
            statement = statement.where(column == value)
    if wanted.only_of is not None:
        statement = statement.where(columns.requested_by == wanted.only_of)
    if wanted.before is not None:
        statement = statement.where(columns.seq < wanted.before)
    if wanted.name is not None:
        pattern = ledger.like(wanted.name.casefold())
        statement = statement.where(func.lower(columns.name).like(pattern, escape=ledger.LIKE_ESCAPE))
    if wanted.q is not None:
        pattern = f"%{ledger.escaped(wanted.q.casefold())}%"
        matches = (
            column.like(pattern, escape=ledger.LIKE_ESCAPE) for column in (columns.search, func.lower(columns.name))
        )
        statement = statement.where(or_(*matches))
    if wanted.requested_by is not None:
        named = select(PRINCIPALS.c.id).where(
            PRINCIPALS.c.project == project_id, PRINCIPALS.c.folded == wanted.requested_by.casefold()
        )
        statement = statement.where(
            or_(columns.requested_by == wanted.requested_by, columns.requested_by.in_(named.scalar_subquery()))
        )
    rows = connection.execute(statement.order_by(columns.seq.desc()).limit(limit + 1)).all()
    shown = views(connection, project_id, [row.id for row in rows[:limit]])
    following = rows[limit - 1].seq if len(rows) > limit else None
    return [shown[row.id] for row in rows[:limit]], following


def _row(project_id: str, state: Approval, search_text: str) -> dict[str, Any]:
    return {
        "id": state.id,
        "project": project_id,
        "seq": state.requested_seq,
        "name": state.name,
        "status": state.status,
        "requested_by": state.requested_by.id,
        "execution_id": state.source.execution_id,
        "expires_at": state.expires_at,
        "search": search_text,
    }


def seqs(state: Approval) -> list[int]:
    """The events whose payloads are shown of an approval."""
    redemption = state.redemption.seq if state.redemption else None
    every = (state.requested_seq, state.closed_seq, redemption, *(vote.seq for vote in state.votes))
    return [seq for seq in dict.fromkeys(every) if seq is not None]


def people(state: Approval) -> list[str]:
    """The principals whose names are shown of an approval."""
    closed = state.closed_by.id if state.closed_by else None
    voters = (vote.by.id for vote in state.votes)
    every = (state.requested_by.id, closed, *voters, *state.requirement.reviewers)
    return [person for person in dict.fromkeys(every) if person is not None]
