"""Registering workflows and setting the project's policy. Neither runs anything or reaches anything."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from signoff_server.core import definitions
from signoff_server.core import workflows as core
from signoff_server.core.definitions import DefinitionInvalid
from signoff_server.core.graph import Definition, Tool
from signoff_server.core.policies import NO_POLICY, Policy, Verdict, judge
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.service.definitions import definition
from signoff_server.service.execute import Execute, Unit
from signoff_server.store import codec, workflows
from signoff_server.store.database import Database
from signoff_server.store.workflows import PolicyView, WorkflowView
from signoff_server.world import World

_BUILD: Final = 8


@dataclass(frozen=True, slots=True)
class Registered:
    workflow_id: str
    version: str
    digest: str
    created: bool


class Workflows:
    """Every method acts for a `Caller` in their project, and raises `Refusal`."""

    def __init__(self, database: Database, execute: Execute, world: World) -> None:
        self._database = database
        self._execute = execute
        self._world = world

    async def register(self, caller: Caller, source: bytes, *, build: bool) -> list[Registered]:
        """The workflows of a file: new versions of them, or those that these very bytes registered before."""
        found = await self.validate(source)
        digest = digest_of(source)

        def plan(unit: Unit) -> list[Registered]:
            return [_register(unit, one, digest) for one in found]

        def _register(unit: Unit, one: Definition, digest: str) -> Registered:
            version = _free_version(unit, one, digest, build=build)
            known = workflows.version(unit.connection, unit.project, one.id, version)
            if known is None:
                said = {"source": source.decode(), "description": one.description}
                payload = codec.seal(said, self._world.random(32))
                unit.record(self._world.new_id("wfl"), caller.actor, [core.register(one.id, version, digest, payload)])
            return Registered(one.id, version, digest, known is None)

        return await self._execute(caller.project, plan)

    async def validate(self, source: bytes) -> list[Definition]:
        """The workflows of a file, and every fault in it at once."""
        try:
            return await asyncio.to_thread(definitions.read, source)
        except DefinitionInvalid as invalid:
            raise _invalid(invalid) from invalid

    async def get(self, caller: Caller, workflow_id: str, version: str | None) -> tuple[WorkflowView, Definition]:
        def look(connection: Connection) -> tuple[WorkflowView, Definition]:
            view = workflows.view(connection, caller.project, workflow_id, version)
            if view is None:
                raise Refusal("not_found", "There is no such workflow, or no such version of it.")
            return view, definition(connection, caller.project, view.state.id)

        return await self._database.read(look)

    async def search(
        self, caller: Caller, workflow_id: str | None, limit: int, before: int | None
    ) -> tuple[list[WorkflowView], int | None]:
        return await self._database.read(workflows.search, caller.project, workflow_id, limit, before)

    # ------------------------------------------------------------ the project's policy

    async def policy(self, caller: Caller) -> PolicyView:
        return await self._database.read(workflows.policy, caller.project)

    async def set_policy(self, caller: Caller, source: bytes, *, seen: int | None = None) -> PolicyView:
        """Replace the policy as a whole. Runs that have begun keep theirs. With `seen`, the number of the event that
        made the policy which was looked at (0: there was none), no other one is replaced.
        """
        try:
            wanted = await asyncio.to_thread(definitions.read_policy, source)
        except DefinitionInvalid as invalid:
            raise _invalid(invalid) from invalid

        def plan(unit: Unit) -> None:
            state = unit.state(unit.project)
            if seen is not None and seen != (state.seq if isinstance(state, core.ProjectPolicy) else 0):
                raise Refusal("view_stale", "Somebody changed the policy meanwhile: look at it as it is now.")
            if core.policy_of(state) != wanted:
                unit.record(unit.project, caller.actor, [core.change(wanted)])

        await self._execute(caller.project, plan, subjects=(caller.project,))
        return await self.policy(caller)

    async def judge(self, caller: Caller, name: str, source: str | None, node: str | None) -> Verdict:
        """What would become of a name, in a workflow and at a node of it where they are given."""
        scopes: list[tuple[str, Policy]] = [("project", core.policy_of((await self.policy(caller)).state))]
        if source is not None:
            scopes += _scopes(await self.validate(source.encode()), node)
        elif node is not None:
            raise Refusal("invalid", "A node is one of a workflow.", errors=[("/workflow", "missing beside node_id")])
        return judge(scopes, name)


def _scopes(found: list[Definition], node: str | None) -> list[tuple[str, Policy]]:
    (only,) = found[:1]
    if node is None:
        return [("workflow", only.policy)]
    at = only.nodes.get(node)
    if at is None:
        raise Refusal("invalid", "The workflow has no such node.", errors=[("/node_id", "no node of the workflow")])
    return [("workflow", only.policy), ("node", at.policy if isinstance(at, Tool) else NO_POLICY)]


def _free_version(unit: Unit, one: Definition, digest: str, *, build: bool) -> str:
    known = workflows.version(unit.connection, unit.project, one.id, one.version)
    if known is None or known[1] == digest:
        return one.version
    if not build:
        told = f"{one.id} {one.version} is registered with another content: give it the next version."
        raise Refusal(
            "version_exists", told, current={"workflow_id": one.id, "version": one.version, "digest": known[1]}
        )
    # Semantic Versioning, section 10: what stands after the plus tells builds of one version apart.
    return f"{one.version}{'.' if '+' in one.version else '+'}{digest.removeprefix('sha256:')[:_BUILD]}"


def digest_of(source: bytes) -> str:
    return f"sha256:{hashlib.sha256(source).hexdigest()}"


def _invalid(invalid: DefinitionInvalid) -> Refusal:
    errors = [(fault.pointer, f"line {fault.line}, column {fault.column}: {fault.message}") for fault in invalid.faults]
    return Refusal("workflow_invalid", "The file is not valid; nothing was stored.", errors=errors)
