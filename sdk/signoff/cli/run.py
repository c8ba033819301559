"""`signoff run`: starts a run of a workflow, and follows it to its end."""

import re
from typing import Final

import click

from signoff.cli.connection import Server
from signoff.cli.execution_lines import ending, took, workflow_of
from signoff.cli.failures import Failure, Refused, WronglyCalled
from signoff.cli.files import an_object, faulty, read
from signoff.cli.live import follow, view_for
from signoff.cli.options import a_key, connect_app, shared_by_apps
from signoff.cli.output import document, note
from signoff.cli.replies import Record
from signoff.cli.workflow_replies import EXECUTION, REGISTERED_WORKFLOWS
from signoff.protocol.visible import visible

_WORKFLOW_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
# As shells say it of what Ctrl-C ended: the run's outcome is not known, so nothing may take it for done.
_INTERRUPTED: Final = 130


@click.command()
@click.argument("workflow", metavar="WORKFLOW")
@click.option(
    "--input", "given", metavar="JSON|@FILE", callback=an_object, help="The run's input, a JSON object. [default: {}]"
)
@click.option("--no-follow", is_flag=True, help="Start it, print its id and end.")
@click.option(
    "--idempotency-key", metavar="KEY", callback=a_key, help="The same key starts it once, however often it is sent."
)
@click.option("--version", help="Which version of a registered workflow. [default: the one registered last]")
@shared_by_apps
def run(
    workflow: str,
    given: Record | None,
    no_follow: bool,
    idempotency_key: str | None,
    version: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Run a workflow: a YAML file, which is registered first, or the id of one that is registered.

    Follows it to its end: exit code 0 where it completed, 1 where it did not. Ctrl-C ends the following, not the run:
    exit code 130. A file that was edited under the same version is registered as a build of it, VERSION+DIGEST.
    """
    server = connect_app(url)
    if _WORKFLOW_ID.fullmatch(workflow):
        known, wanted = workflow, version
    elif version is not None:
        raise click.UsageError("--version names a registered workflow's; a file says its own.")
    else:
        known, wanted = _register(server, workflow)
    body = {"workflow_id": known, "version": wanted, "input": given}
    about = f"workflow {known}" + (f" in version {wanted}" if wanted else "")
    started = server.post("/v1/executions", body, EXECUTION, about=about, key=idempotency_key)
    if no_follow:
        _print_started(started, as_json)
    else:
        _follow(server, started, as_json)


def _register(server: Server, path: str) -> tuple[str, str]:
    """The id and version that the file's workflow has from now on. Raises `Failure`."""
    try:
        said = server.send(
            "POST",
            "/v1/workflows",
            read(path),
            REGISTERED_WORKFLOWS,
            {"on_conflict": "build"},
            about="workflow file",
        )
    except Refused as refused:
        raise faulty(path, refused) from None
    found = said["workflows"]
    if len(found) != 1:
        names = ", ".join(visible(each["workflow_id"]) for each in found)
        raise WronglyCalled(f"{visible(path)} holds several workflows, now registered: run one by its id: {names}.")
    (one,) = found
    if is_build(one):
        note(
            f"{visible(path)} is not what {visible(one['workflow_id'])} {visible(one['version'].rpartition('+')[0])} "
            f"was registered with: it runs as the build {visible(one['version'])}."
        )
    return one["workflow_id"], one["version"]


def is_build(registered: Record) -> bool:
    """Whether the server made the version: it ends in `+` and the first eight digits of the file's digest."""
    digits = registered["digest"].removeprefix("sha256:")[:8]
    return len(digits) == 8 and bool(registered["version"].endswith(f"+{digits}"))


def _print_started(started: Record, as_json: bool) -> None:
    if as_json:
        document(started)
    else:
        click.echo(visible(started["id"]))


def _follow(server: Server, started: Record, as_json: bool) -> None:
    shown = visible(started["id"])
    try:
        if not as_json:
            click.echo(f"{shown}  {workflow_of(started)}")
        ended = follow(server, started, view_for(as_json))
    except KeyboardInterrupt:
        note(f"signoff: {shown} goes on; signoff inspect {shown} shows it, signoff cancel {shown} ends it.")
        raise click.exceptions.Exit(_INTERRUPTED) from None
    if ended["status"] != "completed":
        raise Failure(ending(ended))
    if not as_json:
        click.echo(f"{shown} completed in {took(ended)}.")
