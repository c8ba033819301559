"""A database with a long history, made in minutes: every row is a copy of what the server itself has written.

One specimen (an approval that is asked and decided, or a run that parks) is made by a running server, under numbers
that occur nowhere else. Its rows in all tables become forms, which are filled in for each copy; digests, leaves and the
tree's frontier are made by the server's own functions. `signoff rebuild` finds nothing to object to in the outcome.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection as Transaction
from sqlalchemy import Table, delete, insert, select, update

from bench.calls import creation, decision
from bench.generator import Connection, Requests, expect
from bench.server import Server
from bench.setup import Keys
from signoff.protocol.proof import extend, leaf_hash, payload_digest
from signoff_server.store import ledger
from signoff_server.store.dialects import open_engines
from signoff_server.store.ledger import Head
from signoff_server.store.statements import Statement
from signoff_server.store.tables import EVENTS, METADATA, ONCE, PROJECTS

_AT_ONCE: Final = 10_000
# The number of the event before the specimen's: no other number in its rows looks like it.
_FAR: Final = 7_000_000_000

Gaps = dict[bytes, bytes]
Form = Callable[[Gaps], Any]
# Has a server make a specimen; answers the subjects of its streams.
Make = Callable[[Server], Iterable[str]]


@dataclass(frozen=True, slots=True)
class _Specimen:
    """`events` in their order, and the rows of every other table that are about its subjects."""

    project: str
    subjects: list[str]
    events: list[dict[str, Any]]
    others: list[tuple[Table, dict[str, Any]]]


def a_decided_approval(server: Server) -> Iterable[str]:
    connection = Connection(server.url)
    asked = expect(connection.ask(creation(Requests(server.url, server.app_key))), 201).json()
    expect(connection.ask(decision(Requests(server.url, server.reviewer_key), asked["id"])), 200)
    connection.close()
    return [asked["id"]]


def fill(folder: Path, database: str, keys: Keys, count: int, make: Make = a_decided_approval) -> None:
    """Add so many copies of what `make` makes to a database that no server has open, whose keys are `keys`.

    The log of a server that runs meanwhile goes to `folder`.
    """
    engines = open_engines(database)
    with engines.writer.begin() as connection:
        (project,) = ledger.projects(connection)
        head = _move_far(connection, project)
    engines.close()
    with Server(folder, database, keys) as server:
        subjects = list(make(server))
    engines = open_engines(database)
    try:
        with engines.writer.begin() as connection:
            copies = _Copies(_take(connection, project, subjects, head))
        for first in range(0, count, _AT_ONCE):
            with engines.writer.begin() as connection:
                copies.add(connection, min(_AT_ONCE, count - first))
    finally:
        engines.close()


def _move_far(connection: Transaction, project: str) -> Head:
    head = ledger.lock_head(connection, project)
    _set_head(connection, project, Head(_FAR, head.at, ()))
    return head


def _take(connection: Transaction, project: str, subjects: list[str], head: Head) -> _Specimen:
    """The specimen's rows, taken out of the database; the head is put back."""
    found: list[tuple[Table, dict[str, Any]]] = []
    for table in METADATA.sorted_tables:
        # What has none of these (accounts, links, failed sign-ins) knows no subject.
        column = next((name for name in ("subject", "id", "execution") if name in table.c), None)
        if column is None:
            continue
        about = table.c[column].in_(subjects)
        found += [(table, dict(row)) for row in connection.execute(select(table).where(about)).mappings()]
        connection.execute(delete(table).where(about))
    _set_head(connection, project, head)
    events = sorted((row for table, row in found if table is EVENTS), key=lambda row: int(row["seq"]))
    return _Specimen(project, subjects, events, [(table, row) for table, row in found if table is not EVENTS])


def _set_head(connection: Transaction, project: str, head: Head) -> None:
    values = {"head_seq": head.seq, "head_at": head.at, "frontier": b"".join(head.frontier)}
    connection.execute(update(PROJECTS).where(PROJECTS.c.id == project).values(values))


class _Copies:
    """Makes copies of the specimen: its rows with gaps for whatever differs from copy to copy."""

    def __init__(self, specimen: _Specimen) -> None:
        self._project = specimen.project
        self._gaps = _gaps(specimen)
        self._at = max(event["at"] for event in specimen.events)
        self._append = Statement(insert(EVENTS))
        self._events = [self._row(event) for event in specimen.events]
        self._nonces = [event["payload_nonce"] for event in specimen.events]
        self._others = [(Statement(insert(table)), self._row(row)) for table, row in specimen.others]
        self._kinds = [subject[:4].encode() for subject in specimen.subjects]
        self._prefix = specimen.events[0]["id"].partition("_")[2][:10].encode()

    def add(self, connection: Transaction, count: int) -> None:
        """So many copies at the end of the ledger, in the caller's transaction."""
        head = ledger.lock_head(connection, self._project)
        frontier, seq = list(head.frontier), head.seq
        events: list[dict[str, Any]] = []
        others: list[list[dict[str, Any]]] = [[] for _ in self._others]
        for _ in range(count):
            filled = self._filled(seq)
            for at, nonce in enumerate(self._nonces):
                event = self._event(at, nonce, filled)
                frontier = extend(frontier, seq, event["leaf"])
                seq += 1
                events.append(event)
            for rows, (_, row) in zip(others, self._others, strict=True):
                rows.append(row(filled))
        self._append.run(connection, events)
        for rows, (statement, _) in zip(others, self._others, strict=True):
            statement.run(connection, rows)
        _set_head(connection, self._project, Head(seq, max(head.at, self._at), tuple(frontier)))

    def _filled(self, seq: int) -> Gaps:
        """What stands in the gaps of one copy. The ids are in the order of time, as real ones are."""
        filled = {b"id%d" % at: b"%s%s%016d" % (kind, self._prefix, seq) for at, kind in enumerate(self._kinds)}
        for at in range(len(self._events)):
            filled[b"event%d" % at] = b"evt_%s%016d" % (self._prefix, seq + at)
            filled[b"seq%d" % at] = b"%d" % (seq + at + 1)
            filled[b"once%d" % at] = os.urandom(32).hex().encode()
        return filled

    def _event(self, at: int, nonce: bytes, filled: Gaps) -> dict[str, Any]:
        row = self._events[at]
        filled[b"digest%d" % at] = payload_digest(nonce, row.value("payload", filled)).encode()
        event = row(filled)
        event["leaf"] = leaf_hash(event["envelope"])
        return event

    def _row(self, row: Mapping[str, Any]) -> "_Row":
        forms = {name: _form(value, self._gaps) for name, value in row.items()}
        changing = {name: form for name, form in forms.items() if form is not None}
        return _Row({name: value for name, value in row.items() if name not in changing}, changing)


@dataclass(frozen=True, slots=True)
class _Row:
    """What is the same in every copy, and how the rest is made."""

    same: Mapping[str, Any]
    changing: Mapping[str, Form]

    def value(self, name: str, filled: Gaps) -> Any:
        return self.changing[name](filled) if name in self.changing else self.same[name]

    def __call__(self, filled: Gaps) -> dict[str, Any]:
        return {**self.same, **{name: form(filled) for name, form in self.changing.items()}}


def _gaps(specimen: _Specimen) -> dict[bytes, bytes]:
    """Texts of the specimen that are others in each copy, and the names of the gaps that they leave."""
    gaps = {subject.encode(): b"id%d" % at for at, subject in enumerate(specimen.subjects)}
    for at, event in enumerate(specimen.events):
        gaps[event["id"].encode()] = b"event%d" % at
        gaps[str(event["seq"]).encode()] = b"seq%d" % at
        gaps[payload_digest(event["payload_nonce"], event["payload"]).encode()] = b"digest%d" % at
    keys = [row["key"] for table, row in specimen.others if table is ONCE]
    return gaps | {key.hex().encode(): b"once%d" % at for at, key in enumerate(keys)}


def _form(value: Any, gaps: Mapping[bytes, bytes]) -> Form | None:
    """How a value of the specimen is made in a copy; None where it is the same."""
    if isinstance(value, int):
        return _gap(gaps.get(str(value).encode()), int)
    if isinstance(value, str):
        made = _form(value.encode(), gaps)
        return None if made is None else lambda filled: made(filled).decode()
    if not isinstance(value, bytes):
        return None
    return _gap(gaps.get(value.hex().encode()), lambda text: bytes.fromhex(text.decode())) or _pattern(value, gaps)


def _gap(name: bytes | None, read: Callable[[bytes], Any]) -> Form | None:
    """A value that is one gap and nothing else."""
    return None if name is None else lambda filled: read(filled[name])


def _pattern(value: bytes, gaps: Mapping[bytes, bytes]) -> Form | None:
    plain = value.replace(b"%", b"%%")
    pattern = plain
    for text, name in gaps.items():
        pattern = pattern.replace(text, b"%%(%s)b" % name)
    return None if pattern == plain else lambda filled: pattern % filled
