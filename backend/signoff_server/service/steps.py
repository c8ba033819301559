"""What the nodes that a run is about to enter come to: their expressions evaluated, their policies judged.

It happens on a reader's connection and thread, before the write door and never under its lock; what comes of it counts
for the run as it was read and for no later state of it.
"""

import base64
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from sqlalchemy import Connection

from signoff.protocol import canonical
from signoff_server.core import approvals, entries, expressions, readings
from signoff_server.core.approval_state import Requirement, Source
from signoff_server.core.entries import Entry
from signoff_server.core.execution_state import Execution
from signoff_server.core.expressions import ExpressionFailed, Scope
from signoff_server.core.graph import Condition, Definition, HumanApproval, Node, Parallel, Tool, Wait
from signoff_server.core.policies import NO_POLICY, Policy, Verdict, judge
from signoff_server.service.wanted import MAX_CONTEXT_BYTES
from signoff_server.store import codec, executions, ledger, principals
from signoff_server.world import World

_LOG: Final = logging.getLogger("signoff.executions")
DEFAULT_EXPIRES_IN: Final = 7 * 24 * 3_600_000
MAX_INPUT_BYTES: Final = 256 * 1024
_LONGEST_SUMMARY: Final = 500


class Unfit(Exception):
    """The node cannot be entered; `code` is that of the run's failure."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it was read: `policy` is the project's that it keeps, `scope` what its expressions read."""

    project: str
    state: Execution
    definition: Definition
    policy: Policy
    scope: Scope
    visits: Mapping[str, int]

    def verdict(self, node: str, name: str) -> Verdict:
        """What the policies of the run say of a name at a node."""
        return judge(policies(self.definition, self.policy, node), name)


def policies(definition: Definition, project: Policy, node: str) -> Sequence[tuple[str, Policy]]:
    at = definition.nodes.get(node)
    own = at.policy if isinstance(at, Tool) else NO_POLICY
    return (("project", project), ("workflow", definition.policy), ("node", own))


# ---------------------------------------------------------------- what is read


def read_for(
    connection: Connection, project: str, state: Execution, definition: Definition, now: int
) -> tuple[Scope, dict[str, int]]:
    """What the expressions of the nodes that are ready may read, and how often each of these was visited."""
    ready = [each.node for each in state.ready]
    reads = {name for node in ready for name in expressions_of(definition.nodes[node])}
    rows = executions.nodes(connection, state.id, [*reads, *ready])
    seqs = [state.started_seq, *(rows[name].output_seq for name in reads if name in rows)]
    said = ledger.payloads(connection, project, [seq for seq in seqs if seq is not None])
    done = {name: rows[name].output_seq for name in reads if name in rows}
    outputs = {name: (said.get(seq) or {}).get("output") for name, seq in done.items() if seq is not None}
    started = said.get(state.started_seq) or {}
    scope = Scope(started.get("input") or {}, outputs, state.id, now)
    return scope, {name: rows[name].visit for name in ready if name in rows}


def expressions_of(node: Node) -> frozenset[str]:
    """The nodes whose outputs this one reads."""
    match node:
        case Tool():
            return expressions.reads_in(node.input)
        case HumanApproval():
            return expressions.reads_in([node.context, node.description])
        case Condition():
            return frozenset().union(*(readings.reads(branch.when) for branch in node.branches))
    return frozenset()


# ---------------------------------------------------------------- what comes of it


class Steps:
    """Makes entries; ids, nonces and randomness come from the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def entries(self, connection: Connection, run: Run) -> tuple[Entry, ...]:
        """One for each node that is ready."""
        return tuple(self._entry(connection, run, run.definition.nodes[each.node]) for each in run.state.ready)

    def _entry(self, connection: Connection, run: Run, node: Node) -> Entry:
        visit = run.visits.get(node.id, 0) + 1
        try:
            return self._entered(connection, run, node, visit)
        except ExpressionFailed as failed:
            code, message = "expression_failed", str(failed)
        except Unfit as unfit:
            code, message = unfit.code, str(unfit)
        except Exception:  # noqa: BLE001 - a node that we cannot enter must not hold up its neighbours
            _LOG.exception("%s of %s cannot be entered", node.id, run.state.id)
            code, message = "internal", "The server made a mistake with this node; its log tells more."
        tool = node.tool if isinstance(node, Tool) else None
        return entries.Fault(node.id, visit, TYPES[type(node)], code, message, tool)

    def _entered(self, connection: Connection, run: Run, node: Node, visit: int) -> Entry:
        match node:
            case Tool():
                return self._tool(run, node, visit)
            case HumanApproval():
                return self._question(connection, run, node, visit)
            case Condition():
                return _choice(run, node, visit)
            case Parallel():
                return entries.Fork(node.id, visit, node.branches, node.next)
            case Wait():
                return self._pause(connection, run, node, visit)

    def _tool(self, run: Run, node: Tool, visit: int) -> Entry:
        verdict = run.verdict(node.id, node.tool)
        if verdict.effect == "block":
            return entries.Block(node.id, visit, "tool", node.tool, str(verdict.rule or "a well-formed name"))
        given = expressions.fill(node.input, run.scope)
        item = self._world.new_id("wrk")
        if verdict.effect == "allow":
            _fitting(given, MAX_INPUT_BYTES)
            payload = codec.seal({"input": given}, self._world.random(32))
            return entries.Work(node.id, visit, node.tool, item, payload, node.next, node.retry, node.timeout)
        context = {
            "workflow_id": run.definition.id,
            "version": run.state.version,
            "execution_id": run.state.id,
            "node_id": node.id,
        }
        approval, request = self._request(run, node.id, visit, node.tool, context, given, verdict)
        return entries.Gate(node.id, visit, node.tool, item, approval, request, node.next, node.retry, node.timeout)

    def _question(self, connection: Connection, run: Run, node: HumanApproval, visit: int) -> Entry:
        name = f"{run.definition.id}.{node.id}"
        verdict = run.verdict(node.id, name)
        if verdict.effect == "block":
            return entries.Block(node.id, visit, "human_approval", None, str(verdict.rule or "a well-formed name"))
        context = expressions.fill(node.context, run.scope)
        summary = None if node.description is None else str(expressions.fill(node.description, run.scope))
        approval, request = self._request(
            run,
            node.id,
            visit,
            None,
            context,
            None,
            verdict,
            name=name,
            summary=None if summary is None else summary[:_LONGEST_SUMMARY],
            reviewers=_reviewers(connection, run, node.reviewers),
            names=node.reviewers,
            expires_in=node.timeout or DEFAULT_EXPIRES_IN,
        )
        routes = {"approved": node.on_approved, "rejected": node.on_rejected, "expired": node.on_timeout}
        kept = {status: to for status, to in routes.items() if status == "approved" or status in node.routed}
        return entries.Ask(node.id, visit, approval, request, kept)

    def _pause(self, connection: Connection, run: Run, node: Wait, visit: int) -> Entry:
        kept = None
        found = _signal(run, node)
        if found is not None:
            said = ledger.payloads(connection, run.project, [found])[found] or {}
            kept = codec.seal({"output": said.get("payload")}, self._world.random(32))
        routes = {"timeout": node.on_timeout} if node.routed else None
        return entries.Pause(node.id, visit, node.next, node.duration, node.event, node.timeout, routes, kept)

    def _request(
        self,
        run: Run,
        node: str,
        visit: int,
        tool: str | None,
        context: dict[str, Any],
        arguments: dict[str, Any] | None,
        verdict: Verdict,
        *,
        name: str | None = None,
        summary: str | None = None,
        reviewers: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
        expires_in: int = DEFAULT_EXPIRES_IN,
    ) -> tuple[str, approvals.Request]:
        """An approval's id, and what is asked: bound to exactly what will run."""
        nonce = base64.urlsafe_b64encode(self._world.random(32)).rstrip(b"=").decode()
        called = name or tool or ""
        binding = canonical.binding_of(
            project=run.project,
            name=called,
            context=_fitting(context, MAX_CONTEXT_BYTES),
            arguments=_fitting(arguments, MAX_CONTEXT_BYTES),
            nonce=nonce,
        )
        data = {
            "context": context,
            "arguments": arguments,
            "nonce": nonce,
            "summary": summary,
            "metadata": {},
            "reviewers": list(names),
            "on_behalf_of": None,
            "traceparent": None,
        }
        state = run.state
        request = approvals.Request(
            actor=state.initiator,
            payload=codec.seal(data, self._world.random(32)),
            name=called,
            binding=binding,
            expires_in=expires_in,
            requirement=Requirement(rule=None if verdict.rule is None else str(verdict.rule), reviewers=reviewers),
            source=Source("workflow", state.id, node, tool, visit),
            owner=state.owner,
            initiator=state.initiator.id,
        )
        return self._world.new_id("apr"), request


def _signal(run: Run, node: Wait) -> int | None:
    """The kept signal that it takes: the first of its name that no node before it takes."""
    before = takewhile(lambda each: each.node != node.id, run.state.ready)
    waits = [at for each in before if isinstance(at := run.definition.nodes[each.node], Wait)]
    taken = sum(at.event == node.event for at in waits)
    found = [seq for name, seq in run.state.signals if name == node.event]
    return found[taken] if taken < len(found) else None


def _choice(run: Run, node: Condition, visit: int) -> Entry:
    for branch in node.branches:
        if expressions.holds(branch.when, run.scope):
            return entries.Choose(node.id, visit, branch.next)
    if not node.has_default:
        raise Unfit("no_branch", "No branch is true, and there is no default.")
    return entries.Choose(node.id, visit, node.default)


def _fitting(value: Any, most: int) -> bytes:
    """The canonical bytes of what will run. Raises `Unfit`."""
    try:
        found = canonical.canonical(value)
    except canonical.NotCanonical as error:
        raise Unfit("input_invalid", f"The input cannot be bound: {error}.") from error
    if len(found) > most:
        told = f"The input has {len(found)} bytes, and {most} may be: keep the bulk elsewhere and pass its digest."
        raise Unfit("input_invalid", told)
    return found


def _reviewers(connection: Connection, run: Run, wanted: Iterable[str]) -> tuple[str, ...]:
    names = [name.removeprefix("user:") for name in wanted]
    found = principals.by_names(connection, run.project, names) if names else {}
    excluded = {run.state.initiator.id, run.state.owner}
    ids = []
    for name in names:
        person = found.get(name.casefold())
        if person is None or person.kind != "human" or person.id in excluded:
            raise Unfit("no_eligible_reviewer", f"user:{name} could not decide this: no such human, or the initiator.")
        ids.append(person.id)
    return tuple(dict.fromkeys(ids))


TYPES: Final[dict[type[Any], str]] = {
    Tool: "tool",
    HumanApproval: "human_approval",
    Condition: "condition",
    Parallel: "parallel",
    Wait: "wait",
}
