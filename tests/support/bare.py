"""A server's services with nobody who does anything by itself: no requests, no runner, no wake-ups."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from signoff_server.app import open_server
from signoff_server.core.approval_state import Approval
from signoff_server.core.execution_state import Execution
from signoff_server.core.principals import Caller
from signoff_server.service.work import Ask, Handed
from signoff_server.settings import Settings
from signoff_server.store import ledger
from signoff_server.store.tables import SNAPSHOTS
from signoff_server.web.server import Server
from tests.support.databases import Databases
from tests.support.project import CAST, Cast, cast
from tests.support.world import StillWorld


@dataclass(frozen=True)
class Bare:
    """One project of it. The methods that wait are called within one event loop."""

    server: Server
    world: StillWorld
    project: str
    ids: dict[str, str]

    def caller(self, who: str) -> Caller:
        kind, _, scopes = CAST[who]
        return Caller(self.project, self.ids[who], who, kind, None, frozenset(scopes), "key_test")

    async def start(self, source: str, given: dict[str, Any] | None = None, *, key: str | None = None) -> str:
        """A run of the only workflow of `source`."""
        (made,) = await self.server.workflows.register(self.caller("starter"), source.encode(), build=False)
        return await self.again(made.workflow_id, given, key=key)

    async def again(self, workflow: str, given: dict[str, Any] | None = None, *, key: str | None = None) -> str:
        """A run of a workflow that is registered."""
        caller = self.caller("starter")
        started = await self.server.executions.start(caller, workflow, None, given or {}, traceparent=None, key=key)
        return started.view.state.id

    async def advance(self, execution: str) -> None:
        await self.server.executions.advance(self.project, execution)

    async def lease(self, *tools: str, most: int = 1, idempotent: bool = False) -> list[Handed]:
        ask = Ask(self.world.new_id("req"), dict.fromkeys(tools, idempotent), "w1", most)
        return await self.server.work.lease(self.caller("worker"), ask)

    async def report(self, handed: Handed, outcome: str = "completed", **data: Any) -> str:
        said = {"output": data} if outcome == "completed" else {"message": "no"}
        return await self.server.work.report(self.caller("worker"), handed.item, handed.visit.fence, outcome, said)

    async def approve(self, execution: str, decision: str = "approved", node: str | None = None) -> Any:
        return await self.server.executions.approve(
            self.caller("alice"), execution, decision, node=node, comment="because", approval=None, key=None
        )

    async def cancel(self, execution: str) -> Any:
        return await self.server.executions.cancel(self.caller("starter"), execution, reason=None, key=None)

    async def state(self, execution: str) -> Execution:
        streams = await self.server.database.read(ledger.load, self.project, [execution])
        found = streams[execution].state
        assert isinstance(found, Execution)
        return found

    def everything(self) -> tuple[list[Execution], list[Approval]]:
        """All runs and all approvals, as their snapshots say."""
        with self.server.database.engines.reader.connect() as connection:
            subjects = list(connection.execute(SNAPSHOTS.select().with_only_columns(SNAPSHOTS.c.subject)).scalars())
            states = [stream.state for stream in ledger.load(connection, self.project, subjects).values()]
        runs = [state for state in states if isinstance(state, Execution)]
        return runs, [state for state in states if isinstance(state, Approval)]


@contextmanager
def bare(databases: Databases) -> Iterator[Bare]:
    content, (first, _) = cast(databases)
    with databases.ready(content) as database, bare_on(database, first) as made:
        yield made


@contextmanager
def bare_on(database: str, ours: Cast) -> Iterator[Bare]:
    """On a database that has the content of this cast."""
    world = StillWorld()
    given = {"database": database, "environment": "test", "allowed_hosts": ("testserver",)}
    server = open_server(Settings.model_validate(given), world)
    try:
        yield Bare(server, world, ours[0], dict(ours[1]))
    finally:
        server.database.close()
