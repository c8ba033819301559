"""The members of the server's answers about workflows, runs and policies that this command line prints.

It stands beside `protocol.workflows` as `replies` does beside `protocol.models`, and for the same reason.
"""

from collections.abc import Mapping
from typing import Any, Final

from signoff.cli.replies import PRINCIPAL, Shape, anything, maybe, moment, number, record, several, text


def data(value: Any) -> bool:
    """Whatever JSON can say."""
    return value is None or isinstance(value, dict | list | str | int | float)


REGISTERED: Final = {"workflow_id": text, "version": text, "digest": text}
REGISTERED_WORKFLOWS: Final = {"workflows": several(record(REGISTERED))}
WORKFLOW_SUMMARY: Final = {
    **REGISTERED,
    "description": maybe(text),
    "registered_at": moment,
    "registered_by": record(PRINCIPAL),
}
WORKFLOW: Final = {
    **WORKFLOW_SUMMARY,
    "source": text,
    "input_schema": maybe(anything),
    "nodes": several(text),
    "tools": several(text),
}
FAILURE: Final = {
    "code": text,
    "node_id": maybe(text),
    "message": text,
    "decided_by": maybe(record(PRINCIPAL)),
    "comment": maybe(text),
}
EXECUTION_SUMMARY: Final = {
    "id": text,
    "workflow_id": text,
    "version": text,
    "status": text,
    "initiator": record(PRINCIPAL),
    "started_at": moment,
    "ended_at": maybe(moment),
    "awaits": maybe(text),
    "failure": maybe(record(FAILURE)),
}
NODE_RUN: Final = {
    "node_id": text,
    "type": text,
    "tool": maybe(text),
    "status": text,
    "visit": number,
    "attempt": number,
    "execution_key": text,
    "started_at": moment,
    "ended_at": maybe(moment),
    "due_at": maybe(moment),
    "approval_id": maybe(text),
    "waiting_for": maybe(text),
    "error": maybe(text),
}
NODE_DETAIL: Final[Mapping[str, Shape]] = {**NODE_RUN, "input": data, "output": data}
EXECUTION: Final = {
    **EXECUTION_SUMMARY,
    "project": text,
    "digest": text,
    "input": anything,
    "steps": number,
    "events": number,
    "nodes": several(record(NODE_RUN)),
    "url": text,
}
EXECUTION_APPROVAL: Final = {
    "node_id": text,
    "tool": maybe(text),
    "approval_id": text,
    "name": text,
    "status": text,
    "arguments": maybe(anything),
    "context": anything,
    "summary": maybe(text),
    "rule": maybe(text),
    "requested_by": record(PRINCIPAL),
    "decided_by": maybe(record(PRINCIPAL)),
    "reason": maybe(text),
    "decided_at": maybe(moment),
    "created_at": moment,
    "expires_at": moment,
    "binding": text,
}
EXECUTION_APPROVALS: Final = {
    "pending": several(record(EXECUTION_APPROVAL)),
    "decided": several(record(EXECUTION_APPROVAL)),
}
EXECUTION_DECIDED: Final = {"execution_id": text, "node_id": text, "approval_id": text, "decision": text}
POLICY_RULE: Final = {"match": text}
POLICY: Final = {
    "blocked_tools": several(record(POLICY_RULE)),
    "require_approval_for": several(record(POLICY_RULE)),
    "allow": several(record(POLICY_RULE)),
    "default": maybe(text),
    "changed_at": maybe(moment),
    "changed_by": maybe(record(PRINCIPAL)),
}
SPOKEN_RULE: Final = {"scope": text, "section": text, "pattern": maybe(text)}
VERDICT: Final = {"verdict": text, "rule": maybe(record(SPOKEN_RULE)), "matched": several(record(SPOKEN_RULE))}
