"""What an operator does before the first start, done in this process: a project, its people and their keys."""

import asyncio
from typing import Final, NamedTuple

from signoff_server.app import open_server
from signoff_server.core.events import SYSTEM
from signoff_server.service.principals import Principals
from signoff_server.settings import load
from signoff_server.world import World

_REVIEWS: Final = ("approvals:decide", "audit:read", "admin")


class Keys(NamedTuple):
    """`app` may ask and redeem, `reviewer` decide and administer."""

    app: str
    reviewer: str


def set_up(database: str) -> Keys:
    """For a database that no server has open."""
    server = open_server(load({"database": database}, {}), World())
    try:
        return asyncio.run(_people(server.principals))
    finally:
        server.database.close()


async def _people(people: Principals) -> Keys:
    project = await people.project("default")
    app = await people.create(project, SYSTEM, name="app", kind="service", role="member", owner=None)
    reviewer = await people.create(project, SYSTEM, name="reviewer", kind="human", role="admin", owner=None)
    asks = await people.issue(project, SYSTEM, principal=app.id, scopes=("approvals:create",))
    decides = await people.issue(project, SYSTEM, principal=reviewer.id, scopes=_REVIEWS)
    return Keys(asks.text, decides.text)
