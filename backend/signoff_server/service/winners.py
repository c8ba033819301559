"""Whoever comes too late is told who was faster, by name: it is looked up when somebody lost, and not before."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from signoff_server.core.refusals import Refusal
from signoff_server.store import principals
from signoff_server.store.database import Database

T = TypeVar("T")


async def told(database: Database, doing: Awaitable[T]) -> T:
    """What comes of it; where it is refused, the loser is told the name of whoever won."""
    try:
        return await doing
    except Refusal as refusal:
        await name(database, [refusal])
        raise


async def name(database: Database, refusals: Sequence[Refusal]) -> None:
    """Put the names of the winners into the states that stand."""
    winners = [refusal.current.get("decided_by") for refusal in refusals if refusal.current]
    known = [winner for winner in winners if winner is not None]
    ids = {winner["id"] for winner in known if winner["id"] is not None}
    found = await database.read(principals.names, ids) if ids else {}
    for winner in known:
        winner["name"] = found.get(winner["id"])
