"""`signoff approve`, `reject`, `resolve`, `cancel`: a person's word on one approval."""

from typing import Final

import click

from signoff.cli.approval_lines import in_one_line
from signoff.cli.connection import Server
from signoff.cli.failures import Failure
from signoff.cli.options import a_reason, an_id, connect, shared
from signoff.cli.output import document, note
from signoff.cli.replies import APPROVAL, Record, check_bound, is_erased
from signoff.cli.visible import visible

# One line for the terminal to break: what is decided is worth more than its looks.
_ROOM: Final = 200


@click.command()
@click.argument("approval", metavar="ID", callback=an_id)
@click.option("--reason", callback=a_reason, help="Why; kept with the decision.")
@shared
def approve(approval: str, reason: str | None, url: str | None, as_json: bool) -> None:
    """Approve it: what `show` shows may be done, once."""
    _decide(approval, "approved", reason, url, as_json)


@click.command()
@click.argument("approval", metavar="ID", callback=an_id)
@click.option("--reason", callback=a_reason, required=True, help="Why; whoever asked is told.")
@shared
def reject(approval: str, reason: str, url: str | None, as_json: bool) -> None:
    """Reject it, and say why."""
    _decide(approval, "rejected", reason, url, as_json)


@click.command()
@click.argument("approval", metavar="ID", callback=an_id)
@click.option(
    "--outcome",
    type=click.Choice(["succeeded", "failed", "release"]),
    required=True,
    help="What came of it; release lets it be done once more.",
)
@click.option("--reason", callback=a_reason, required=True, help="How you know.")
@shared
def resolve(approval: str, outcome: str, reason: str, url: str | None, as_json: bool) -> None:
    """Say what came of it where nobody reported: its outcome is unknown."""
    said = _post(connect(url), approval, "resolve", {"outcome": outcome, "reason": reason})
    done = "released: it may be redeemed once more" if outcome == "release" else f"resolved as {outcome}"
    _tell(said, done, as_json)


@click.command()
@click.argument("approval", metavar="ID", callback=an_id)
@click.option("--reason", callback=a_reason, help="Why; whoever asked is told.")
@shared
def cancel(approval: str, reason: str | None, url: str | None, as_json: bool) -> None:
    """Withdraw what is still pending. For admins."""
    _tell(_post(connect(url), approval, "cancel", {"reason": reason}), "cancelled", as_json)


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
