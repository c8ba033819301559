"""Approvals as rows to list by, and as they are shown: state, what people wrote, and the names of who acted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, insert, or_, select, tuple_, update

from signoff_server.core.approval_state import Approval
from signoff_server.store import agenda, ledger, principals
from signoff_server.store.statements import Statement
from signoff_server.store.tables import APPROVALS, EVENTS, PRINCIPALS

_NEW = Statement(insert(APPROVALS))
_MOVED = Statement(update(APPROVALS).where(APPROVALS.c.id == bindparam("of")).values(status=bindparam("now_status")))
_PENDING = select(func.count()).where(APPROVALS.c.project == bindparam("project"), APPROVALS.c.status == "pending")
_LAST_APPROVED = (
    select(APPROVALS.c.id)
    .where(APPROVALS.c.project == bindparam("project"), APPROVALS.c.name == bindparam("name"))
    .where(APPROVALS.c.status == "approved", APPROVALS.c.seq < bindparam("before"))
    .order_by(APPROVALS.c.seq.desc())
    .limit(1)
)
_CLOSING: Final = tuple(f"approval.{status}" for status in ("approved", "rejected", "expired", "cancelled"))
# So many events are looked at, and so many approvals are told of, where a lot was decided in short time.
_LOOKED_BACK: Final = 1_000
_MOST_CLOSED: Final = 20
_CLOSED = (
    select(EVENTS.c.subject)
    .where(EVENTS.c.project == bindparam("project"), EVENTS.c.seq >= bindparam("first"), EVENTS.c.type.in_(_CLOSING))
    .order_by(EVENTS.c.seq.desc())
    .limit(_MOST_CLOSED)
)


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
    """`requested_by` is a principal's id or name; `before` a `seq`; the globs are case-blind.

    `above` is a `seq` that they lie above. `in_a_run` asks for those of workflows, or for all but those; `since` and
    `until` bound when they were asked for, in milliseconds; `among` are ids; `closed` asks for those that are no longer
    pending.
    """

    status: str | None = None
    name: str | None = None
    execution_id: str | None = None
    requested_by: str | None = None
    only_of: str | None = None
    q: str | None = None
    before: int | None = None
    in_a_run: bool | None = None
    since: int | None = None
    until: int | None = None
    among: tuple[str, ...] | None = None
    closed: bool = False
    above: int | None = None


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
    statement = _wanted(connection, project_id, wanted).order_by(APPROVALS.c.seq.desc()).limit(limit + 1)
    rows = connection.execute(statement).all()
    following = rows[limit - 1].seq if len(rows) > limit else None
    return _shown(connection, project_id, rows[:limit]), following


def soonest(
    connection: Connection, project_id: str, wanted: Filter, limit: int, after: tuple[int, int] | None
) -> tuple[list[ApprovalView], tuple[int, int] | None]:
    """The nearest to its expiry first; a page begins behind `after`: (expiry, `seq`) of the last one before it."""
    columns = APPROVALS.c
    statement = _wanted(connection, project_id, wanted)
    if after is not None:
        statement = statement.where(tuple_(columns.expires_at, columns.seq) > tuple_(*after))
    rows = connection.execute(statement.order_by(columns.expires_at, columns.seq).limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    following = None if last is None else (last.expires_at, last.seq)
    return _shown(connection, project_id, rows[:limit]), following


def floor(connection: Connection, project_id: str, before: int | None, rows: int) -> int | None:
    """The `seq` that so many approvals lie above, counted down from `before`; None where there are not so many."""
    columns = APPROVALS.c
    statement = select(columns.seq).where(columns.project == project_id)
    if before is not None:
        statement = statement.where(columns.seq < before)
    found = connection.execute(statement.order_by(columns.seq.desc()).offset(rows).limit(1)).scalar()
    return None if found is None else int(found)


def pending(connection: Connection, project_id: str) -> int:
    """How many wait for a decision."""
    return int(connection.execute(_PENDING, {"project": project_id}).scalar_one())


def closed_since(connection: Connection, project_id: str, at: int) -> list[str]:
    """The approvals that left `pending` at `at` (milliseconds) or later, the last first: of the last few events."""
    first = max(ledger.first_since(connection, project_id, at), ledger.end(connection, project_id) - _LOOKED_BACK)
    return [row.subject for row in connection.execute(_CLOSED, {"project": project_id, "first": first})]


def last_approved(connection: Connection, project_id: str, name: str, before: int) -> ApprovalView | None:
    """The last one of this name that was approved, of those that were asked for before `seq`."""
    values = {"project": project_id, "name": name, "before": before}
    found = connection.execute(_LAST_APPROVED, values).scalar()
    return None if found is None else view(connection, project_id, found)


def _shown(connection: Connection, project_id: str, rows: Sequence[Any]) -> list[ApprovalView]:
    shown = views(connection, project_id, [row.id for row in rows])
    return [shown[row.id] for row in rows]


def _wanted(connection: Connection, project_id: str, wanted: Filter) -> Select[Any]:
    columns = APPROVALS.c
    statement = select(columns.id, columns.seq, columns.expires_at).where(columns.project == project_id)
    exact = (
        (columns.status, wanted.status),
        (columns.execution_id, wanted.execution_id),
        (columns.requested_by, wanted.only_of),
    )
    statement = statement.where(*(column == value for column, value in exact if value is not None))
    if wanted.in_a_run is not None:
        none = columns.execution_id.is_(None)
        statement = statement.where(~none if wanted.in_a_run else none)
    if wanted.closed:
        statement = statement.where(columns.status != "pending")
    if wanted.among is not None:
        statement = statement.where(columns.id.in_(wanted.among))
    statement = statement.where(*_bounds(connection, project_id, wanted))
    return statement.where(*_patterns(wanted), *_by_requester(project_id, wanted))


def _bounds(connection: Connection, project_id: str, wanted: Filter) -> Iterator[ColumnElement[bool]]:
    """When they were asked for: by `seq`, which the indexes know."""
    if wanted.before is not None:
        yield APPROVALS.c.seq < wanted.before
    if wanted.above is not None:
        yield APPROVALS.c.seq > wanted.above
    if wanted.since is not None:
        yield APPROVALS.c.seq >= ledger.first_since(connection, project_id, wanted.since)
    if wanted.until is not None:
        yield APPROVALS.c.seq < ledger.first_since(connection, project_id, wanted.until)


def _patterns(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    name = func.lower(APPROVALS.c.name)
    if wanted.name is not None:
        yield name.like(ledger.like(wanted.name.casefold()), escape=ledger.LIKE_ESCAPE)
    if wanted.q is not None:
        pattern = f"%{ledger.escaped(wanted.q.casefold())}%"
        yield or_(*(column.like(pattern, escape=ledger.LIKE_ESCAPE) for column in (APPROVALS.c.search, name)))


def _by_requester(project_id: str, wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.requested_by is not None:
        folded = wanted.requested_by.casefold()
        named = select(PRINCIPALS.c.id).where(PRINCIPALS.c.project == project_id, PRINCIPALS.c.folded == folded)
        asked_by = APPROVALS.c.requested_by
        yield or_(asked_by == wanted.requested_by, asked_by.in_(named.scalar_subquery()))


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
