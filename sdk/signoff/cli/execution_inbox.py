"""`signoff approvals EXECUTION_ID`: what a run waits for, as it will be executed, and what was decided in it."""

from collections.abc import Iterator

from signoff.cli import times
from signoff.cli.approval_lines import person
from signoff.cli.connection import HOLD, Server
from signoff.cli.layout import GAP, tree
from signoff.cli.output import document, note, say_fitted
from signoff.cli.refusal import closing
from signoff.cli.replies import Record
from signoff.cli.workflow_replies import EXECUTION, EXECUTION_APPROVALS
from signoff.protocol.visible import visible


def list_approvals(server: Server, execution: str, as_json: bool) -> None:
    found = approvals_of(server, execution)
    if not found["pending"] and _status_of(server, execution) == "running":
        # Whoever has just started it need not guess when it comes to where it waits.
        note(f"{execution} is running; waiting until it needs a person.")
        _status_of(server, execution, wait=HOLD)
        found = approvals_of(server, execution)
    if as_json:
        document(found)
        return
    say_fitted(_lines(found))
    pending = found["pending"]
    if not pending:
        note(f"Nothing of {execution} waits for a decision.")
    for each in pending:
        node = f" --node-id {visible(each['node_id'])}" if len(pending) > 1 else ""
        note(f"Decide it: signoff approve {execution}{node}")


def approvals_of(server: Server, execution: str) -> Record:
    return server.get(f"/v1/executions/{execution}/approvals", EXECUTION_APPROVALS, about=execution)


def _status_of(server: Server, execution: str, *, wait: int | None = None) -> str:
    return str(server.get(f"/v1/executions/{execution}", EXECUTION, {"wait": wait}, about=execution)["status"])


def _lines(found: Record) -> Iterator[str]:
    for at, each in enumerate([*found["pending"], *found["decided"]]):
        if at:
            yield ""
        yield from _approval(each)


def _approval(each: Record) -> Iterator[str]:
    yield f"{visible(each['node_id'])}{GAP}{_status(each)}"
    yield f"{GAP}tool      {visible(each['tool'] or 'none: a person is asked')}"
    yield f"{GAP}approval  {visible(each['approval_id'])}{GAP}{visible(each['name'])}"
    yield f"{GAP}asked by  {person(each['requested_by'])}, {times.age(each['created_at'])} ago"
    yield f"{GAP}rule      {visible(each['rule'] or 'none: the workflow asks')}"
    yield from content(each, GAP)
    if each["summary"]:
        yield f"{GAP}summary, claimed by the requester and bound to nothing: {visible(each['summary'])}"


def content(approval: Record, indent: str) -> Iterator[str]:
    """What is decided about, whole: the input that will run, and the context where there is one."""
    inner = indent + GAP
    if approval["arguments"] is not None:
        yield f"{indent}input: what will be executed"
        yield from tree(approval["arguments"], inner) if approval["arguments"] else [f"{inner}(empty)"]
    if approval["context"] or approval["arguments"] is None:
        yield f"{indent}context"
        yield from tree(approval["context"], inner) if approval["context"] else [f"{inner}(empty)"]


def _status(each: Record) -> str:
    if each["status"] == "pending":
        return f"pending, {times.left(each['expires_at'])} left"
    because = f": {visible(each['reason'])}" if each["reason"] else ""
    return closing(each) + because
