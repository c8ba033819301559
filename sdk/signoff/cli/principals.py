"""`signoff principals`: who asks and who decides."""

from typing import Final

import click

from signoff.cli import times
from signoff.cli.connection import Server
from signoff.cli.failures import Failure
from signoff.cli.layout import fold, screen_width, table
from signoff.cli.options import connect, shared
from signoff.cli.output import document, say
from signoff.cli.replies import PRINCIPAL_RECORD, Record
from signoff.protocol.visible import visible

ROLES: Final = ("member", "reviewer", "auditor", "admin")
_PATH: Final = "/v1/principals"
_LONGEST_NAME: Final = 24


@click.group(invoke_without_command=True)
@shared
@click.pass_context
def principals(ctx: click.Context, url: str | None, as_json: bool) -> None:
    """List who asks and who decides; or make one. For admins."""
    if ctx.invoked_subcommand is not None:
        return
    found = connect(url).pages(_PATH, PRINCIPAL_RECORD)
    if as_json:
        document(found)
        return
    names = {each["id"]: each["name"] for each in found["data"]}
    say(
        table(
            [_cells(each, names) for each in found["data"]],
            ["NAME", "KIND", "ROLE", "OWNER", "AGE", "ID"],
            screen_width(),
        )
    )


@principals.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(["human", "service", "agent"]), required=True, help="What it is.")
@click.option("--owner", metavar="NAME|ID", help="The human who answers for it, and cannot decide its requests.")
@click.option("--role", type=click.Choice(ROLES), help="[default: member]")
@shared
@click.pass_context
def create(
    ctx: click.Context, name: str, kind: str, owner: str | None, role: str | None, url: str | None, as_json: bool
) -> None:
    """Make a principal. Issue a key for it next: signoff keys issue."""
    server, as_json = connect_within(ctx, url, as_json)
    owning = None if owner is None else principal_named(server, owner)["id"]
    made = server.post(_PATH, {"name": name, "kind": kind, "owner": owning, "role": role}, PRINCIPAL_RECORD)
    if as_json:
        document(made)
    else:
        about = f"{visible(made['kind'])}, {visible(made['role'])}"
        click.echo(f"{visible(made['id'])} {visible(made['name'])} ({about}) was made.")


def connect_within(ctx: click.Context, url: str | None, as_json: bool) -> tuple[Server, bool]:
    """`--url` and `--json` count before and after the name of a sub-command."""
    outer = ctx.parent.params if ctx.parent else {}
    return connect(url or outer.get("url")), as_json or bool(outer.get("as_json"))


def principal_named(server: Server, wanted: str) -> Record:
    """The principal with this id, or else with this name, whatever its case. Raises `Failure`."""
    everyone = server.pages(_PATH, PRINCIPAL_RECORD)["data"]
    by_id: list[Record] = [each for each in everyone if each["id"] == wanted]
    found = by_id or [each for each in everyone if each["name"].casefold() == wanted.casefold()]
    if not found:
        raise Failure(f"There is no principal {visible(wanted)} in this project: signoff principals lists them.")
    return found[0]


def _cells(each: Record, names: dict[str, str]) -> list[str]:
    owner = each["owner"]
    shown = [each["name"], each["kind"], each["role"], names.get(owner, owner) if owner else "-"]
    return [*(fold(cell, _LONGEST_NAME) for cell in shown), times.age(each["created_at"]), visible(each["id"])]
