"""`signoff approvals`: what waits for a decision, and what becomes of it while you look."""

import re
from collections.abc import Iterator
from typing import Final

import click
from click.core import ParameterSource

from signoff.cli import times
from signoff.cli.approval_lines import in_one_line, inbox, person
from signoff.cli.connection import Server
from signoff.cli.execution_inbox import list_approvals
from signoff.cli.following import changes
from signoff.cli.globs import matcher
from signoff.cli.layout import screen_width
from signoff.cli.options import an_execution, connect, shared
from signoff.cli.output import document, note, say
from signoff.cli.replies import APPROVAL, EVENT_PAGE, Record
from signoff.protocol.visible import visible

STATUSES: Final = ("pending", "approved", "rejected", "expired", "cancelled", "all")
_APPROVALS: Final = "/v1/approvals"
_ROOM: Final = 120
_DECIDED: Final = re.compile(r"approval\.(approved|rejected|expired|cancelled)")


@click.command()
@click.argument("execution", metavar="[EXECUTION_ID]", callback=an_execution, required=False)
@click.option("--status", type=click.Choice(STATUSES), default="pending", show_default=True, help="Which to list.")
@click.option("--name", help="Only these names; * stands for any run of characters, ? for one.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most.")
@click.option("--watch", is_flag=True, help="Go on printing new and decided ones until Ctrl-C.")
@shared
@click.pass_context
def approvals(
    ctx: click.Context,
    execution: str | None,
    status: str,
    name: str | None,
    limit: int,
    watch: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """List what waits for a decision, newest first; or show what one run waits for, and what was decided in it."""
    if execution is not None:
        _refuse_filters(ctx)
        list_approvals(connect(url), execution, as_json)
        return
    server = connect(url)
    after = _end_of_ledger(server) if watch else 0
    filters = {"status": None if status == "all" else status, "name": name}
    found = server.pages(_APPROVALS, APPROVAL, filters, limit=limit)
    if watch:
        _watch(server, found["data"], after, status, name, as_json)
    elif as_json:
        document(found)
    else:
        _print(found, status)


def _refuse_filters(ctx: click.Context) -> None:
    for name in ("status", "name", "limit", "watch"):
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} is of the whole list: a run's approvals are shown whole.")


def _print(found: Record, status: str) -> None:
    if not found["data"]:
        note("Nothing waits for a decision." if status == "pending" else "There is none.")
        return
    say(inbox(found["data"], screen_width()))
    if found["next_cursor"] is not None:
        note(f"There are more than these {len(found['data'])}: give --limit, or narrow it with --name.")


def _watch(server: Server, listed: list[Record], after: int, status: str, name: str | None, as_json: bool) -> None:
    """Ctrl-C is the way to end it, and no failure."""
    if as_json:
        for approval in listed:
            document({"change": "listed", "approval": approval})
    else:
        _print({"data": listed, "next_cursor": None}, status)
        note("Watching; Ctrl-C ends it.")
    wanted = matcher(name or "*")
    try:
        for change, approval in _changed(server, {each["id"] for each in listed}, after, status):
            if not wanted(approval["name"]):
                continue
            if as_json:
                document({"change": change, "approval": approval})
            else:
                click.echo(_line(change, approval))
    except KeyboardInterrupt:
        return


def _changed(server: Server, listed: set[str], after: int, status: str) -> Iterator[tuple[str, Record]]:
    for event in changes(server, after):
        requested, decided = event["type"] == "approval.requested", _DECIDED.fullmatch(event["type"])
        if requested and status in ("pending", "all") and event["subject"] not in listed:
            yield "requested", _read(server, event["subject"])
        elif decided and status in ("pending", "all", decided[1]):
            yield decided[1], _read(server, event["subject"])


def _read(server: Server, approval: str) -> Record:
    return server.get(f"{_APPROVALS}/{approval}", APPROVAL, about=approval)


def _end_of_ledger(server: Server) -> int:
    """The number of the last event: where reading on leads that finds nothing."""
    page = server.get("/v1/events", EVENT_PAGE, {"subject": "nothing", "limit": 1})
    return int(page["next_after"])


def _line(change: str, approval: Record) -> str:
    verb = "new" if change == "requested" else change
    head = f"{times.now():%H:%M:%S}Z  {verb:<9}  "
    if change == "requested":
        return head + in_one_line(approval, _ROOM)
    return f"{head}{visible(approval['name'])}{_word(approval)}  {visible(approval['id'])}"


def _word(approval: Record) -> str:
    by = f"  by {person(approval['decided_by'])}" if approval["decided_by"] else ""
    return f"{by}: {visible(approval['reason'])}" if approval["reason"] else by
