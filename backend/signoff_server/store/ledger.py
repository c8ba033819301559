"""The ledger: lock the head, load streams, append events, read on from a place.

Every function works within the caller's transaction. `seq` is gapless and in commit order, because whoever appends
holds the project's head row.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from signoff.protocol.proof import HASH_BYTES, extend, leaf_hash
from signoff_server.core.events import Payload, Recorded
from signoff_server.store import codec
from signoff_server.store.codec import State
from signoff_server.store.tables import EVENTS, ONCE, PROJECTS, SNAPSHOTS

_HEAD = (
    select(PROJECTS.c.head_seq, PROJECTS.c.head_at, PROJECTS.c.frontier)
    .where(PROJECTS.c.id == bindparam("project"))
    .with_for_update()
)
_END = select(PROJECTS.c.head_seq).where(PROJECTS.c.id == bindparam("project"))
_HEADS = select(PROJECTS.c.id, PROJECTS.c.head_seq)
_MOVE_HEAD = update(PROJECTS).where(PROJECTS.c.id == bindparam("project"))
_STREAMS = select(SNAPSHOTS.c.subject, SNAPSHOTS.c.version, SNAPSHOTS.c.state).where(
    SNAPSHOTS.c.project == bindparam("project"), SNAPSHOTS.c.subject.in_(bindparam("subjects", expanding=True))
)
_NEW_STREAM = insert(SNAPSHOTS)
_NEXT_STATE = (
    update(SNAPSHOTS)
    .where(SNAPSHOTS.c.subject == bindparam("of"))
    .values(version=bindparam("version"), state=bindparam("state"))
)
_APPEND = insert(EVENTS)
_FOUND = select(EVENTS.c.seq).where(EVENTS.c.id == bindparam("id"))
_PAYLOADS = select(EVENTS.c.seq, EVENTS.c.payload).where(
    EVENTS.c.project == bindparam("project"), EVENTS.c.seq.in_(bindparam("seqs", expanding=True))
)
_SUBJECTS = (
    select(EVENTS.c.seq, EVENTS.c.subject)
    .where(EVENTS.c.project == bindparam("project"), EVENTS.c.seq > bindparam("after"))
    .order_by(EVENTS.c.seq)
    .limit(1_000)
)
_STREAM_EVENTS = (
    select(EVENTS.c.envelope, EVENTS.c.payload)
    .where(EVENTS.c.project == bindparam("project"), EVENTS.c.subject == bindparam("subject"))
    .order_by(EVENTS.c.version)
)
_WHOLE = (
    select(EVENTS.c.envelope, EVENTS.c.payload, EVENTS.c.payload_nonce, EVENTS.c.leaf)
    .where(EVENTS.c.project == bindparam("project"), EVENTS.c.seq > bindparam("after"))
    .order_by(EVENTS.c.seq)
    .limit(1_000)
)
_ONCE = select(ONCE.c.key, ONCE.c.subject, ONCE.c.fingerprint).where(ONCE.c.key.in_(bindparam("keys", expanding=True)))
_TAKE_ONCE = insert(ONCE)

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
    return {row.id: row.head_seq for row in connection.execute(_HEADS)}


def project_named(connection: Connection, name: str) -> str | None:
    found = connection.execute(select(PROJECTS.c.id).where(PROJECTS.c.name == name)).scalar()
    return None if found is None else str(found)


def end(connection: Connection, project: str) -> int:
    """The `seq` of the project's last event."""
    seq: int = connection.execute(_END, {"project": project}).scalar_one()
    return seq


def lock_head(connection: Connection, project: str) -> Head:
    """Take the project's turn: until the transaction ends, nobody else appends to it."""
    row = connection.execute(_HEAD, {"project": project}).one()
    hashes = tuple(row.frontier[at : at + HASH_BYTES] for at in range(0, len(row.frontier), HASH_BYTES))
    return Head(row.head_seq, row.head_at, hashes)


def load(connection: Connection, project: str, subjects: Iterable[str]) -> dict[str, Stream]:
    """The streams that exist among `subjects`. Another project's do not exist."""
    wanted = list(subjects)
    if not wanted:
        return {}
    rows = connection.execute(_STREAMS, {"project": project, "subjects": wanted})
    return {row.subject: Stream(row.version, codec.load_state(row.subject, row.state)) for row in rows}


def append(connection: Connection, project: str, head: Head, changes: Sequence[Change]) -> Head:
    """Write events, the states that they left, the idempotency keys that they take, and the head."""
    frontier, rows = list(head.frontier), []
    for size, change in enumerate(changes, start=head.seq):
        row = _event_row(project, change)
        frontier = extend(frontier, size, row["leaf"])
        rows.append(row)
    connection.execute(_APPEND, rows)
    save_states(connection, project, changes)
    take_once(connection, project, changes)
    moved = Head(changes[-1].event.seq, changes[-1].event.at, tuple(frontier))
    values = {"head_seq": moved.seq, "head_at": moved.at, "frontier": b"".join(frontier)}
    connection.execute(_MOVE_HEAD, {"project": project, **values})
    return moved


def save_states(connection: Connection, project: str, changes: Sequence[Change]) -> None:
    """Bring the snapshots up to the last of `changes` of each stream."""
    new = {change.event.subject for change in changes if change.event.version == 1}
    last = {change.event.subject: change for change in changes}
    rows = [
        {"of": subject, "version": change.event.version, "state": codec.dump_state(change.state)}
        for subject, change in last.items()
    ]
    if made := [row for row in rows if row["of"] in new]:
        connection.execute(_NEW_STREAM, [{**row, "subject": row["of"], "project": project} for row in made])
    if moved := [row for row in rows if row["of"] not in new]:
        connection.execute(_NEXT_STATE, moved)


def once(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, Taken]:
    """Which of these idempotency keys are in use."""
    wanted = list(keys)
    if not wanted:
        return {}
    rows = connection.execute(_ONCE, {"keys": wanted})
    return {bytes(row.key): Taken(row.subject, bytes(row.fingerprint)) for row in rows}


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
    if rows:
        connection.execute(_TAKE_ONCE, rows)


def recorded(connection: Connection, event: str) -> bool:
    """Whether the event with this id is in the ledger."""
    return connection.execute(_FOUND, {"id": event}).first() is not None


def payloads(connection: Connection, project: str, seqs: Iterable[int]) -> dict[int, dict[str, Any] | None]:
    """The data of events by `seq`; None where it was erased."""
    wanted = list(seqs)
    if not wanted:
        return {}
    rows = connection.execute(_PAYLOADS, {"project": project, "seqs": wanted})
    return {row.seq: codec.unseal(row.payload) for row in rows}


def subjects_after(connection: Connection, project: str, after: int) -> list[tuple[int, str]]:
    """(seq, subject) of the next thousand events."""
    return [(row.seq, row.subject) for row in connection.execute(_SUBJECTS, {"project": project, "after": after})]


def of_subject(connection: Connection, project: str, subject: str) -> list[tuple[Recorded, dict[str, Any] | None]]:
    """One stream, oldest first, with its data."""
    rows = connection.execute(_STREAM_EVENTS, {"project": project, "subject": subject})
    return [(codec.decode(row.envelope), codec.unseal(row.payload)) for row in rows]


def whole(connection: Connection, project: str, after: int) -> list[tuple[bytes, bytes | None, bytes | None, bytes]]:
    """(envelope, payload, payload nonce, leaf) of the next thousand events."""
    rows = connection.execute(_WHOLE, {"project": project, "after": after})
    return [(row.envelope, row.payload, row.payload_nonce, row.leaf) for row in rows]


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
    values = {"project": project, "after": after, "until": until, "most": limit, "subject": subject}
    pattern = None if glob is None else like(glob.casefold())
    found: list[tuple[Recorded, dict[str, Any] | None]] = []
    cut = False
    with connection.execute(_next(glob is not None, subject is not None), {**values, "pattern": pattern}) as rows:
        for row in rows:
            size = len(row.envelope) + len(row.payload or b"")
            if room is not None and size > room and found:
                cut = True
                break
            room = None if room is None else room - size
            found.append((codec.decode(row.envelope), codec.unseal(row.payload)))
    # Where nothing was cut off, all up to there was looked at: a filter need not look at it again.
    reached = found[-1][0].seq if cut or len(found) == limit else until
    return Stretch(found, reached, reached == head)


@cache
def _next(by_type: bool, by_subject: bool) -> Select[Any]:
    columns = EVENTS.c
    statement = select(columns.envelope, columns.payload).where(
        columns.project == bindparam("project"), columns.seq > bindparam("after"), columns.seq <= bindparam("until")
    )
    if by_type:
        statement = statement.where(columns.type.like(bindparam("pattern"), escape=LIKE_ESCAPE))
    if by_subject:
        statement = statement.where(columns.subject == bindparam("subject"))
    return statement.order_by(columns.seq).limit(bindparam("most"))


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
