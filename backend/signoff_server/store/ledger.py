"""The ledger: lock the head, load streams, append events, read on from a place.

Every function works within the caller's transaction. `seq` is gapless and in commit order, because whoever appends
holds the project's head row.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any, Final

from sqlalchemy import Connection, Select, Text, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from signoff.protocol.proof import HASH_BYTES, extend, leaf_hash
from signoff_server.core.events import Payload, Recorded
from signoff_server.store import codec
from signoff_server.store.codec import State
from signoff_server.store.statements import Lookup, Row, Statement
from signoff_server.store.tables import EVENTS, ONCE, PROJECTS, SNAPSHOTS

_PROJECT = bindparam("project", type_=Text)
_AFTER = (EVENTS.c.project == _PROJECT, EVENTS.c.seq > bindparam("after"))
_HEAD = Statement(
    select(PROJECTS.c.head_seq, PROJECTS.c.head_at, PROJECTS.c.frontier)
    .where(PROJECTS.c.id == _PROJECT)
    .with_for_update()
)
_END = Statement(select(PROJECTS.c.head_seq).where(PROJECTS.c.id == _PROJECT))
_TIME = Statement(select(EVENTS.c.at).where(EVENTS.c.project == _PROJECT, EVENTS.c.seq == bindparam("seq")))
_HEADS = Statement(select(PROJECTS.c.id, PROJECTS.c.head_seq))
_MOVE_HEAD = Statement(
    update(PROJECTS)
    .where(PROJECTS.c.id == _PROJECT)
    .values({name: bindparam(name) for name in ("head_seq", "head_at", "frontier")})
)
_STREAMS = Lookup(
    select(SNAPSHOTS.c.subject, SNAPSHOTS.c.version, SNAPSHOTS.c.state).where(SNAPSHOTS.c.project == _PROJECT),
    SNAPSHOTS.c.subject,
)
_NEW_STREAM = Statement(insert(SNAPSHOTS))
_NEXT_STATE = Statement(
    update(SNAPSHOTS)
    .where(SNAPSHOTS.c.subject == bindparam("of"))
    .values(version=bindparam("version"), state=bindparam("state"))
)
_APPEND = Statement(insert(EVENTS))
_FOUND = Statement(select(EVENTS.c.seq).where(EVENTS.c.id == bindparam("id")))
_PAYLOADS = Lookup(select(EVENTS.c.seq, EVENTS.c.payload).where(EVENTS.c.project == _PROJECT), EVENTS.c.seq)
_ENVELOPES = Lookup(select(EVENTS.c.seq, EVENTS.c.envelope).where(EVENTS.c.project == _PROJECT), EVENTS.c.seq)
_SUBJECTS = Statement(select(EVENTS.c.seq, EVENTS.c.subject).where(*_AFTER).order_by(EVENTS.c.seq).limit(1_000))
_STREAM_EVENTS = Statement(
    select(EVENTS.c.envelope, EVENTS.c.payload)
    .where(EVENTS.c.project == _PROJECT, EVENTS.c.subject == bindparam("subject"))
    .order_by(EVENTS.c.version)
)
_STREAM_PAGE = Statement(
    select(EVENTS.c.envelope, EVENTS.c.payload)
    .where(EVENTS.c.project == _PROJECT, EVENTS.c.subject == bindparam("subject"))
    .where(EVENTS.c.version > bindparam("after"))
    .order_by(EVENTS.c.version)
    .limit(bindparam("most"))
)
_WHOLE = Statement(
    select(EVENTS.c.envelope, EVENTS.c.payload, EVENTS.c.payload_nonce, EVENTS.c.leaf)
    .where(*_AFTER)
    .order_by(EVENTS.c.seq)
    .limit(1_000)
)
_ONCE = Lookup(select(ONCE.c.key, ONCE.c.subject, ONCE.c.fingerprint), ONCE.c.key)
_TAKE_ONCE = Statement(insert(ONCE))

LIKE_ESCAPE: Final = "\\"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a project's ledger ends: last `seq` (which is the size of its tree), its time, the tree's frontier."""

    seq: int
    at: int
    frontier: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Stream:
    version: int
    state: State


@dataclass(frozen=True, slots=True)
class Change:
    """A recorded event with its payload and the state that it left."""

    event: Recorded
    payload: Payload
    state: State


@dataclass(frozen=True, slots=True)
class Taken:
    """An idempotency key that is in use: by which subject, for which request."""

    subject: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of the ledger: what was asked for of it, with data; the `seq` of its end; whether all ends there."""

    events: list[tuple[Recorded, dict[str, Any] | None]]
    end: int
    last: bool


def create_project(connection: Connection, project: str, name: str, now: int) -> None:
    """A project of this name with an empty ledger; nothing where somebody else was faster."""
    with suppress(IntegrityError), connection.begin_nested():
        connection.execute(
            insert(PROJECTS).values(id=project, name=name, created_at=now, head_seq=0, head_at=now, frontier=b"")
        )


def projects(connection: Connection) -> dict[str, int]:
    """Every project with the `seq` of its last event: one query, however many there are."""
    return dict(_HEADS.rows(connection))


def project_named(connection: Connection, name: str) -> str | None:
    found = connection.execute(select(PROJECTS.c.id).where(PROJECTS.c.name == name)).scalar()
    return None if found is None else str(found)


def end(connection: Connection, project: str) -> int:
    """The `seq` of the project's last event."""
    ((seq,),) = _END.rows(connection, project=project)
    return int(seq)


def first_since(connection: Connection, project: str, at: int) -> int:
    """The `seq` of the first event that happened at `at` (milliseconds) or later, one past the end without any.

    Time never runs backwards in a ledger, so this takes a few rows by their keys, however long it is.
    """
    low, high = 1, end(connection, project) + 1
    while low < high:
        middle = (low + high) // 2
        ((then,),) = _TIME.rows(connection, project=project, seq=middle)
        low, high = (middle + 1, high) if then < at else (low, middle)
    return low


def lock_head(connection: Connection, project: str) -> Head:
    """Take the project's turn: until the transaction ends, nobody else appends to it."""
    ((seq, at, frontier),) = _HEAD.rows(connection, project=project)
    hashes = tuple(frontier[start : start + HASH_BYTES] for start in range(0, len(frontier), HASH_BYTES))
    return Head(seq, at, hashes)


def load(connection: Connection, project: str, subjects: Iterable[str]) -> dict[str, Stream]:
    """The streams that exist among `subjects`. Another project's do not exist."""
    rows = _STREAMS.rows(connection, subjects, project=project)
    return {subject: Stream(version, codec.load_state(subject, state)) for subject, version, state in rows}


def append(connection: Connection, project: str, head: Head, changes: Sequence[Change]) -> Head:
    """Write events, the states that they left, the idempotency keys that they take, and the head."""
    frontier, rows = list(head.frontier), []
    for size, change in enumerate(changes, start=head.seq):
        row = _event_row(project, change)
        frontier = extend(frontier, size, row["leaf"])
        rows.append(row)
    _APPEND.run(connection, rows)
    save_states(connection, project, changes)
    take_once(connection, project, changes)
    moved = Head(changes[-1].event.seq, changes[-1].event.at, tuple(frontier))
    values = {"head_seq": moved.seq, "head_at": moved.at, "frontier": b"".join(frontier)}
    _MOVE_HEAD.run(connection, [{"project": project, **values}])
    return moved


def save_states(connection: Connection, project: str, changes: Sequence[Change]) -> None:
    """Bring the snapshots up to the last of `changes` of each stream."""
    new = {change.event.subject for change in changes if change.event.version == 1}
    last = {change.event.subject: change for change in changes}
    rows = [
        {"of": subject, "version": change.event.version, "state": codec.dump_state(change.state)}
        for subject, change in last.items()
    ]
    made = [{**row, "subject": row["of"], "project": project} for row in rows if row["of"] in new]
    _NEW_STREAM.run(connection, made)
    _NEXT_STATE.run(connection, [row for row in rows if row["of"] not in new])


def once(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, Taken]:
    """Which of these idempotency keys are in use."""
    return {key: Taken(subject, fingerprint) for key, subject, fingerprint in _ONCE.rows(connection, keys)}


def take_once(connection: Connection, project: str, changes: Sequence[Change]) -> None:
    rows = [
        {
            "key": change.payload.index.once,
            "project": project,
            "subject": change.event.subject,
            "fingerprint": change.payload.index.fingerprint,
        }
        for change in changes
        if change.payload.index.once is not None
    ]
    _TAKE_ONCE.run(connection, rows)


def recorded(connection: Connection, event: str) -> bool:
    """Whether the event with this id is in the ledger."""
    return _FOUND.first(connection, id=event) is not None


def payloads(connection: Connection, project: str, seqs: Iterable[int]) -> dict[int, dict[str, Any] | None]:
    """The data of events by `seq`; None where it was erased."""
    return {seq: codec.unseal(payload) for seq, payload in _PAYLOADS.rows(connection, seqs, project=project)}


def facts(connection: Connection, project: str, seqs: Iterable[int | None]) -> dict[int, dict[str, Any]]:
    """The facts of events by `seq`."""
    rows = _ENVELOPES.rows(connection, [seq for seq in seqs if seq is not None], project=project)
    return {seq: dict(codec.decode(envelope).facts) for seq, envelope in rows}


def subjects_after(connection: Connection, project: str, after: int) -> list[tuple[int, str]]:
    """(seq, subject) of the next thousand events."""
    return [(seq, subject) for seq, subject in _SUBJECTS.rows(connection, project=project, after=after)]


def of_subject(connection: Connection, project: str, subject: str) -> list[tuple[Recorded, dict[str, Any] | None]]:
    """One stream, oldest first, with its data."""
    rows = _STREAM_EVENTS.rows(connection, project=project, subject=subject)
    return [(codec.decode(envelope), codec.unseal(payload)) for envelope, payload in rows]


def page_of_subject(
    connection: Connection, project: str, subject: str, *, after: int, limit: int, room: int
) -> tuple[list[tuple[Recorded, dict[str, Any] | None]], int | None]:
    """One stream after its version `after`, cut as `stretch` is, and where the next page begins."""
    rows = _STREAM_PAGE.rows(connection, project=project, subject=subject, after=after, most=limit + 1)
    fitting = min(limit, _fitting(rows, room))
    found = [(codec.decode(envelope), codec.unseal(payload)) for envelope, payload in rows[:fitting]]
    return found, found[-1][0].version if fitting < len(rows) else None


def whole(connection: Connection, project: str, after: int) -> list[tuple[bytes, bytes | None, bytes | None, bytes]]:
    """(envelope, payload, payload nonce, leaf) of the next thousand events."""
    rows = _WHOLE.rows(connection, project=project, after=after)
    return [(envelope, payload, nonce, leaf) for envelope, payload, nonce, leaf in rows]


def stretch(
    connection: Connection,
    project: str,
    *,
    after: int,
    glob: str | None,
    subject: str | None,
    limit: int,
    span: int | None = None,
    room: int | None = None,
) -> Stretch:
    """The ledger's next events, oldest first, in one view of the database.

    It is cut after `limit` events and, where given, before they are more than `room` bytes (the first always fits), and
    looks at `span` events at most, whether they are what is asked for or not.
    """
    head = end(connection, project)
    until = head if span is None else min(head, after + span)
    if until <= after:
        return Stretch([], after, True)
    values: dict[str, Any] = {"project": project, "after": after, "until": until, "most": limit}
    if glob is not None:
        values["pattern"] = like(glob.casefold())
    if subject is not None:
        values["subject"] = subject
    rows = _next(glob is not None, subject is not None).rows(connection, **values)
    fitting = len(rows) if room is None else _fitting(rows, room)
    found = [(codec.decode(envelope), codec.unseal(payload)) for envelope, payload in rows[:fitting]]
    # Where nothing was cut off, all up to there was looked at: a filter need not look at it again.
    reached = until if fitting == len(rows) < limit else found[-1][0].seq
    return Stretch(found, reached, reached == head)


def stretch_back(
    connection: Connection,
    project: str,
    *,
    before: int,
    glob: str | None,
    subject: str | None,
    limit: int,
    span: int,
    room: int,
    types: tuple[str, ...] = (),
) -> Stretch:
    """The ledger's events below `before`, the last one first, cut as `stretch` is. `end` is the lowest `seq` that was
    looked at, `last` whether that is the beginning of the ledger. `types` are those that are wanted, empty for all.
    """
    upper = min(before, end(connection, project) + 1)
    lower = max(1, upper - span)
    if upper <= 1:
        return Stretch([], 1, True)
    values: dict[str, Any] = {"project": project, "lower": lower, "upper": upper, "most": limit}
    if glob is not None:
        values["pattern"] = like(glob.casefold())
    if subject is not None:
        values["subject"] = subject
    rows = _before(glob is not None, subject is not None, types).rows(connection, **values)
    fitting = _fitting(rows, room)
    found = [(codec.decode(envelope), codec.unseal(payload)) for envelope, payload in rows[:fitting]]
    reached = lower if fitting == len(rows) < limit else found[-1][0].seq
    return Stretch(found, reached, reached == 1)


@cache
def _before(by_type: bool, by_subject: bool, types: tuple[str, ...]) -> Statement:
    columns = EVENTS.c
    statement = select(columns.envelope, columns.payload).where(
        columns.project == _PROJECT, columns.seq >= bindparam("lower"), columns.seq < bindparam("upper")
    )
    if types:
        statement = statement.where(columns.type.in_([bindparam(f"type_{at}", of) for at, of in enumerate(types)]))
    return Statement(_of_sort(statement, by_type, by_subject).order_by(columns.seq.desc()).limit(bindparam("most")))


@cache
def _next(by_type: bool, by_subject: bool) -> Statement:
    statement = select(EVENTS.c.envelope, EVENTS.c.payload).where(*_AFTER, EVENTS.c.seq <= bindparam("until"))
    return Statement(_of_sort(statement, by_type, by_subject).order_by(EVENTS.c.seq).limit(bindparam("most")))


def _of_sort(statement: Select[Any], by_type: bool, by_subject: bool) -> Select[Any]:
    if by_type:
        statement = statement.where(EVENTS.c.type.like(bindparam("pattern"), escape=LIKE_ESCAPE))
    if by_subject:
        statement = statement.where(EVENTS.c.subject == bindparam("subject"))
    return statement


def _fitting(rows: Sequence[Row], room: int) -> int:
    """How many of the rows, from the first, are `room` bytes at most together; one at least where there is one."""
    sizes = accumulate(len(envelope) + len(payload or b"") for envelope, payload in rows)
    return max(min(1, len(rows)), sum(1 for size in sizes if size <= room))


def like(glob: str) -> str:
    """A glob (`*` any run, `?` one character) as a LIKE pattern."""
    return escaped(glob).replace("*", "%").replace("?", "_")


def escaped(text: str) -> str:
    """Text that LIKE takes as it stands."""
    for special in (LIKE_ESCAPE, "%", "_"):
        text = text.replace(special, LIKE_ESCAPE + special)
    return text


def _event_row(project: str, change: Change) -> dict[str, Any]:
    event, envelope = change.event, codec.encode(change.event)
    return {
        "project": project,
        "seq": event.seq,
        "id": event.id,
        "subject": event.subject,
        "version": event.version,
        "type": event.type,
        "at": event.at,
        "envelope": envelope,
        "leaf": leaf_hash(envelope),
        "payload": change.payload.body,
        "payload_nonce": change.payload.nonce,
    }
