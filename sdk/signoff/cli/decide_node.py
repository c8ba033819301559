"""A person's word on a run: what waits in it, read and named first, and pinned to what was seen."""

from typing import Final
from urllib.parse import quote

import click

from signoff.cli.approval_lines import person
from signoff.cli.connection import Server
from signoff.cli.execution_inbox import approvals_of, content
from signoff.cli.failures import Conflict, Failure, WronglyCalled, untrusted
from signoff.cli.layout import GAP
from signoff.cli.output import document, note, say_fitted
from signoff.cli.refusal import closing
from signoff.cli.replies import APPROVAL, Record, check_bound, is_erased
from signoff.cli.workflow_replies import EXECUTION, EXECUTION_DECIDED
from signoff.protocol.visible import visible

_PATH: Final = "/v1/executions"
_UNKNOWN: Final = "outcome_unknown"


def decide_node(
    server: Server,
    execution: str,
    decision: str,
    comment: str | None,
    *,
    node: str | None,
    approval: str | None,
    as_json: bool,
) -> None:
    """Decides one pending approval of the run, and no other than the one that was read and shown."""
    listed = _chosen(server, execution, node, approval)
    subject = f"{listed['node_id']} of {execution}"
    pinned = listed["approval_id"]
    found = server.get(f"/v1/approvals/{quote(pinned, safe='')}", APPROVAL, about=pinned)
    _check_meant(found, listed, execution)
    _announce(found, f"{'Approving' if decision == 'approved' else 'Rejecting'} {visible(subject)}", as_json)
    body = {"decision": decision, "node_id": listed["node_id"], "comment": comment, "approval_id": pinned}
    said = server.post(f"{_PATH}/{execution}/approve", body, EXECUTION_DECIDED, about=subject)
    if (said["approval_id"], said["decision"]) != (pinned, decision):
        raise untrusted("it is about another decision than was sent")
    if as_json:
        document(said)
    else:
        click.echo(f"{decision} {visible(subject)}")


def resolve_node(
    server: Server,
    execution: str,
    outcome: str,
    reason: str,
    *,
    node: str | None,
    output: Record | None,
    as_json: bool,
) -> None:
    """Says what came of the node that nobody reported on."""
    node = node or _unknown(server, execution)
    body = {"outcome": outcome, "output": output, "reason": reason}
    subject = f"{node} of {execution}"
    said = server.post(f"{_PATH}/{execution}/nodes/{quote(node, safe='')}/resolve", body, EXECUTION, about=subject)
    if as_json:
        document(said)
    elif outcome == "retry":
        click.echo(f"{visible(subject)} runs once more, with the same execution key")
    else:
        click.echo(f"resolved {visible(subject)} as {outcome}")


def cancel_run(server: Server, execution: str, reason: str | None, as_json: bool) -> None:
    said = server.post(f"{_PATH}/{execution}/cancel", {"reason": reason}, EXECUTION, about=execution)
    if as_json:
        document(said)
    else:
        click.echo(f"{visible(said['id'])} cancelled.")


def _chosen(server: Server, execution: str, node: str | None, approval: str | None) -> Record:
    """The one pending approval that fits. Raises `Failure` where none does, or several do."""
    words = approvals_of(server, execution)
    found: list[Record] = [each for each in words["pending"] if _fits(each, node, approval)]
    if len(found) > 1:
        names = ", ".join(sorted({visible(each["node_id"]) for each in found}))
        raise WronglyCalled(f"Several nodes of {execution} wait for a decision: name one by --node-id: {names}.")
    if not found:
        raise _nothing_fits(server, execution, node, [each for each in words["decided"] if _fits(each, node, approval)])
    return found[0]


def _fits(each: Record, node: str | None, approval: str | None) -> bool:
    return node in (None, each["node_id"]) and approval in (None, each["approval_id"])


def _nothing_fits(server: Server, execution: str, node: str | None, decided: list[Record]) -> Failure:
    if len(decided) == 1 or (node is not None and decided):
        last = max(decided, key=lambda each: str(each["decided_at"]))
        return Conflict(f"{visible(last['node_id'])} of {execution} {closing(last)}.")
    stands = visible(server.get(f"{_PATH}/{execution}", EXECUTION, about=execution)["status"])
    what = f"No approval of {node}" if node else "Nothing"
    return Conflict(f"{what} waits for a decision in {execution}: it is {stands}. signoff inspect {execution} tells.")


def _check_meant(found: Record, listed: Record, execution: str) -> None:
    """Raises `Failure` unless the approval is that of the node, and whole: what is shown is what is decided."""
    source = found["source"]
    if (source["execution_id"], source["node_id"]) != (execution, listed["node_id"]):
        raise untrusted("the approval is not that of the node. Do not decide; find out who changed it")
    if is_erased(found):
        raise Failure(f"The content of {visible(found['id'])} was erased: nobody can see what would be decided.")
    check_bound(found)


def _announce(found: Record, heading: str, as_json: bool) -> None:
    asked = f"{GAP}{visible(found['name'])}{GAP}asked by {person(found['requested_by'])}{GAP}{visible(found['id'])}"
    lines = [heading, asked, *content(found, GAP)]
    if as_json:
        for line in lines:
            note(line)
    else:
        say_fitted(lines)


def _unknown(server: Server, execution: str) -> str:
    """The one node whose outcome is unknown."""
    nodes = server.get(f"{_PATH}/{execution}", EXECUTION, about=execution)["nodes"]
    found = [each["node_id"] for each in nodes if each["status"] == _UNKNOWN]
    if len(found) > 1:
        names = ", ".join(map(visible, found))
        raise WronglyCalled(f"The outcome of several nodes of {execution} is unknown: name one by --node-id: {names}.")
    if not found:
        raise Conflict(f"No node of {execution} has an unknown outcome: signoff inspect {execution} shows them.")
    return str(found[0])
