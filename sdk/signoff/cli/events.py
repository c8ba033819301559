"""`signoff events`: the ledger, oldest first."""

from collections.abc import Iterator
from typing import Any, Final

import click

from signoff.cli import times
from signoff.cli.connection import Params, Server, ledger_pages
from signoff.cli.failures import Failure
from signoff.cli.following import changes
from signoff.cli.layout import GAP, UNDER, pairs, screen_width, width
from signoff.cli.options import an_id, connect, shared
from signoff.cli.output import document
from signoff.cli.refusal import unknown
from signoff.cli.replies import Record
from signoff.protocol.visible import visible

_TELLING: Final = (
    "node",
    "node_id",
    "name",
    "tool",
    "workflow_id",
    "visit",
    "attempt",
    "approval_id",
    "decision",
    "outcome",
    "fence",
    "code",
    "message",
    "error",
    "comment",
    "reason",
    "detail",
    "kind",
    "role",
    "principal",
    "scopes",
)
_TYPE: Final = 24
_LEAST_TELLING: Final = 40


@click.command()
@click.argument("subject", metavar="[ID]", callback=an_id, required=False)
@click.option("--type", "glob", help="Only these types, as approval.*; * stands for any run of characters, ? for one.")
@click.option("--after", type=click.IntRange(0), default=0, show_default=True, help="Begin after this event's number.")
@click.option("--follow", is_flag=True, help="Go on printing until Ctrl-C.")
@shared
def events(subject: str | None, glob: str | None, after: int, follow: bool, url: str | None, as_json: bool) -> None:
    """Print what happened, oldest first: to everything, or to the one thing with that ID, as a run or an approval."""
    server = connect(url)
    filters = {"type": glob, "subject": subject}
    told: list[Record] = []
    found, last = False, after
    for page in ledger_pages(server, after, filters):
        found, last = found or bool(page["data"]), page["next_after"]
        if as_json and not follow:
            told += page["data"]
        else:
            _print(page["data"], as_json)
    if subject is not None and glob is None and after == 0 and not found:
        raise Failure(unknown(subject))
    if follow:
        _follow(server, last, filters, as_json)
    elif as_json:
        document({"data": told, "next_after": last})


def _follow(server: Server, after: int, filters: Params, as_json: bool) -> None:
    try:
        for event in changes(server, after, filters):
            _print([event], as_json)
    except KeyboardInterrupt:
        return


def _print(page: list[Record], as_json: bool) -> None:
    for event in page:
        if as_json:
            document(event)
        else:
            click.echo(_line(event))


def _line(event: Record) -> str:
    actor = event["actor"]
    who = f"{visible(actor['id'] or 'the system')} ({visible(actor['kind'])} via {visible(actor['via'])})"
    what = f"{visible(event['type']):<{_TYPE}}  {visible(event['subject'])}"
    head = f"{event['seq']:>6}  {times.shown(event['at'])}  {what}  {who}"
    room = screen_width() - width(head) - len(GAP)
    telling = pairs(dict(_telling(event)), room if room >= _LEAST_TELLING else screen_width() - len(UNDER))
    return head if not telling else f"{head}{GAP if room >= _LEAST_TELLING else chr(10) + UNDER}{telling}"


def _telling(event: Record) -> Iterator[tuple[str, Any]]:
    for source in (event["facts"], event["data"] or {}):
        for member in _TELLING:
            if source.get(member) is not None:
                yield member, source[member]
