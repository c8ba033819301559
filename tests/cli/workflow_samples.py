"""Replies about workflows and runs as the server sends them, made by the models of the contract."""

from typing import Any

from signoff.protocol import workflows
from tests.cli.samples import ALICE, APP, PROJECT, approval, at, decided

EXE = f"exe_{1:026d}"
APR = f"apr_{1:026d}"
PATH = f"/v1/executions/{EXE}"
DIGEST = "sha256:" + "0123456789abcdef" * 4
PAYMENT = {"payment": {"payment_id": "pay_1001", "payee": "Nordwind", "amount": "1840.00"}}
RULE = "workflow/require_approval_for/payments.*"


def node(node_id: str = "fetch_details", status: str = "completed", **changes: Any) -> dict[str, Any]:
    over = status in ("completed", "failed", "blocked", "cancelled", "skipped")
    fields = {
        "node_id": node_id,
        "type": "tool",
        "tool": "fetch_payment_details",
        "status": status,
        "visit": 1,
        "attempt": 1,
        "execution_key": f"{EXE}/{node_id}/1",
        "started_at": at(minutes=3, seconds=20),
        "ended_at": at(minutes=3, seconds=18) if over else None,
        "due_at": None,
        "approval_id": None,
        "waiting_for": None,
        "error": None,
    } | changes
    return workflows.NodeRun.model_validate(fields).model_dump(mode="json")


def parked_node(node_id: str = "submit_payment", **changes: Any) -> dict[str, Any]:
    fields = {"tool": "payments.submit", "attempt": 0, "approval_id": APR, "waiting_for": "a decision"} | changes
    return node(node_id, "awaiting_approval", **fields)


def detail(**changes: Any) -> dict[str, Any]:
    fields = node() | {"input": {"payment_id": "pay_1001"}, "output": {"amount": "1840.00"}} | changes
    return workflows.NodeDetail.model_validate(fields).model_dump(mode="json")


def failure(**changes: Any) -> dict[str, Any]:
    fields = {
        "code": "approval_rejected",
        "node_id": "submit_payment",
        "message": "It was rejected.",
        "decided_by": ALICE,
        "comment": "too much",
    } | changes
    return workflows.ExecutionFailure.model_validate(fields).model_dump(mode="json")


def summary(number: int = 1, status: str = "parked", **changes: Any) -> dict[str, Any]:
    over = status in ("completed", "failed", "cancelled")
    fields = {
        "id": f"exe_{number:026d}",
        "project": PROJECT,
        "workflow_id": "payment-processor",
        "version": "0.1.0",
        "status": status,
        "initiator": APP,
        "started_at": at(minutes=3, seconds=20),
        "updated_at": at(minutes=1),
        "ended_at": at(minutes=1) if over else None,
        "awaits": "submit_payment: a reviewer's decision" if status == "parked" else None,
        "failure": failure() if status == "failed" else None,
    } | changes
    return workflows.ExecutionSummary.model_validate(fields).model_dump(mode="json")


def execution(status: str = "parked", *nodes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    fields = {
        **summary(status=status),
        "digest": DIGEST,
        "input": {"payment_id": "pay_1001"},
        "steps": 2,
        "events": 5,
        "nodes": nodes or (node(), parked_node()),
        "url": f"http://127.0.0.1:8484{PATH}",
    } | changes
    return workflows.Execution.model_validate(fields).model_dump(mode="json")


def of_node(whole: dict[str, Any], node_id: str = "submit_payment") -> dict[str, Any]:
    """An approval as the list of a run's approvals has it."""
    fields = whole | {
        "node_id": node_id,
        "tool": whole["source"]["tool"],
        "approval_id": whole["id"],
        "rule": whole["requirement"]["rule"],
    }
    return workflows.ExecutionApproval.model_validate(fields).model_dump(mode="json")


def gated(number: int = 1, node_id: str = "submit_payment", **changes: Any) -> dict[str, Any]:
    """The approval that a run waits for, whole."""
    return approval(number, **(_of_a_run(node_id) | changes))


def gated_and_decided(number: int = 1, status: str = "approved", node_id: str = "submit_payment") -> dict[str, Any]:
    return decided(number, status, **_of_a_run(node_id))


def _of_a_run(node_id: str) -> dict[str, Any]:
    return {
        "name": "payments.submit",
        "context": {},
        "arguments": PAYMENT,
        "source": {"kind": "workflow", "execution_id": EXE, "node_id": node_id, "tool": "payments.submit"},
        "requirement": {"rule": RULE, "approvals": 1, "kinds": ["human"], "reviewers": [], "on_expiry": "expire"},
    }


def approvals(*pending: dict[str, Any], decided: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"pending": list(pending), "decided": list(decided)}


def registered(version: str = "0.1.0", **changes: Any) -> dict[str, Any]:
    one = {"workflow_id": "payment-processor", "version": version, "digest": DIGEST} | changes
    return workflows.RegisteredWorkflows.model_validate({"workflows": [one]}).model_dump(mode="json")


def workflow(**changes: Any) -> dict[str, Any]:
    fields = {
        "workflow_id": "payment-processor",
        "version": "0.1.0",
        "digest": DIGEST,
        "description": "Makes a payment.",
        "registered_at": at(hours=2, minutes=1),
        "registered_by": APP,
        "source": "workflow:\n  id: payment-processor\n",
        "input_schema": {"type": "object"},
        "nodes": ["fetch_details", "submit_payment"],
        "tools": ["fetch_payment_details", "payments.submit"],
    } | changes
    return workflows.Workflow.model_validate(fields).model_dump(mode="json")


def listed_workflow(**changes: Any) -> dict[str, Any]:
    fields = workflow(**changes)
    return workflows.WorkflowSummary.model_validate(fields).model_dump(mode="json")


def policy(**changes: Any) -> dict[str, Any]:
    fields = {
        "blocked_tools": [{"match": "*.delete"}],
        "require_approval_for": [{"match": "payments.*"}],
        "allow": [],
        "default": None,
        "changed_at": at(hours=1),
        "changed_by": ALICE,
    } | changes
    return workflows.PolicyDocument.model_validate(fields).model_dump(mode="json")


def rule(pattern: str | None = "payments.*", section: str = "require_approval_for", scope: str = "project") -> Any:
    return {"scope": scope, "section": section, "pattern": pattern}


def verdict(word: str = "require_approval", *rules: Any) -> dict[str, Any]:
    fields = {"verdict": word, "rule": rules[0] if rules else None, "matched": list(rules)}
    return workflows.PolicyVerdict.model_validate(fields).model_dump(mode="json")
