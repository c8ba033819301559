"""Who may act: principals and their keys."""

import hmac
from dataclasses import dataclass

from signoff_server.core import keys
from signoff_server.core import principals as core
from signoff_server.core.events import SYSTEM, Actor
from signoff_server.core.principals import Caller, Key, Principal
from signoff_server.core.refusals import Refusal
from signoff_server.service.execute import Execute, Unit
from signoff_server.store import codec, ledger, principals
from signoff_server.store.database import Database
from signoff_server.store.principals import KeyView, PrincipalView
from signoff_server.world import World


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key: `text` exists here and with whoever is told, and nowhere else."""

    view: KeyView
    text: str


class Principals:
    """Methods raise `Refusal`."""

    def __init__(self, database: Database, execute: Execute, world: World, environment: str) -> None:
        self._database = database
        self._execute = execute
        self._world = world
        self._environment = environment

    async def project(self, name: str) -> str:
        """The id of the project with this name; made where there is none."""
        found = await self._database.read(ledger.project_named, name)
        if found is None:
            await self._database.write(ledger.create_project, self._world.new_id("prj"), name, self._world.now())
            found = await self._database.read(ledger.project_named, name)
            assert found is not None
        return found

    async def create(
        self, project: str, actor: Actor, *, name: str, kind: str, role: str, owner: str | None
    ) -> PrincipalView:
        """A new principal. Its name is taken for good, whatever its case."""
        principal = self._world.new_id("prn")
        payload = codec.seal({"name": name}, self._world.random(32))

        def plan(unit: Unit) -> None:
            if principals.by_names(unit.connection, project, [name]):
                raise Refusal("name_taken", f"There is a principal named {name} (names ignore case).")
            owning = principals.by_id(unit.connection, project, owner) if owner else None
            command = core.Create(actor, payload, kind, role, owner, owning.kind if owning else None)
            unit.record(principal, actor, core.create(command))

        await self._execute(project, plan)
        view = await self._database.read(principals.by_id, project, principal)
        assert view is not None
        return view

    async def issue(
        self, project: str, actor: Actor, *, principal: str, scopes: tuple[str, ...], expires_in: int | None = None
    ) -> Issued:
        """A new key. Its text is in the answer and is never stored. `expires_in` is in seconds."""
        key = self._world.new_id("key")
        text = keys.make(self._environment, key, self._world.random(32))
        payload = codec.seal({"digest": keys.digest(text)}, self._world.random(32))
        lifetime = None if expires_in is None else expires_in * 1000

        def plan(unit: Unit) -> None:
            holder = unit.state(principal)
            held = holder if isinstance(holder, Principal) else None
            command = core.Issue(actor, payload, held, self._environment, scopes, lifetime)
            unit.record(key, actor, core.issue(command, unit.now))

        await self._execute(project, plan, subjects=(principal,))
        view = await self._database.read(principals.key, key)
        assert view is not None
        return Issued(view, text)

    async def revoke(self, caller: Caller, key: str) -> None:
        """End a key of the caller's project; a key that was ended stays so."""
        payload = codec.seal({}, self._world.random(32))

        def plan(unit: Unit) -> None:
            state = unit.state(key)
            command = core.Revoke(caller.actor, payload)
            unit.record(key, caller.actor, core.revoke(state if isinstance(state, Key) else None, command))

        await self._execute(caller.project, plan, subjects=(key,))

    async def list_principals(
        self, project: str, limit: int, before: int | None
    ) -> tuple[list[PrincipalView], int | None]:
        return await self._database.read(principals.list_principals, project, limit, before)

    async def list_keys(self, project: str, limit: int, before: int | None) -> tuple[list[KeyView], int | None]:
        return await self._database.read(principals.list_keys, project, limit, before)

    async def named(self, project: str, name: str) -> PrincipalView | None:
        found = await self._database.read(principals.by_names, project, [name])
        return found.get(name.casefold())

    async def holder(self, text: str) -> KeyView | None:
        """The key with this text, where it stands; None for any other text."""
        parsed = keys.parse(text)
        view = None if parsed is None else await self._database.read(principals.key, parsed.id)
        if view is None or not stands(view, text, self._world.now()):
            return None
        return view

    async def ensure(self, project: str, *, name: str, kind: str, role: str) -> PrincipalView:
        """The principal with this name, made by the system where there is none."""
        found = await self.named(project, name)
        return found or await self.create(project, SYSTEM, name=name, kind=kind, role=role, owner=None)


def stands(view: KeyView, text: str, now: int) -> bool:
    """Whether `text` is this key, and the key neither revoked nor expired."""
    same = hmac.compare_digest(view.digest, keys.digest(text))
    return same and core.stands(expires_at=view.expires_at, revoked_at=view.revoked_at, now=now)
