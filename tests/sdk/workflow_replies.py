"""What a server would send about workflows and runs, as JSON data."""

from typing import Any

from tests.sdk.replies import ADA, APP, LATER, PROJECT, THEN

ID = "exe_01m83sz8fpehnr2vxbedgqsp1w"
OTHER_ID = "exe_01m83sz8txeksa3669etb7jj4c"
APPROVAL_ID = "apr_01m83sz8fpehnr2vxbedgqsp1w"
WORKFLOW = "payment-processor"
NODE = "submit_payment"
DIGEST = "sha256:" + "a" * 64
YAML = "workflow: {id: payment-processor, version: 0.1.0, start: submit_payment}\n"


def registered(**changes: Any) -> dict[str, Any]:
    return {"workflows": [{"workflow_id": WORKFLOW, "version": "0.1.0", "digest": DIGEST, **changes}]}


def summary(**changes: Any) -> dict[str, Any]:
    return {
        "workflow_id": WORKFLOW,
        "version": "0.1.0",
        "digest": DIGEST,
        "description": None,
        "registered_at": THEN,
        "registered_by": APP,
        **changes,
    }


def workflow(**changes: Any) -> dict[str, Any]:
    more = {"source": YAML, "input_schema": None, "nodes": [NODE], "tools": ["payments.submit"]}
    return {**summary(), **more, **changes}


def node(**changes: Any) -> dict[str, Any]:
    return {
        "node_id": NODE,
        "type": "tool",
        "tool": "payments.submit",
        "status": "awaiting_approval",
        "visit": 1,
        "attempt": 0,
        "execution_key": f"{ID}/{NODE}/1",
        "started_at": THEN,
        "ended_at": None,
        "due_at": None,
        "approval_id": APPROVAL_ID,
        "waiting_for": "a decision",
        "error": None,
        **changes,
    }


def run(**changes: Any) -> dict[str, Any]:
    """A run as a list shows it."""
    return {
        "id": ID,
        "project": PROJECT,
        "workflow_id": WORKFLOW,
        "version": "0.1.0",
        "status": "running",
        "initiator": APP,
        "started_at": THEN,
        "updated_at": THEN,
        "ended_at": None,
        "awaits": None,
        "failure": None,
        **changes,
    }


def execution(status: str = "running", events: int = 3, **changes: Any) -> dict[str, Any]:
    more = {"digest": DIGEST, "input": {}, "steps": 1, "nodes": [node()], "url": f"http://127.0.0.1:9/executions/{ID}"}
    return {**run(status=status), **more, "events": events, **changes}


FAILURE = {
    "code": "approval_rejected",
    "node_id": NODE,
    "message": "ada rejected it",
    "decided_by": ADA,
    "comment": "wrong account",
}


def failed(**changes: Any) -> dict[str, Any]:
    return execution("failed", 9, **{"failure": FAILURE, "ended_at": LATER, **changes})


def asked(**changes: Any) -> dict[str, Any]:
    """A node's approval."""
    return {
        "node_id": NODE,
        "tool": "payments.submit",
        "approval_id": APPROVAL_ID,
        "name": "payments.submit",
        "status": "pending",
        "arguments": {"amount": "50000.00"},
        "context": {},
        "summary": None,
        "rule": "workflow/require_approval_for/payments.*",
        "requested_by": APP,
        "decided_by": None,
        "reason": None,
        "decided_at": None,
        "created_at": THEN,
        "expires_at": LATER,
        "binding": "sha256:" + "b" * 64,
        **changes,
    }


def decided(**changes: Any) -> dict[str, Any]:
    return {"execution_id": ID, "node_id": NODE, "approval_id": APPROVAL_ID, "decision": "approved", **changes}


def policy(**changes: Any) -> dict[str, Any]:
    return {
        "blocked_tools": [{"match": "*.delete"}],
        "require_approval_for": [],
        "allow": [],
        "default": None,
        "changed_at": None,
        "changed_by": None,
        **changes,
    }


def verdict(**changes: Any) -> dict[str, Any]:
    rule = {"scope": "project", "section": "blocked_tools", "pattern": "*.delete"}
    return {"verdict": "block", "rule": rule, "matched": [rule], **changes}
