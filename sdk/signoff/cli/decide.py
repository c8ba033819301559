"""`signoff approve`, `reject`, `resolve`, `cancel`: a person's word on one approval, or on what waits in a run."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from signoff.cli.approval_lines import in_one_line
from signoff.cli.connection import Server
from signoff.cli.decide_node import cancel_run, decide_node, resolve_node
from signoff.cli.failures import Failure
from signoff.cli.files import an_object
from signoff.cli.options import a_node, a_reason, an_id, connect, is_execution, shared
from signoff.cli.output import document, note
from signoff.cli.replies import APPROVAL, Record, check_bound, is_erased
from signoff.protocol.visible import visible

F = TypeVar("F", bound=Callable[..., Any])
# One line for the terminal to break: what is decided is worth more than its looks.
_ROOM: Final = 200


def on_a_node(command: F) -> F:
    """Adds the options that name which node of a run is meant."""
    pin = click.option(
        "--approval-id", callback=an_id, help="Of a run: decide this one alone, not a later visit of the node."
    )
    return a_nodes_id(pin(command))


def a_nodes_id(command: F) -> F:
    return click.option("--node-id", callback=a_node, help="Of a run: this node. [default: the only one it can be]")(
        command
    )


@click.command()
@click.argument("subject", metavar="ID", callback=an_id)
@click.option(
    "--decision", type=click.Choice(["approved", "rejected"]), default="approved", show_default=True, help="Your word."
)
@click.option("--reason", "--comment", "reason", callback=a_reason, help="Why; kept with the decision.")
@on_a_node
@shared
def approve(subject: str, decision: str, reason: str | None, url: str | None, as_json: bool, **meant: Any) -> None:
    """Approve it: what `show` shows may be done, once. ID is that of an approval, or of a run with one that waits."""
    if decision == "rejected" and reason is None:
        raise click.UsageError("A rejection needs a --comment: whoever asked is told why.")
    _say(subject, decision, reason, url, as_json, **meant)


@click.command()
@click.argument("subject", metavar="ID", callback=an_id)
@click.option("--reason", "--comment", "reason", callback=a_reason, required=True, help="Why; whoever asked is told.")
@on_a_node
@shared
def reject(subject: str, reason: str, url: str | None, as_json: bool, **meant: Any) -> None:
    """Reject it, and say why. ID is that of an approval, or of a run with one that waits."""
    _say(subject, "rejected", reason, url, as_json, **meant)


@click.command()
@click.argument("subject", metavar="ID", callback=an_id)
@click.option(
    "--outcome",
    type=click.Choice(["succeeded", "failed", "release", "retry"]),
    required=True,
    help="What came of it; release (of an approval) and retry (of a node) let it be done once more.",
)
@click.option("--reason", callback=a_reason, required=True, help="How you know.")
@click.option("--output", metavar="JSON|@FILE", callback=an_object, help="Of a node that succeeded: its output.")
@a_nodes_id
@shared
def resolve(
    subject: str,
    outcome: str,
    reason: str,
    output: Record | None,
    node_id: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Say what came of it where nobody reported: its outcome is unknown. ID is that of an approval, or of a run."""
    if output is not None and outcome != "succeeded":
        raise click.UsageError("--output is of a node that succeeded.")
    if is_execution(subject):
        if outcome == "release":
            raise click.UsageError("A node of a run is not released: --outcome retry lets it run once more.")
        resolve_node(connect(url), subject, outcome, reason, node=node_id, output=output, as_json=as_json)
        return
    _only_of_runs(node_id=node_id, output=output)
    if outcome == "retry":
        raise click.UsageError("An approval is not retried: --outcome release lets it be redeemed once more.")
    said = _post(connect(url), subject, "resolve", {"outcome": outcome, "reason": reason})
    done = "released: it may be redeemed once more" if outcome == "release" else f"resolved as {outcome}"
    _tell(said, done, as_json)


@click.command()
@click.argument("subject", metavar="ID", callback=an_id)
@click.option("--reason", callback=a_reason, help="Why; whoever asked is told.")
@shared
def cancel(subject: str, reason: str | None, url: str | None, as_json: bool) -> None:
    """Withdraw what is still pending, or end a run. ID is that of an approval or of a run. For admins."""
    if is_execution(subject):
        cancel_run(connect(url), subject, reason, as_json)
    else:
        _tell(_post(connect(url), subject, "cancel", {"reason": reason}), "cancelled", as_json)


def _say(
    subject: str,
    decision: str,
    reason: str | None,
    url: str | None,
    as_json: bool,
    *,
    node_id: str | None,
    approval_id: str | None,
) -> None:
    if is_execution(subject):
        server = connect(url)
        decide_node(server, subject, decision, reason, node=node_id, approval=approval_id, as_json=as_json)
    else:
        _only_of_runs(node_id=node_id, approval_id=approval_id)
        _decide(subject, decision, reason, url, as_json)


def _only_of_runs(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} is of a run: give the id of one, like exe_….")


def _decide(approval: str, decision: str, reason: str | None, url: str | None, as_json: bool) -> None:
    """What is decided is read and named first, and its binding is sent as what was seen."""
    server = connect(url)
    found = server.get(f"/v1/approvals/{approval}", APPROVAL, about=approval)
    if is_erased(found) and found["status"] == "pending":
        raise Failure(f"The content of {visible(found['id'])} was erased: nobody can see what would be decided.")
    if not is_erased(found):
        check_bound(found)
    verb = "Approving" if decision == "approved" else "Rejecting"
    if found["status"] == "pending":
        _announce(f"{verb} {in_one_line(found, _ROOM)}", as_json)
    body = {"decision": decision, "reason": reason, "seen": found["binding"]}
    _tell(_post(server, approval, "decision", body), decision, as_json)


def _post(server: Server, approval: str, verb: str, body: Record) -> Record:
    return server.post(f"/v1/approvals/{approval}/{verb}", body, APPROVAL, about=approval)


def _announce(line: str, as_json: bool) -> None:
    if as_json:
        note(line)
    else:
        click.echo(line)


def _tell(approval: Record, done: str, as_json: bool) -> None:
    if as_json:
        document(approval)
    else:
        click.echo(f"{visible(approval['id'])} {done}.")
