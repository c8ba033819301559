"""A server in this process, with principals and keys of every sort, spoken to over its real HTTP surface."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.testclient import TestClient

from signoff_server.app import build, open_server
from signoff_server.core import sign_in
from signoff_server.core.events import SYSTEM
from signoff_server.settings import Settings
from signoff_server.store import accounts
from signoff_server.web.server import Server
from tests.support.databases import Databases
from tests.support.world import StillWorld

# name -> (kind, role, scopes)
CAST: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "app": ("service", "member", ("approvals:create",)),
    "other-app": ("service", "member", ("approvals:create",)),
    "agent": ("agent", "member", ("approvals:create",)),
    "executor": ("service", "member", ("approvals:redeem",)),
    "worker": ("service", "member", ("work",)),
    "starter": ("service", "member", ("executions:write", "workflows:write")),
    "robot": ("agent", "member", ("approvals:decide",)),
    "alice": ("human", "reviewer", ("approvals:decide",)),
    "bob": ("human", "reviewer", ("approvals:decide",)),
    "auditor": ("human", "auditor", ("audit:read",)),
    "admin": ("human", "admin", ("admin",)),
}

# Id of a project; ids and keys of its principals by their name.
Cast = tuple[str, dict[str, str], dict[str, str]]
_MADE: dict[str, tuple[Any, tuple[Cast, Cast]]] = {}


@dataclass
class Project:
    """One project: `ids` and `keys` by name of the cast."""

    server: Server
    world: StillWorld
    client: TestClient
    database: str
    id: str
    ids: dict[str, str]
    keys: dict[str, str]

    def call(self, who: str | None, method: str, path: str, **options: Any) -> Any:
        """One request by one of the cast."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.keys[who]}"
        if (key := options.pop("key", None)) is not None:
            headers["Idempotency-Key"] = key
        return self.client.request(method, path, headers=headers, **options)

    def ask(self, who: str = "app", *, key: str | None = None, **body: Any) -> dict[str, Any]:
        """A pending approval."""
        reply = self.call(who, "POST", "/v1/approvals", json={"name": "payments.wire", **body}, key=key)
        assert reply.status_code in (200, 201), reply.text
        found: dict[str, Any] = reply.json()
        return found

    def decide(self, approval: str, decision: str = "approved", who: str = "alice", **body: Any) -> Any:
        body = {"decision": decision, **({"reason": "no"} if decision == "rejected" else {}), **body}
        return self.call(who, "POST", f"/v1/approvals/{approval}/decision", json=body)

    def approved(self, **body: Any) -> dict[str, Any]:
        asked = self.ask(**body)
        found: dict[str, Any] = self.decide(asked["id"]).json()
        return found

    def redeem(self, approval: dict[str, Any], redeemer: str = "r1", who: str = "app") -> Any:
        body = {"binding": approval["binding"], "redeemer": redeemer}
        return self.call(who, "POST", f"/v1/approvals/{approval['id']}/redeem", json=body)

    def get(self, approval: str, who: str = "alice") -> dict[str, Any]:
        found: dict[str, Any] = self.call(who, "GET", f"/v1/approvals/{approval}").json()
        return found


@contextmanager
def running(databases: Databases, *, hints: bool = True, **settings: Any) -> Iterator[tuple[Project, Project]]:
    """Two projects of the same cast on one server, in a database of their own."""
    content, casts = cast(databases)
    with databases.ready(content) as database, serving(database, casts, hints=hints, **settings) as both:
        yield both


@contextmanager
def serving(
    database: str, casts: tuple[Cast, Cast], *, hints: bool = True, **settings: Any
) -> Iterator[tuple[Project, Project]]:
    """On a database that has the content of this cast."""
    world = StillWorld()
    server = open_server(_settings(database, **settings), world)
    with TestClient(build(server, hints=hints)) as client:
        first, second = (
            Project(server, world, client, database, project, dict(ids), dict(keys)) for project, ids, keys in casts
        )
        yield first, second


def _settings(database: str, **more: Any) -> Settings:
    given = {"database": database, "environment": "test", "allowed_hosts": ("testserver",)}
    return Settings.model_validate(given | more)


def cast(databases: Databases) -> tuple[Any, tuple[Cast, Cast]]:
    """A database's content with two casts, made once: half a hundred commits are much for each test."""
    if databases.kind not in _MADE:
        with databases.ready() as database:
            server = open_server(_settings(database), StillWorld())
            first, second = (asyncio.run(hire(server, name)) for name in ("one", "two"))
            server.database.close()
            _MADE[databases.kind] = databases.taken(database), (first, second)
    return _MADE[databases.kind]


async def hire(server: Server, name: str) -> Cast:
    """A project of this name with a cast of its own."""
    project = await server.principals.project(name)
    ids, keys = {}, {}
    for who, (kind, role, scopes) in CAST.items():
        made = await server.principals.create(project, SYSTEM, name=who, kind=kind, role=role, owner=None)
        issued = await server.principals.issue(project, SYSTEM, principal=made.id, scopes=scopes)
        ids[who], keys[who] = made.id, issued.text
        if role in sign_in.SCOPES:
            # Without an event, so that the ledger begins with principals and keys.
            await server.database.write(accounts.open_account, project, made.id, server.world.now())
    return project, ids, keys
