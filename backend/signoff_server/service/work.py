"""Work items: handed out, held, reported. Nothing leaves here that its policy or its approval does not let pass."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from signoff.protocol import canonical
from signoff_server.core import executions as core
from signoff_server.core.approval_state import Approval
from signoff_server.core.events import SYSTEM
from signoff_server.core.execution_state import Execution, Visit
from signoff_server.core.policies import judge
from signoff_server.core.principals import Caller
from signoff_server.core.reactions import work_queue
from signoff_server.core.refusals import Refusal
from signoff_server.service import keyed
from signoff_server.service.definitions import definition, project_policy
from signoff_server.service.execute import Execute, Unit
from signoff_server.service.kept import Kept
from signoff_server.service.steps import policies
from signoff_server.store import agenda, codec, executions, ledger
from signoff_server.store.database import Database
from signoff_server.store.executions import Item
from signoff_server.world import World


@dataclass(frozen=True, slots=True)
class Ask:
    """What a worker asks for: `tools` maps what it offers to whether that is idempotent."""

    request: str
    tools: Mapping[str, bool]
    worker: str | None
    most: int


@dataclass(frozen=True, slots=True)
class Handed:
    """One attempt, with its input."""

    item: str
    state: Execution
    visit: Visit
    input: dict[str, Any]
    lease_until: int
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class _Content:
    """What an item of `state`, at `visit`, holds; `wrong` says why it must not be handed out."""

    state: Execution
    visit: Visit
    input: dict[str, Any]
    traceparent: str | None
    wrong: str | None = None


@dataclass(frozen=True, slots=True)
class _Streams:
    """Those that a command about an item is going to ask for: its run, and its approval where it is gated."""

    execution: str
    approval: str | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.execution,) if self.approval is None else (self.execution, self.approval)


class Work:
    """Every method acts for a `Caller` in their project, and raises `Refusal`."""

    def __init__(self, database: Database, execute: Execute, world: World) -> None:
        self._database = database
        self._execute = execute
        self._world = world
        # By project and item. An item never goes to another run.
        self._streams: Kept[tuple[str, str], _Streams] = Kept()

    # ------------------------------------------------------------ handing out

    async def lease(self, caller: Caller, ask: Ask) -> list[Handed]:
        """Items for this ask, if there are any; the same ask gets the same items while their leases stand."""
        request = keyed.digest("lease", caller.project, caller.id, ask.request).hex()
        again, is_due = await self._database.read(self._look, caller.project, request, tuple(ask.tools))
        if again or not is_due:
            return again
        queues = [work_queue(caller.project, tool) for tool in ask.tools]
        claimed = await self._database.write(agenda.claim, queues, self._world.now(), ask.most)
        # Nothing of the claim is told before `node.started` is on disk; what dies here falls due again.
        self._world.failpoint("work.after_claim")
        contents = await self._database.read(_contents, caller.project, [due.subject for due in claimed])
        taking = (self._take(caller, ask, request, content) for content in contents)
        handed = await asyncio.gather(*taking)
        return [each for each in handed if each is not None]

    def _look(
        self, connection: Connection, project: str, request: str, tools: Sequence[str]
    ) -> tuple[list[Handed], bool]:
        known = executions.asked_for(connection, project, request)
        if known:
            # One that is over may lie there a moment longer, until the agenda comes to it.
            now = self._world.now()
            standing = {item: until for item, until in agenda.leases(connection, known).items() if until > now}
            found = executions.items(connection, standing)
            return _handed_before(connection, project, found, standing), False
        return [], agenda.any_due(connection, [work_queue(project, tool) for tool in tools], self._world.now())

    async def _take(self, caller: Caller, ask: Ask, request: str, content: _Content) -> Handed | None:
        id_, execution = content.visit.item or "", content.state.id
        streams = _Streams(execution, content.visit.approval)
        self._streams.put((caller.project, id_), streams)

        def plan(unit: Unit) -> Handed | None:
            if content.wrong is not None:
                unit.decide(execution, core.Withhold(id_, content.wrong), SYSTEM)
                return None
            state = unit.state(execution)
            visit = state.of_item(id_) if isinstance(state, Execution) else None
            idempotent = visit is not None and ask.tools.get(visit.tool or "", False)
            unit.decide(execution, core.Take(id_, idempotent, ask.worker, request), caller.actor)
            state = unit.state(execution)
            assert isinstance(state, Execution)
            visit = state.of_item(id_)
            if visit is None or visit.status != "running":
                return None
            return Handed(id_, state, visit, content.input, unit.now + core.LEASE, content.traceparent)

        try:
            return await self._execute(caller.project, plan, subjects=streams.subjects)
        except Refusal as refusal:
            if refusal.code != "stale_fence":
                raise
            return None

    # ------------------------------------------------------------ holding and reporting

    async def heartbeat(self, caller: Caller, item: str, fence: int) -> tuple[int, bool]:
        """Hold the lease on; answers until when, and whether the run is over."""
        found = await self._item(caller, item)
        until = self._world.now() + core.LEASE
        if not await self._database.write(agenda.renew, item, fence, until):
            raise Refusal("stale_fence", "This fence no longer holds the lease.")
        self._world.failpoint("work.after_renew")
        state = await self._database.read(_state, caller.project, found.execution)
        return until, state.over

    async def report(
        self, caller: Caller, item: str, fence: int, outcome: str, data: dict[str, Any], *, again: bool = True
    ) -> str:
        """What came of the attempt with this fence; answers what the node's visit became."""
        streams = await self._streams_of(caller, item)
        payload = codec.seal(data, self._world.random(32))
        command = core.Report(item, fence, outcome, payload, str(data.get("message", "")), again)

        def plan(unit: Unit) -> str:
            try:
                unit.decide(streams.execution, command, caller.actor)
            except Refusal:
                if not _said_before(unit, streams.execution, item, fence, outcome):
                    raise
            visit = _visit(unit, streams.execution, item)
            if visit is not None:
                return visit.status
            return "completed" if outcome == "completed" else "failed"

        return await self._execute(caller.project, plan, subjects=streams.subjects)

    async def _streams_of(self, caller: Caller, item: str) -> _Streams:
        known = self._streams.get((caller.project, item))
        return known or _Streams((await self._item(caller, item)).execution)

    async def _item(self, caller: Caller, item: str) -> Item:
        found = await self._database.read(executions.item, item)
        if found is None or found.project != caller.project:
            raise Refusal("not_found", "There is no such work item.")
        return found

    # ------------------------------------------------------------ what time does

    async def lose_lease(self, due: agenda.Due) -> None:
        await self._told(due, core.LoseLease(due.subject, due.fence))

    async def lapse(self, due: agenda.Due) -> None:
        await self._told(due, core.Lapse(due.subject))

    async def _told(self, due: agenda.Due, command: core.Command) -> None:
        found = await self._database.read(executions.item, due.subject)
        assert found is not None

        def plan(unit: Unit) -> None:
            unit.decide(found.execution, command, SYSTEM)

        await self._execute(due.project, plan, subjects=(found.execution,))

    async def end_leases(self, project: str, worker: str) -> int:
        """End the leases of a worker that is known to be dead; answers how many there were."""
        held = await self._database.read(_held_by, project, worker)
        for execution, visit in held:
            command = core.LoseLease(visit.item or "", visit.fence)

            def plan(unit: Unit, execution: str = execution, command: core.LoseLease = command) -> None:
                unit.decide(execution, command, SYSTEM)

            await self._execute(project, plan, subjects=(execution,))
        return len(held)


def _visit(unit: Unit, execution: str, item: str) -> Visit | None:
    """The visit that the item belongs to, while it lasts."""
    state = unit.state(execution)
    return state.of_item(item) if isinstance(state, Execution) else None


def _said_before(unit: Unit, execution: str, item: str, fence: int, outcome: str) -> bool:
    """Whether somebody who did not hear the answer says it again, before the item was handed on."""
    row, visit = executions.item(unit.connection, item), _visit(unit, execution, item)
    said = row is not None and (row.reported, row.reported_fence) == (outcome, fence)
    return said and (visit is None or visit.fence == fence)


def _state(connection: Connection, project: str, execution: str) -> Execution:
    state = ledger.load(connection, project, [execution])[execution].state
    assert isinstance(state, Execution)
    return state


def _held_by(connection: Connection, project: str, worker: str) -> list[tuple[str, Visit]]:
    held = executions.items(connection, agenda.leased(connection, project)).values()
    states = [stream.state for stream in ledger.load(connection, project, {item.execution for item in held}).values()]
    return [
        (state.id, visit)
        for state in states
        if isinstance(state, Execution)
        for visit in state.visits
        if visit.status == "running" and visit.worker == worker
    ]


def _handed_before(
    connection: Connection, project: str, items: Mapping[str, Item], leases: Mapping[str, int]
) -> list[Handed]:
    return [
        Handed(item, each.state, each.visit, each.input, leases[item], each.traceparent)
        for each in _contents(connection, project, items)
        if (item := each.visit.item or "") in leases and each.visit.status == "running" and each.wrong is None
    ]


def _contents(connection: Connection, project: str, ids: Iterable[str]) -> list[_Content]:
    """What the items hold, judged once more by the policies that their runs keep; a handful of queries for all."""
    found = executions.items(connection, ids)
    runs = ledger.load(connection, project, {item.execution for item in found.values()})
    states = {id_: stream.state for id_, stream in runs.items() if isinstance(stream.state, Execution)}
    at = [
        (state, visit)
        for item in found.values()
        if (state := states.get(item.execution)) is not None and (visit := state.of_item(item.id)) is not None
    ]
    gates = ledger.load(connection, project, {visit.approval for _, visit in at if visit.approval is not None})
    approvals = {id_: stream.state for id_, stream in gates.items() if isinstance(stream.state, Approval)}
    seqs = {seq for state, visit in at for seq in (state.started_seq, _input_seq(visit, approvals)) if seq is not None}
    said = ledger.payloads(connection, project, seqs)
    return [_content(connection, project, state, visit, approvals, said) for state, visit in at]


def _input_seq(visit: Visit, approvals: Mapping[str, Approval]) -> int | None:
    """The event that holds the input: for a gated node the request of its approval."""
    if visit.approval is None:
        return visit.input_seq
    approval = approvals.get(visit.approval)
    return None if approval is None else approval.requested_seq


def _content(
    connection: Connection,
    project: str,
    state: Execution,
    visit: Visit,
    approvals: Mapping[str, Approval],
    said: Mapping[int, dict[str, Any] | None],
) -> _Content:
    rules = policies(
        definition(connection, project, state.definition),
        project_policy(connection, project, state.policy_seq),
        visit.node,
    )
    effect = judge(rules, visit.tool or "").effect
    traceparent = (said[state.started_seq] or {}).get("traceparent")
    data = said.get(_input_seq(visit, approvals) or 0) or {}
    if visit.approval is not None:
        given, wrong = _approved(project, approvals.get(visit.approval), data)
        return _Content(state, visit, given, traceparent, "A rule blocks the tool." if effect == "block" else wrong)
    wrong = None if effect == "allow" else "A rule gates the tool, and nobody approved it."
    return _Content(state, visit, data.get("input") or {}, traceparent, wrong)


def _approved(project: str, state: Approval | None, data: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The input that was approved, byte for byte; what is wrong where it is not what was bound."""
    if state is None or state.status != "approved":
        return {}, "Its approval does not stand."
    bound = {name: data.get(name) for name in ("context", "arguments")}
    made_again = canonical.binding(project=project, name=state.name, nonce=str(data.get("nonce")), **bound)
    wrong = None if made_again == state.binding else "What would run is not what was approved."
    return data.get("arguments") or {}, wrong
