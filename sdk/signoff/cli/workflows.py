"""`signoff workflows`, `validate`, `schema`: what a workflow file says, and whether it may."""

import json
import re
from collections.abc import Iterator
from typing import Final

import click

from signoff.cli import times
from signoff.cli.approval_lines import person
from signoff.cli.failures import Failure, Refused
from signoff.cli.files import fault_lines, placed, read
from signoff.cli.layout import GAP, fold, screen_width, table, tree
from signoff.cli.options import connect_app, shared_by_apps
from signoff.cli.output import document, note, say, say_fitted
from signoff.cli.replies import Record
from signoff.cli.workflow_replies import REGISTERED_WORKFLOWS, WORKFLOW, WORKFLOW_SUMMARY
from signoff.protocol.visible import visible

_PATH: Final = "/v1/workflows"
_HEADERS: Final = ["WORKFLOW", "VERSION", "AGE", "REGISTERED BY", "DESCRIPTION"]
_LONGEST_NAME: Final = 32
_LONGEST_DESCRIPTION: Final = 100
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


def a_workflow(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """A callback: the id of a workflow, which becomes part of a path."""
    if value is not None and not _ID.fullmatch(value):
        raise click.BadParameter("a workflow's id is small letters, digits, _ and -; signoff workflows lists them")
    return value


@click.command()
@click.argument("workflow", metavar="[ID]", callback=a_workflow, required=False)
@click.option("--version", help="Show this version. [default: the one registered last]")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most.")
@shared_by_apps
def workflows(workflow: str | None, version: str | None, limit: int, url: str | None, as_json: bool) -> None:
    """List the registered workflows, each version, newest first; or show the one with that ID, with its file."""
    if workflow is None and version is not None:
        raise click.UsageError("--version is of one workflow: name its ID.")
    server = connect_app(url)
    if workflow is not None:
        about = f"workflow {workflow}" + (f" in version {version}" if version else "")
        found = server.get(f"{_PATH}/{workflow}", WORKFLOW, {"version": version}, about=about)
    else:
        found = server.pages(_PATH, WORKFLOW_SUMMARY, limit=limit)
    if as_json:
        document(found)
    elif workflow is not None:
        say_fitted(_lines(found))
    else:
        _list(found)


@click.command()
@click.argument("file")
@shared_by_apps
def validate(file: str, url: str | None, as_json: bool) -> None:
    """Check a workflow file, and say each fault as FILE:LINE:COLUMN. Nothing is registered."""
    server = connect_app(url)
    try:
        found = server.send("POST", f"{_PATH}/validate", read(file), REGISTERED_WORKFLOWS, about="workflow file")
    except Refused as refused:
        if not refused.faults:
            raise
        raise _told(file, refused, as_json) from None
    if as_json:
        document({"valid": True, "workflows": found["workflows"], "faults": []})
        return
    names = ", ".join(f"{visible(each['workflow_id'])} {visible(each['version'])}" for each in found["workflows"])
    click.echo(f"{visible(file)} is valid: {names}.")


@click.command()
@shared_by_apps
def schema(url: str | None, as_json: bool) -> None:
    """Print the JSON Schema of workflow files, by which editors complete and check them.

    Save it, and let the first line of a workflow file name it:

    \b
      # yaml-language-server: $schema=workflow.schema.json
    """
    found = connect_app(url).get("/workflow.schema.json", {})
    if as_json:
        document(found)
    else:
        click.echo(json.dumps(found, indent=2).replace("\x7f", "\\u007f"))


def _told(file: str, refused: Refused, as_json: bool) -> Failure:
    """The faults go to stdout: they are what was asked for."""
    if as_json:
        faults = [{**placed(each)._asdict(), "pointer": each.pointer} for each in refused.faults]
        document({"valid": False, "workflows": [], "faults": faults})
    else:
        say(fault_lines(file, refused))
    count = len(refused.faults)
    return Failure(f"{visible(file)} is not valid: {count} {'fault' if count == 1 else 'faults'}.")


def _list(found: Record) -> None:
    if not found["data"]:
        note("There is none. signoff run FILE registers one and runs it.")
        return
    say(table(list(map(_cells, found["data"])), _HEADERS, screen_width()))
    if found["next_cursor"] is not None:
        note(f"There are more than these {len(found['data'])}: give --limit.")


def _cells(each: Record) -> list[str]:
    by = each["registered_by"]
    return [
        fold(each["workflow_id"], _LONGEST_NAME),
        fold(each["version"], _LONGEST_NAME),
        times.age(each["registered_at"]),
        fold(by["name"] or by["id"] or "the system", _LONGEST_NAME),
        fold(each["description"] or "", _LONGEST_DESCRIPTION),
    ]


def _lines(workflow: Record) -> Iterator[str]:
    yield f"{visible(workflow['workflow_id'])} {visible(workflow['version'])}"
    if workflow["description"]:
        yield visible(workflow["description"])
    yield ""
    at = workflow["registered_at"]
    yield f"registered    {times.shown(at)}, {times.age(at)} ago, by {person(workflow['registered_by'])}"
    yield f"digest        {visible(workflow['digest'])}"
    yield f"nodes         {', '.join(map(visible, workflow['nodes']))}"
    yield f"tools         {', '.join(map(visible, workflow['tools'])) or 'none'}"
    if workflow["input_schema"]:
        yield from ("", "input schema", *tree(workflow["input_schema"], GAP))
    yield from (
        "",
        "file",
        *(f"{GAP}{visible(line)}".rstrip() for line in workflow["source"].removesuffix("\n").split("\n")),
    )
