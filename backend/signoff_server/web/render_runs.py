"""Workflows, runs and work as the wire shows them."""

from typing import Any

from signoff.protocol import workflows as wire
from signoff_server.core.events import Actor, to_text
from signoff_server.core.execution_state import Execution, Visit
from signoff_server.core.graph import Definition, Tool
from signoff_server.core.policies import Rule, Verdict
from signoff_server.core.workflows import policy_of
from signoff_server.service.executions import NodeDetail
from signoff_server.service.work import Handed
from signoff_server.store.approvals import ApprovalView
from signoff_server.store.executions import ExecutionView, NodeView
from signoff_server.store.workflows import PolicyView, WorkflowView
from signoff_server.web.render import in_a_run, moment, person

# ---------------------------------------------------------------- workflows and policies


def workflow_summary(view: WorkflowView) -> wire.WorkflowSummary:
    return wire.WorkflowSummary(**_summary(view))


def workflow(view: WorkflowView, found: Definition) -> wire.Workflow:
    tools = [node.tool for node in found.nodes.values() if isinstance(node, Tool)]
    return wire.Workflow(
        **_summary(view),
        source=view.source,
        input_schema=None if found.input_schema is None else dict(found.input_schema),
        nodes=list(found.nodes),
        tools=list(dict.fromkeys(tools)),
    )


def _summary(view: WorkflowView) -> dict[str, Any]:
    state = view.state
    return {
        "workflow_id": state.workflow_id,
        "version": state.version,
        "digest": state.digest,
        "description": view.description,
        "registered_at": moment(state.at),
        "registered_by": person(state.by, view.names),
    }


def policy(view: PolicyView) -> wire.PolicyDocument:
    found, state = policy_of(view.state), view.state
    return wire.PolicyDocument(
        blocked_tools=[wire.PolicyRule(match=pattern) for pattern in found.blocked_tools],
        require_approval_for=[wire.PolicyRule(match=pattern) for pattern in found.require_approval_for],
        allow=[wire.PolicyRule(match=pattern) for pattern in found.allow],
        default=found.default,
        changed_at=None if state is None else moment(state.at),
        changed_by=None if state is None else person(state.by, view.names),
    )


def verdict(found: Verdict) -> wire.PolicyVerdict:
    return wire.PolicyVerdict(
        verdict=found.effect,
        rule=None if found.rule is None else _rule(found.rule),
        matched=[_rule(rule) for rule in found.matched],
    )


def _rule(rule: Rule) -> wire.SpokenRule:
    return wire.SpokenRule(scope=rule.scope, section=rule.section, pattern=rule.pattern)


# ---------------------------------------------------------------- runs


def summary(view: ExecutionView) -> wire.ExecutionSummary:
    return wire.ExecutionSummary(**_run(view))


def execution(view: ExecutionView, url: str) -> wire.Execution:
    state = view.state
    return wire.Execution(
        **_run(view),
        digest=state.digest,
        input=view.started.get("input") or {},
        steps=state.steps,
        events=view.version,
        nodes=[wire.NodeRun(**_node(state.id, node)) for node in view.nodes],
        url=f"{url}/v1/executions/{state.id}",
    )


def _run(view: ExecutionView) -> dict[str, Any]:
    state = view.state
    return {
        "id": state.id,
        "project": view.project,
        "workflow_id": state.workflow_id,
        "version": state.version,
        "status": state.status,
        "initiator": person(state.initiator, view.names),
        "started_at": moment(state.started_at),
        "updated_at": moment(state.updated_at),
        "ended_at": None if state.ended_at is None else moment(state.ended_at),
        "awaits": _awaits(state),
        "failure": failure(view),
    }


def failure(view: ExecutionView) -> wire.ExecutionFailure | None:
    """Why a run failed; None for one that did not."""
    if view.state.status != "failed":
        return None
    by = view.ended.get("decided_by")
    return wire.ExecutionFailure(
        code=view.failed["code"],
        node_id=view.failed["node"],
        message=view.ended.get("message") or "Its message was erased.",
        decided_by=None if by is None else person(Actor(by["id"], by["kind"], by["via"]), view.names),
        comment=view.ended.get("comment"),
    )


def node_detail(execution: str, found: NodeDetail) -> wire.NodeDetail:
    return wire.NodeDetail(**_node(execution, found.view), input=found.input, output=found.output)


def _node(execution: str, node: NodeView) -> dict[str, Any]:
    return {
        "node_id": node.node,
        "type": node.type,
        "tool": node.tool,
        "status": node.status,
        "visit": node.visit,
        "attempt": node.attempt,
        "execution_key": f"{execution}/{node.node}/{node.visit}",
        "started_at": moment(node.started_at),
        "ended_at": None if node.ended_at is None else moment(node.ended_at),
        "due_at": None if node.due_at is None else moment(node.due_at),
        "approval_id": node.approval,
        "waiting_for": waiting_for(node),
        "error": node.error,
    }


def _awaits(state: Execution) -> str | None:
    words = [f"{visit.node}: {told}" for visit in state.visits if (told := waiting_for(visit)) is not None]
    return None if state.over or not words else "; ".join(words)


def waiting_for(node: NodeView | Visit) -> str | None:
    """What would move a node on, in words; None for one that needs nobody."""
    match node.status:
        case "scheduled":
            return f"a worker that offers {node.tool}"
        case "retrying":
            return f"the next attempt at {to_text(node.due_at or 0)}"
        case "awaiting_approval":
            return "a reviewer's decision"
        case "outcome_unknown":
            return "a person who finds out what came of it"
        case "waiting":
            until = "" if node.due_at is None else f" until {to_text(node.due_at)}"
            return f"its time{until}" if node.event is None else f"the signal {node.event}{until}"
    return None


def approval(view: ApprovalView) -> wire.ExecutionApproval:
    source = view.state.source
    return wire.ExecutionApproval(
        node_id=source.node_id or "", tool=source.tool, approval_id=view.state.id, **in_a_run(view)
    )


# ---------------------------------------------------------------- work


def work_item(handed: Handed) -> wire.WorkItem:
    state, visit = handed.state, handed.visit
    return wire.WorkItem(
        id=handed.item,
        execution_id=state.id,
        workflow_id=state.workflow_id,
        node_id=visit.node,
        tool=visit.tool or "",
        visit=visit.number,
        attempt=visit.attempt,
        fence=visit.fence,
        execution_key=f"{state.id}/{visit.node}/{visit.number}",
        input=handed.input,
        approval_id=visit.approval,
        lease_until=moment(handed.lease_until),
        deadline=None if visit.due_at is None else moment(visit.due_at),
        max_attempts=visit.retry.max_attempts,
        traceparent=handed.traceparent,
    )
