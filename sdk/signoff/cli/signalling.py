"""`signoff signal`: tells a run that something has happened that a node of it waits for."""

import re
from typing import Final

import click

from signoff.cli.failures import untrusted
from signoff.cli.files import an_object
from signoff.cli.options import a_key, an_execution, connect_app, shared_by_apps
from signoff.cli.output import document
from signoff.cli.replies import Record
from signoff.cli.workflow_replies import EXECUTION
from signoff.protocol.visible import visible

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)


def a_signal(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """A callback: the name of a signal."""
    if not _NAME.fullmatch(value):
        raise click.BadParameter("a signal's name is letters, digits, _ . -, as the node says it under event")
    return value


@click.command()
@click.argument("execution", metavar="EXECUTION_ID", callback=an_execution)
@click.argument("name", callback=a_signal)
@click.option("--payload", metavar="JSON|@FILE", callback=an_object, help="What the waiting node has as its output.")
@click.option(
    "--idempotency-key", metavar="KEY", callback=a_key, help="The same key signals once, however often it is sent."
)
@shared_by_apps
def signal(
    execution: str, name: str, payload: Record | None, idempotency_key: str | None, url: str | None, as_json: bool
) -> None:
    """Send a run the signal NAME, for which a node of type wait (event: NAME) waits, or will wait."""
    body = {"name": name, "payload": payload}
    path = f"/v1/executions/{execution}/signal"
    said = connect_app(url).post(path, body, EXECUTION, about=execution, key=idempotency_key)
    if said["id"] != execution:
        raise untrusted("it is about another run")
    if as_json:
        document(said)
    else:
        click.echo(f"{visible(execution)} has the signal {visible(name)}.")
