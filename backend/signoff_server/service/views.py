"""Approvals as they are shown, from what was just committed where that is at hand.

A payload and a name never change once they are recorded, so those that are kept cannot be wrong, only missing; what is
missing is read. Of states only the last one that closed an approval is kept: nothing leads back from there, and whoever
waits wants to know no more.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from signoff_server.core.approval_state import Approval
from signoff_server.service.kept import Kept
from signoff_server.store import approvals, codec, ledger, principals
from signoff_server.store.approvals import ApprovalView
from signoff_server.store.database import Committed, Database

# A payload that is larger than this many bytes is rather read again.
_LARGE: Final = 8 * 1024


class Views:
    """Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._payloads: Kept[tuple[str, int], bytes] = Kept()
        self._names: Kept[str, str] = Kept()
        self._closed: Kept[tuple[str, str], Approval] = Kept()

    def keep(self, committed: Committed) -> None:
        """Remember what was committed; to be called before anybody is woken for it."""
        for change in committed.changes:
            state, event = change.state, change.event
            if not isinstance(state, Approval):
                continue
            if len(change.payload.body) <= _LARGE:
                self._payloads.put((committed.project, event.seq), change.payload.body)
            if state.closed_seq == event.seq:
                self._closed.put((committed.project, state.id), state)
            else:
                # It was redeemed or more: how it closed is not how it is.
                self._closed.drop((committed.project, state.id))

    def closed(self, project: str, approval: str) -> Approval | None:
        """The approval as it was when it left `pending`, where this process saw that lately and nothing since.

        For whoever saw it pending and was woken: another process may have gone on with it meanwhile.
        """
        return self._closed.get((project, approval))

    async def of(self, project: str, state: Approval, lease_until: int | None = None) -> ApprovalView:
        """The view of an approval in this state."""
        (view,) = await self.of_each(project, ((state, lease_until),))
        return view

    async def of_each(self, project: str, left: Sequence[tuple[Approval, int | None]]) -> list[ApprovalView]:
        """The views of approvals in these states, each with the end of its lease; what is missing is read at once."""
        payloads = {seq: self._payloads.get((project, seq)) for state, _ in left for seq in approvals.seqs(state)}
        names = {who: self._names.get(who) for state, _ in left for who in approvals.people(state)}
        unread = [seq for seq, body in payloads.items() if body is None]
        unnamed = [who for who, name in names.items() if name is None]
        said: dict[int, dict[str, Any] | None] = {
            seq: codec.unseal(body) for seq, body in payloads.items() if body is not None
        }
        found = {who: name for who, name in names.items() if name is not None}
        if unread or unnamed:
            read, named = await self._database.read(_missing, project, unread, unnamed)
            said |= read
            found |= named
            for who, name in named.items():
                self._names.put(who, name)
        return [ApprovalView(project, state, said[state.requested_seq], said, found, until) for state, until in left]


def _missing(
    connection: Connection, project: str, seqs: Iterable[int], people: Iterable[str]
) -> tuple[dict[int, dict[str, Any] | None], dict[str, str]]:
    return ledger.payloads(connection, project, seqs), principals.names(connection, people)
