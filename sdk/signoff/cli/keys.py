"""`signoff keys`: API keys, each shown once."""

from typing import Final

import click

from signoff.cli import times
from signoff.cli.layout import fold, screen_width, table
from signoff.cli.options import a_duration, an_id, connect, shared
from signoff.cli.output import document, note, say
from signoff.cli.principals import connect_within, principal_named
from signoff.cli.replies import ISSUED_KEY, KEY, Record
from signoff.protocol.visible import visible

SCOPES: Final = (
    "approvals:create",
    "approvals:redeem",
    "approvals:decide",
    "executions:write",
    "workflows:write",
    "work",
    "audit:read",
    "admin",
)
_PATH: Final = "/v1/keys"
_LONGEST_NAME: Final = 24


@click.group(invoke_without_command=True)
@shared
@click.pass_context
def keys(ctx: click.Context, url: str | None, as_json: bool) -> None:
    """List API keys; or issue or revoke one. For admins."""
    if ctx.invoked_subcommand is not None:
        return
    found = connect(url).pages(_PATH, KEY)
    if as_json:
        document(found)
    else:
        say(table(list(map(_cells, found["data"])), ["ID", "PRINCIPAL", "STATE", "AGE", "SCOPES"], screen_width()))


@keys.command()
@click.argument("principal", metavar="PRINCIPAL")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="May be given again.")
@click.option(
    "--expires-in",
    metavar="DURATION",
    callback=a_duration,
    help="Seconds, or as 90m, 12h, 30d. [default: until revoked]",
)
@shared
@click.pass_context
def issue(
    ctx: click.Context, principal: str, scopes: tuple[str, ...], expires_in: int | None, url: str | None, as_json: bool
) -> None:
    """Issue a key to a PRINCIPAL, by its name or id. The key is shown this once."""
    server, as_json = connect_within(ctx, url, as_json)
    holder = principal_named(server, principal)
    body = {"principal": holder["id"], "scopes": list(dict.fromkeys(scopes)), "expires_in": expires_in}
    issued = server.post(_PATH, body, ISSUED_KEY)
    if as_json:
        document(issued)
        return
    until = f"until {times.shown(issued['expires_at'])}" if issued["expires_at"] else "until it is revoked"
    note(f"{visible(issued['id'])} for {visible(holder['name'])}, {until}. The key is shown this once:")
    click.echo(visible(issued["key"]))


@keys.command()
@click.argument("key", metavar="ID", callback=an_id)
@shared
@click.pass_context
def revoke(ctx: click.Context, key: str, url: str | None, as_json: bool) -> None:
    """Revoke a key: within a second it opens nothing."""
    server, as_json = connect_within(ctx, url, as_json)
    server.delete(f"{_PATH}/{key}", about=key)
    if as_json:
        document({"id": key, "revoked": True})
    else:
        click.echo(f"{key} revoked.")


def _cells(key: Record) -> list[str]:
    holder = key["principal"]
    return [
        visible(key["id"]),
        fold(holder["name"] or holder["id"] or "-", _LONGEST_NAME),
        _state(key),
        times.age(key["created_at"]),
        " ".join(map(visible, key["scopes"])),
    ]


def _state(key: Record) -> str:
    if key["revoked_at"] is not None:
        return "revoked"
    if key["expires_at"] is None:
        return "stands"
    left = times.left(key["expires_at"])
    return "expired" if left == "0s" else f"{left} left"
