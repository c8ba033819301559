"""`signoff users`: who may sign in."""

from typing import Final

import click

from signoff.cli import times
from signoff.cli.connection import Server
from signoff.cli.failures import Failure
from signoff.cli.layout import fold, screen_width, table
from signoff.cli.options import connect, shared
from signoff.cli.output import document, note, say
from signoff.cli.principals import connect_within
from signoff.cli.replies import ADDED_USER, SIGN_IN_LINK, USER, Record
from signoff.protocol.visible import visible

ROLES: Final = ("reviewer", "auditor", "admin")
_PATH: Final = "/v1/users"
_LONGEST_NAME: Final = 24


@click.group(invoke_without_command=True)
@shared
@click.pass_context
def users(ctx: click.Context, url: str | None, as_json: bool) -> None:
    """List who may sign in; or add, link, sign out or remove one. For admins."""
    if ctx.invoked_subcommand is None:
        _list(connect(url), as_json)


@users.command("list")
@shared
@click.pass_context
def list_users(ctx: click.Context, url: str | None, as_json: bool) -> None:
    """List who may sign in."""
    _list(*connect_within(ctx, url, as_json))


@users.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What they may do when they are signed in.")
@shared
@click.pass_context
def add(ctx: click.Context, name: str, role: str, url: str | None, as_json: bool) -> None:
    """Let a human sign in. The link to choose a password by is shown this once.

    Where there is a human of that NAME, they get the role, and keep the password that they have.
    """
    server, as_json = connect_within(ctx, url, as_json)
    added = server.post(_PATH, {"name": name, "role": role}, ADDED_USER)
    if as_json:
        document(added)
    else:
        _say_link(added, f"{visible(added['name'])} ({visible(added['role'])}) may sign in")


@users.command()
@click.argument("name", metavar="NAME|ID")
@shared
@click.pass_context
def link(ctx: click.Context, name: str, url: str | None, as_json: bool) -> None:
    """Make a link to choose a new password by: for who forgot theirs. It ends those before it."""
    server, as_json = connect_within(ctx, url, as_json)
    user = _named(server, name)
    made = server.post(f"{_PATH}/{user['id']}/link", {}, SIGN_IN_LINK, about=user["id"])
    if as_json:
        document(made)
    else:
        _say_link(made, f"A new password for {visible(user['name'])}")


@users.command()
@click.argument("name", metavar="NAME|ID")
@shared
@click.pass_context
def remove(ctx: click.Context, name: str, url: str | None, as_json: bool) -> None:
    """End the right to sign in, with password, links and sessions. API keys stay: signoff keys revoke."""
    server, as_json = connect_within(ctx, url, as_json)
    user = _named(server, name)
    server.delete(f"{_PATH}/{user['id']}", about=user["id"])
    _say_done(user, as_json, "removed", "may not sign in any more. Their API keys stay: signoff keys")


@users.command("sign-out")
@click.argument("name", metavar="NAME|ID")
@shared
@click.pass_context
def sign_out(ctx: click.Context, name: str, url: str | None, as_json: bool) -> None:
    """Sign somebody out everywhere, at once. They may sign in again."""
    server, as_json = connect_within(ctx, url, as_json)
    user = _named(server, name)
    server.delete(f"{_PATH}/{user['id']}/sessions", about=user["id"])
    _say_done(user, as_json, "signed_out", "is signed out everywhere.")


def _list(server: Server, as_json: bool) -> None:
    found = server.pages(_PATH, USER)
    if as_json:
        document(found)
    else:
        header = ["NAME", "ROLE", "PASSWORD", "SESSIONS", "AGE", "ID"]
        say(table(list(map(_cells, found["data"])), header, screen_width()))


def _named(server: Server, wanted: str) -> Record:
    """The user with this id, or else with this name, whatever its case. Raises `Failure`."""
    everyone = server.pages(_PATH, USER)["data"]
    by_id: list[Record] = [each for each in everyone if each["id"] == wanted]
    found = by_id or [each for each in everyone if each["name"].casefold() == wanted.casefold()]
    if not found:
        raise Failure(f"Nobody named {visible(wanted)} may sign in: signoff users lists who may.")
    return found[0]


def _say_link(made: Record, what: str) -> None:
    note(f"{what}. The link works once, until {times.shown(made['expires_at'])}; it is shown this once:")
    click.echo(visible(made["url"]))


def _say_done(user: Record, as_json: bool, what: str, said: str) -> None:
    if as_json:
        document({"id": user["id"], what: True})
    else:
        click.echo(f"{visible(user['name'])} {said}")


def _cells(user: Record) -> list[str]:
    return [
        fold(user["name"], _LONGEST_NAME),
        fold(user["role"], _LONGEST_NAME),
        "chosen" if user["has_password"] else "-",
        str(user["sessions"]),
        times.age(user["created_at"]),
        visible(user["id"]),
    ]
