"""What an operator does before the first start, done in this process: a project, its people and their keys."""

import asyncio
from typing import Final, NamedTuple

from signoff_server.app import open_server
from signoff_server.core.events import SYSTEM
from signoff_server.service.principals import Principals
from signoff_server.settings import load
from signoff_server.world import World

_ASKS: Final = ("approvals:create", "executions:write", "workflows:write")
_REVIEWS: Final = ("approvals:decide", "audit:read", "admin")


class Keys(NamedTuple):
    """`app` may ask and redeem, and start runs; `reviewer` decide and administer; `worker` do the work of runs."""

    app: str
    reviewer: str
    worker: str


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
    worker = await people.create(project, SYSTEM, name="worker", kind="service", role="member", owner=None)
    asks = await people.issue(project, SYSTEM, principal=app.id, scopes=_ASKS)
    decides = await people.issue(project, SYSTEM, principal=reviewer.id, scopes=_REVIEWS)
    works = await people.issue(project, SYSTEM, principal=worker.id, scopes=("work",))
    return Keys(asks.text, decides.text, works.text)
