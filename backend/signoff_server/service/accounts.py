"""Stand-in, to be replaced whole."""

import base64
from dataclasses import dataclass

from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.store import principals
from signoff_server.store.database import Database
from signoff_server.world import World

SCOPES = {
    "reviewer": ("approvals:decide",),
    "auditor": ("audit:read",),
    "admin": ("approvals:decide", "audit:read", "admin"),
}


@dataclass(frozen=True, slots=True)
class SignedIn:
    token: str
    session: str
    ends_at: int


@dataclass(frozen=True, slots=True)
class Link:
    token: str
    purpose: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class LinkView:
    purpose: str
    project: str
    principal: str
    name: str
    expires_at: int


class Accounts:
    def __init__(self, database: Database, world: World) -> None:
        self.database, self.world = database, world
        self.links: dict[str, tuple[str, str]] = {}
        self.sessions: dict[str, tuple[str, str]] = {}

    async def sign_in(self, project: str, name: str, password: str, network: str) -> SignedIn:
        raise Refusal("unauthenticated", "No.")

    async def link(self, token: str) -> LinkView | None:
        if token not in self.links:
            return None
        project, principal = self.links[token]
        view = await self.database.read(principals.by_id, project, principal)
        assert view
        return LinkView("sign_in", project, principal, view.name, self.world.now() + 600_000)

    async def exchange(self, token: str) -> SignedIn:
        if token not in self.links:
            raise Refusal("unauthenticated", "This link was used, or its time is over.")
        new = self._new()
        self.sessions[new] = self.links.pop(token)
        return SignedIn(new, self.world.new_id("ses"), self.world.now() + 12 * 3_600_000)

    async def set_password(self, token: str, password: str) -> SignedIn:
        return await self.exchange(token)

    async def caller(self, token: str, *, touch: bool) -> Caller:
        if token not in self.sessions:
            raise Refusal("unauthenticated", "Sign in.")
        project, principal = self.sessions[token]
        view = await self.database.read(principals.by_id, project, principal)
        assert view
        scopes = frozenset(SCOPES.get(view.role, ()))
        return Caller(project, principal, view.name, view.kind, None, scopes, f"ses_{token[:8]}", "dashboard")

    async def sign_out(self, token: str) -> None:
        self.sessions.pop(token, None)

    async def sign_in_link(self, project: str, principal: str) -> Link:
        new = self._new()
        self.links[new] = (project, principal)
        return Link(new, "sign_in", self.world.now() + 600_000)

    def _new(self) -> str:
        return base64.urlsafe_b64encode(self.world.random(32)).decode().rstrip("=")
