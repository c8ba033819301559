"""Make everything that is derived from the ledger again, and check the ledger on the way."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete

from signoff.protocol.proof import extend, leaf_hash, payload_digest
from signoff_server.core.events import Payload
from signoff_server.service.execute import evolve, follow
from signoff_server.store import codec, ledger
from signoff_server.store.codec import State
from signoff_server.store.ledger import Change
from signoff_server.store.tables import DERIVED


class LedgerDamaged(Exception):
    """The events are not what was recorded; the text names the first place."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    project: str
    events: int


def rebuild(connection: Connection, now: int) -> list[Rebuilt]:
    """Empty every derived table and fill it from the events, in the caller's transaction. Raises `LedgerDamaged`.

    The agenda too is made again, with one fresh lease for each open redemption: nobody loses a lease to a rebuild.
    """
    return [_rebuild_project(connection, project, now) for project in sorted(ledger.projects(connection))]


def _rebuild_project(connection: Connection, project: str, now: int) -> Rebuilt:
    # Locked first: what a server that still runs records comes before all of this or after it.
    head = ledger.lock_head(connection, project)
    for table in DERIVED:
        connection.execute(delete(table).where(table.c.project == project))
    states: dict[str, State] = {}
    frontier: list[bytes] = []
    seq = 0
    while rows := ledger.whole(connection, project, seq):
        changes: list[Change] = []
        for envelope, payload, nonce, leaf in rows:
            try:
                change = _change(envelope, payload, nonce, leaf, seq + 1, states)
            except (ValueError, KeyError, TypeError) as error:
                raise LedgerDamaged(f"{project}: event {seq + 1} cannot be read") from error
            states[change.event.subject] = change.state
            frontier = extend(frontier, seq, leaf)
            seq += 1
            changes.append(change)
        ledger.save_states(connection, project, changes)
        ledger.take_once(connection, project, changes)
        follow(connection, project, changes, now)
    if (seq, tuple(frontier)) != (head.seq, head.frontier):
        raise LedgerDamaged(f"{project}: {seq} events do not lead to the head that was kept, which counts {head.seq}")
    return Rebuilt(project, seq)


def _change(
    envelope: bytes, payload: bytes | None, nonce: bytes | None, leaf: bytes, seq: int, states: dict[str, State]
) -> Change:
    if leaf_hash(envelope) != leaf:
        raise LedgerDamaged(f"event {seq} is not the one that was recorded")
    event = codec.decode(envelope)
    if event.seq != seq:
        raise LedgerDamaged(f"event {seq} is missing")
    if payload is not None and payload_digest(nonce or b"", payload) != event.payload_digest:
        raise LedgerDamaged(f"the payload of event {seq} is not the one that was recorded")
    index = codec.index(codec.unseal(payload) or {})
    state = evolve(states.get(event.subject), event)
    return Change(event, Payload(payload or b"{}", nonce or b"", event.payload_digest, index), state)
