"""Runs: started, decided, signalled, cancelled, resolved; and made to go on."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection

from signoff_server.core import approvals, definitions, gates
from signoff_server.core import executions as core
from signoff_server.core.approval_state import Approval
from signoff_server.core.events import SYSTEM, Actor, Payload, Recorded
from signoff_server.core.execution_state import Execution
from signoff_server.core.expressions import Scope
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.core.workflows import ProjectPolicy
from signoff_server.service import keyed, winners
from signoff_server.service.definitions import definition, project_policy, registered
from signoff_server.service.execute import Execute, Unit
from signoff_server.service.meant import meant
from signoff_server.service.steps import Run, Steps, read_for
from signoff_server.store import agenda, codec, executions, ledger, workflows
from signoff_server.store import approvals as approval_rows
from signoff_server.store.approvals import ApprovalView, Filter
from signoff_server.store.database import Committed, Database
from signoff_server.store.executions import ExecutionView, NodeView
from signoff_server.store.ledger import Change, Taken
from signoff_server.world import World

_LOG: Final = logging.getLogger("signoff.executions")
_MOST_PENDING: Final = 1_000
_MOST_DECIDED: Final = 200
_PAGE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Started:
    """`created` is False where the call attached to a run that was there."""

    view: ExecutionView
    created: bool


@dataclass(frozen=True, slots=True)
class Decided:
    """Which node was decided, by which approval, and how."""

    node: str
    approval: str
    decision: str


@dataclass(frozen=True, slots=True)
class NodeDetail:
    """A node with what went in and what came out."""

    view: NodeView
    input: Any
    output: Any


class _Stale(Exception):
    """The run went on between the reading and the writing; what was worked out is worked out again."""


class Executions:
    """Every method acts for a `Caller` in their project, and raises `Refusal`."""

    def __init__(self, database: Database, execute: Execute, world: World) -> None:
        self._database = database
        self._execute = execute
        self._world = world
        self._steps = Steps(world)
        self._tasks: set[asyncio.Task[None]] = set()
        # Runs that are being advanced; True where more became ready meanwhile.
        self._advancing: dict[str, bool] = {}

    # ------------------------------------------------------------ starting

    async def start(
        self,
        caller: Caller,
        workflow_id: str,
        version: str | None,
        given: dict[str, Any],
        *,
        traceparent: str | None,
        key: str | None,
    ) -> Started:
        """A new run with its first node entered, or the one that this idempotency key started before."""
        said = {"input": given, "traceparent": traceparent}
        payload, once = self._keyed(caller, "start", "", key, said, [workflow_id, version, given])
        execution = self._world.new_id("exe")
        while True:
            command = await self._database.read(
                self._begin, caller, execution, (workflow_id, version), given, payload, once
            )
            if isinstance(command, Taken):
                return await self._started_before(caller, command, once)

            def plan(unit: Unit, command: core.Start = command) -> Taken | list[Change]:
                if once is not None and (taken := unit.once(once.key)) is not None:
                    return taken
                state = unit.state(unit.project)
                if (state.seq if isinstance(state, ProjectPolicy) else 0) != command.policy_seq:
                    raise _Stale
                unit.decide(execution, command, caller.actor, new=True)
                return unit.changes

            try:
                found = await self._execute(
                    caller.project, plan, subjects=(caller.project,), once=() if once is None else (once.key,)
                )
            except _Stale:
                continue
            break
        if isinstance(found, list):
            return Started(executions.begun(caller.project, found, {caller.id: caller.name}), created=True)
        return await self._started_before(caller, found, once)

    async def _started_before(self, caller: Caller, taken: Taken, once: keyed.Once | None) -> Started:
        if once is not None and taken.fingerprint != once.fingerprint:
            raise Refusal("idempotency_key_reuse", f"This idempotency key started {taken.subject} with another input.")
        return Started(await self._view(caller.project, taken.subject), created=False)

    def _begin(
        self,
        connection: Connection,
        caller: Caller,
        execution: str,
        wanted: tuple[str, str | None],
        given: dict[str, Any],
        payload: Payload,
        once: keyed.Once | None,
    ) -> core.Start | Taken:
        """What starts the run; a key that was used comes before all that may have changed since."""
        if once is not None and (taken := ledger.once(connection, [once.key]).get(once.key)) is not None:
            return taken
        subject = workflows.find(connection, caller.project, *wanted)
        if subject is None:
            raise Refusal("not_found", "There is no such workflow, or no such version of it.")
        found, graph = registered(connection, caller.project, subject)
        faults = definitions.check_input(graph, given)
        if faults:
            errors = [(f"/input{pointer}", message) for pointer, message in faults]
            raise Refusal("invalid", "The input does not fit the workflow's input_schema.", errors=errors)
        policy = workflows.policy_state(connection, caller.project)
        command = core.Start(
            actor=caller.actor,
            payload=payload,
            definition=subject,
            workflow_id=graph.id,
            version=found.version,
            digest=found.digest,
            policy_seq=0 if policy is None else policy.seq,
            start=graph.start,
            max_steps=graph.max_steps,
            max_lost_leases=graph.max_lost_leases,
            owner=caller.owner,
        )
        now = self._world.now()
        state = core.begun(execution, command, now)
        rules = project_policy(connection, caller.project, command.policy_seq)
        # It has visited nothing yet: there is nothing to read.
        run = Run(caller.project, state, graph, rules, Scope(given, {}, execution, now), {})
        return replace(command, entries=self._steps.entries(connection, run))

    # ------------------------------------------------------------ going on

    def committed(self, what: Committed) -> None:
        """Whatever a commit made ready goes on at once; should this process die first, the agenda sees to it."""
        last = {change.event.subject: change.state for change in what.changes}
        for state in last.values():
            if isinstance(state, Execution) and state.ready:
                task = asyncio.create_task(self._advance_soon(what.project, state.id))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _advance_soon(self, project: str, execution: str) -> None:
        try:
            await self.advance(project, execution)
        except Refusal as refusal:
            _LOG.warning("%s has to wait: %s", execution, refusal.detail)
        except Exception:  # noqa: BLE001 - it is logged; the agenda tries again
            _LOG.exception("%s did not go on; it falls due again", execution)

    async def advance(self, project: str, execution: str) -> None:
        """Enter the nodes that are ready, until none is. Where that is under way, it is told to look once more."""
        under_way = execution in self._advancing
        self._advancing[execution] = True
        if under_way:
            return
        try:
            while self._advancing[execution]:
                self._advancing[execution] = False
                await self._enter_ready(project, execution)
        finally:
            del self._advancing[execution]

    async def _enter_ready(self, project: str, execution: str) -> None:
        version, entries = await self._database.read(self._entries, project, execution)
        if not entries:
            return
        command = core.Advance(entries)

        def plan(unit: Unit) -> None:
            if unit.version(execution) != version:
                raise _Stale
            unit.decide(execution, command, SYSTEM)

        try:
            await self._execute(project, plan, subjects=(execution,))
        except _Stale:
            self._advancing[execution] = True

    def _entries(self, connection: Connection, project: str, execution: str) -> tuple[int, tuple[Any, ...]]:
        stream = ledger.load(connection, project, [execution])[execution]
        state = stream.state
        assert isinstance(state, Execution)
        if not state.ready:
            return stream.version, ()
        graph = definition(connection, project, state.definition)
        scope, visits = read_for(connection, project, state, graph, self._world.now())
        run = Run(project, state, graph, project_policy(connection, project, state.policy_seq), scope, visits)
        return stream.version, self._steps.entries(connection, run)

    async def time_is_up(self, due: agenda.Due) -> None:
        """Of a node that waits: `due.subject` names the run, the node and its visit."""
        execution, node, visit = due.subject.split("/")
        await self._carry_out(due.project, execution, core.TimeUp(node, int(visit)), SYSTEM)

    # ------------------------------------------------------------ people's words

    async def approve(
        self,
        caller: Caller,
        execution: str,
        decision: str,
        *,
        node: str | None,
        comment: str | None,
        approval: str | None,
        key: str | None,
    ) -> Decided:
        """Decide the approval that a node waits for. A key that was used gets its first answer before any check."""
        said = [decision, node, comment, approval]
        payload, once = self._keyed(caller, "approve", execution, key, {"reason": comment}, said)

        def plan(unit: Unit) -> Decided:
            if once is not None and (taken := unit.once(once.key)) is not None:
                return _first_answer(unit, taken, once)
            state = _known(unit, execution)
            if decision == "rejected" and comment is None:
                errors = [("/comment", "required for a rejection")]
                raise Refusal("invalid", "A rejection needs a comment.", errors=errors)
            visit = meant(unit, state, node, approval)
            assert visit.approval is not None
            unit.decide(visit.approval, approvals.Decide(caller.actor, payload, decision, comment), caller.actor)
            return Decided(visit.node, visit.approval, decision)

        keys = () if once is None else (once.key,)
        doing = self._execute(caller.project, plan, subjects=(execution,), once=keys)
        return await winners.told(self._database, doing)

    async def cancel(self, caller: Caller, execution: str, *, reason: str | None, key: str | None) -> ExecutionView:
        payload, once = self._keyed(caller, "cancel", execution, key, {"reason": reason}, [reason])
        return await self._command(caller, execution, core.Cancel(payload), once)

    async def signal(
        self, caller: Caller, execution: str, name: str, said: dict[str, Any], *, key: str | None
    ) -> ExecutionView:
        payload, once = self._keyed(caller, "signal", execution, key, {"payload": said}, [name, said])
        output = self._seal({"output": said})
        return await self._command(caller, execution, core.Signal(name, payload, output), once)

    async def resolve(
        self,
        caller: Caller,
        execution: str,
        node: str,
        outcome: str,
        *,
        reason: str,
        output: dict[str, Any] | None,
        key: str | None,
    ) -> ExecutionView:
        data = {"reason": reason, "output": output}
        payload, once = self._keyed(caller, "resolve", execution, key, data, [node, outcome, reason, output])
        command = gates.Resolve(node, outcome, payload, reason, caller.may_resolve())
        return await self._command(caller, execution, command, once)

    # ------------------------------------------------------------ reading

    async def get(self, caller: Caller, execution: str) -> ExecutionView:
        view = await self._database.read(executions.view, caller.project, execution)
        if view is None:
            raise Refusal("not_found", "There is no such run.")
        return view

    async def search(
        self, caller: Caller, status: str | None, workflow_id: str | None, limit: int, before: int | None
    ) -> tuple[list[ExecutionView], int | None]:
        return await self._database.read(executions.search, caller.project, status, workflow_id, limit, before)

    async def approvals(self, caller: Caller, execution: str) -> tuple[list[ApprovalView], list[ApprovalView]]:
        """Those that are pending, and of the others the last few, each the newest first."""

        def look(connection: Connection) -> tuple[list[ApprovalView], list[ApprovalView]]:
            if execution not in ledger.load(connection, caller.project, [execution]):
                raise Refusal("not_found", "There is no such run.")
            asked, every = Filter("pending", execution_id=execution), Filter(execution_id=execution)
            pending, _ = approval_rows.search(connection, caller.project, asked, _MOST_PENDING)
            last, _ = approval_rows.search(connection, caller.project, every, _MOST_DECIDED)
            return pending, [view for view in last if view.state.status != "pending"]

        return await self._database.read(look)

    async def events(
        self, caller: Caller, execution: str, after: int, limit: int
    ) -> tuple[list[tuple[Recorded, dict[str, Any] | None]], int | None]:
        """Its events after the one with this version, oldest first, and where the next page begins."""

        def look(connection: Connection) -> tuple[list[tuple[Recorded, dict[str, Any] | None]], int | None]:
            if execution not in ledger.load(connection, caller.project, [execution]):
                raise Refusal("not_found", "There is no such run.")
            return ledger.page_of_subject(
                connection, caller.project, execution, after=after, limit=limit, room=_PAGE_BYTES
            )

        return await self._database.read(look)

    async def node(self, caller: Caller, execution: str, node: str) -> NodeDetail:
        view = await self.get(caller, execution)
        found = next((each for each in view.nodes if each.node == node), None)
        if found is None:
            raise Refusal("not_found", "The run has visited no such node.")
        return await self._database.read(_detail, caller.project, found)

    # ------------------------------------------------------------ the shape that commands share

    async def _command(
        self, caller: Caller, execution: str, command: core.Command, once: keyed.Once | None
    ) -> ExecutionView:
        def plan(unit: Unit) -> None:
            _known(unit, execution)
            if once is not None and (taken := unit.once(once.key)) is not None:
                once.check(taken)
            else:
                unit.decide(execution, command, caller.actor)

        keys = () if once is None else (once.key,)
        await self._execute(caller.project, plan, subjects=(execution,), once=keys)
        return await self._view(caller.project, execution)

    async def _carry_out(self, project: str, execution: str, command: core.Command, actor: Actor) -> None:
        def plan(unit: Unit) -> None:
            unit.decide(execution, command, actor)

        await self._execute(project, plan, subjects=(execution,))

    async def _view(self, project: str, execution: str) -> ExecutionView:
        view = await self._database.read(executions.view, project, execution)
        assert view is not None
        return view

    def _keyed(
        self, caller: Caller, what: str, subject: str, key: str | None, data: dict[str, Any], request: Sequence[Any]
    ) -> tuple[Payload, keyed.Once | None]:
        once = keyed.once(caller, what, subject, key, request)
        return self._seal(data if once is None else data | once.recorded), once

    def _seal(self, data: dict[str, Any]) -> Payload:
        return codec.seal(data, self._world.random(32))


def _known(unit: Unit, execution: str) -> Execution:
    state = unit.state(execution)
    if not isinstance(state, Execution):
        raise Refusal("not_found", "There is no such run.")
    return state


def _first_answer(unit: Unit, taken: Taken, once: keyed.Once) -> Decided:
    once.check(taken)
    state = unit.state(taken.subject)
    assert isinstance(state, Approval)
    return Decided(state.source.node_id or "", state.id, state.votes[0].decision)


def _detail(connection: Connection, project: str, node: NodeView) -> NodeDetail:
    said = ledger.payloads(connection, project, [seq for seq in (node.input_seq, node.output_seq) if seq is not None])
    given = (said.get(node.input_seq) or {}).get("input")
    if node.approval is not None and node.type == "tool":
        view = approval_rows.view(connection, project, node.approval)
        given = None if view is None else (view.data or {}).get("arguments")
    done = node.output_seq is not None and node.output_seq >= node.input_seq
    return NodeDetail(node, given, (said.get(node.output_seq or 0) or {}).get("output") if done else None)
