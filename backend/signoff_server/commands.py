"""What the backend adds to the command `signoff`: `dev`, `serve`, `setup`, `rebuild`."""

import asyncio
import getpass
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import click

from signoff_server import serving
from signoff_server.app import build, open_server
from signoff_server.core.events import SYSTEM
from signoff_server.core.refusals import Refusal
from signoff_server.dev_worker import keep_worker
from signoff_server.service.rebuild import LedgerDamaged
from signoff_server.service.rebuild import rebuild as make_again
from signoff_server.settings import SettingsError, load
from signoff_server.store.dialects import ACCEPTED, DatabaseRefused, open_engines, shown
from signoff_server.store.migrations import upgrade
from signoff_server.web.server import Server
from signoff_server.web.users import link_url
from signoff_server.world import World

WORKER_SCOPES: Final = ("work",)
APP_SCOPES: Final = ("approvals:create", "executions:write", "workflows:write")
REVIEWER_SCOPES: Final = ("approvals:decide", "audit:read", "admin")
_DEV_PORT: Final = 8484


def _database_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--database", help=f"{ACCEPTED[0].upper()}{ACCEPTED[1:]}. [default: {default}]")


@click.command()
@_database_option(".signoff/signoff.db")
@click.option("--port", type=click.IntRange(1, 65_535), help="Port to listen on; kept over restarts.")
@click.option("--worker/--no-worker", "with_worker", default=True, help="Run the tools of this folder. [default: yes]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line once it is ready to serve.")
def dev(database: str | None, port: int | None, with_worker: bool, as_json: bool) -> None:
    """Serve this folder: database, project and keys in .signoff/, its tools by a worker; nothing to configure."""
    folder = Path(".signoff").absolute()
    folder.mkdir(mode=0o700, exist_ok=True)
    known = _port_of(folder / "app.json")
    chosen = port or known
    with _refused():
        listener = serving.listen("127.0.0.1", chosen or _DEV_PORT, or_any=chosen is None)
        settings = load(
            {
                "database": database or str(folder / "signoff.db"),
                "environment": "dev",
                "port": listener.getsockname()[1],
                "host": "127.0.0.1",
                "project": "dev",
            },
            {},
        )
        server = open_server(settings, World())
    _log_to_stderr("warning")

    async def run() -> None:
        ready = await _dev_project(server, folder)
        beside: list[asyncio.Task[None]] = []

        def serves() -> None:
            _say_ready(ready, as_json)
            if with_worker:
                environment = {"SIGNOFF_URL": ready.url, "SIGNOFF_WORKER_KEY": ready.worker_key}
                beside.append(asyncio.create_task(keep_worker(server.work, ready.project, folder, environment)))

        try:
            await serving.serve(build(server), server, listener, serves)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    serving.run(run())


@click.command()
@_database_option("signoff.db")
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one. [default: 8484]")
@click.option("--public-url", help="How people reach this server, as https://signoff.example.org.")
@click.option("--allowed-hosts", help="More names for the Host header, separated by commas.")
@click.option("--environment", help="dev, test or live: the middle of every key issued. [default: live]")
@click.option("--log-level", help="debug, info, warning or error. [default: info]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line once it is ready to serve.")
def serve(as_json: bool, **options: Any) -> None:
    """Serve in production. `signoff setup` makes the first key."""
    with _refused():
        settings = load(options)
        listener = serving.listen(settings.host, settings.port)
        # The port is part of the address that people are told, also where a free one was taken.
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        server = open_server(settings, World())
    _log_to_stderr(settings.log_level)
    database = shown(settings.database)
    line = {"url": server.url, "database": database, "pid": os.getpid()}

    def ready() -> None:
        click.echo(json.dumps(line) if as_json else f"signoff serves {database} at {server.url}")

    serving.run(serving.serve(build(server), server, listener, ready))


@click.command()
@_database_option("signoff.db")
@click.option("--project", help="Name of the project. [default: default]")
@click.option("--environment", help="dev, test or live: the middle of the key. [default: live]")
@click.option("--name", required=True, help="Name of the human who administers it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def setup(name: str, as_json: bool, **options: Any) -> None:
    """Make a project, its first admin and their key. A server on a file must not be running."""
    with _refused():
        settings = load(options)
        server = open_server(settings, World())

    async def run() -> dict[str, str]:
        try:
            people = server.principals
            project = await people.project(settings.project)
            if await people.named(project, name):
                _fail(f"there is a principal named {name}; an admin issues keys with `signoff keys issue`", 4)
            admin = await people.create(project, SYSTEM, name=name, kind="human", role="admin", owner=None)
            issued = await people.issue(project, SYSTEM, principal=admin.id, scopes=REVIEWER_SCOPES)
            return {"project": project, "principal": admin.id, "name": name, "key": issued.text}
        finally:
            server.database.close()

    made = asyncio.run(run())
    if as_json:
        click.echo(json.dumps(made))
        return
    click.echo(
        f"project    {made['project']} ({settings.project})\nprincipal  {made['principal']} ({name}, human, admin)"
    )
    click.echo(f"key        {made['key']}\n\nThis key is shown this once. For the commands that review and administer:")
    click.echo(f"  export SIGNOFF_REVIEWER_KEY={made['key']}")


@click.command()
@_database_option("signoff.db")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def rebuild(as_json: bool, **options: Any) -> None:
    """Check the ledger and make all that is derived from it again. Stop the servers first."""
    with _refused():
        settings = load(options)
        engines = open_engines(settings.database)
        try:
            upgrade(engines)
            with engines.writer.begin() as connection:
                done = make_again(connection, World().now())
        except LedgerDamaged as error:
            _fail(f"{error}. Nothing was changed; restore the database from a backup", 1)
        finally:
            engines.close()
    if as_json:
        click.echo(json.dumps([{"project": one.project, "events": one.events} for one in done]))
        return
    for one in done:
        click.echo(f"{one.project}: {one.events} events, everything derived from them was made again")


# ---------------------------------------------------------------- the development project


@dataclass(frozen=True, slots=True)
class _Ready:
    url: str
    project: str
    app_key: str
    reviewer_key: str
    worker_key: str
    database: str
    sign_in_url: str | None


async def _dev_project(server: Server, folder: Path) -> _Ready:
    """Project, principals and keys as they were, or made where they are missing."""
    project = await server.principals.project(server.settings.project)
    app = await _credentials(server, project, folder / "app.json", "app", "service", "member", APP_SCOPES)
    reviewer = await _credentials(
        server, project, folder / "reviewer.json", _user_name(), "human", "admin", REVIEWER_SCOPES
    )
    worker = await _credentials(server, project, folder / "worker.json", "worker", "service", "member", WORKER_SCOPES)
    link = await _sign_in_url(server, project, reviewer)
    return _Ready(server.url, project, app, reviewer, worker, shown(server.settings.database), link)


async def _sign_in_url(server: Server, project: str, reviewer_key: str) -> str | None:
    """A fresh link for the reviewer, who is let in where they were not; None where their role does not sign in."""
    held = await server.principals.holder(reviewer_key)
    if held is None:
        return None
    try:
        await server.accounts.admit(project, held.principal)
        return link_url(server.url, await server.accounts.sign_in_link(project, held.principal))
    except Refusal:
        return None


async def _credentials(
    server: Server, project: str, path: Path, name: str, kind: str, role: str, scopes: tuple[str, ...]
) -> str:
    kept = str(_read(path).get("key", ""))
    held = await server.principals.holder(kept) if kept else None
    if held is not None and held.project == project:
        key, principal = kept, held.principal
    else:
        principal = (await server.principals.ensure(project, name=name, kind=kind, role=role)).id
        key = (await server.principals.issue(project, SYSTEM, principal=principal, scopes=scopes)).text
    _write(path, {"url": server.url, "project": project, "principal": principal, "key": key})
    return key


def _user_name() -> str:
    with suppress(KeyError, OSError):
        found = re.sub(r"[^A-Za-z0-9._-]", "-", getpass.getuser())[:60]
        if re.match(r"[A-Za-z0-9]", found) and found.lower() not in ("app", "worker"):
            return found
    return "reviewer"


def _say_ready(ready: _Ready, as_json: bool) -> None:
    if as_json:
        line = {
            "url": ready.url,
            "project": ready.project,
            "app_key": ready.app_key,
            "reviewer_key": ready.reviewer_key,
            "worker_key": ready.worker_key,
            "sign_in_url": ready.sign_in_url,
            "database": ready.database,
            "pid": os.getpid(),
        }
        click.echo(json.dumps(line))
    else:
        click.echo(f"signoff serves this folder at {ready.url}")
        click.echo("  ask     from signoff import require_approval   (in this folder, nothing else to set)")
        click.echo("  run     signoff run workflow.yaml   (signoff init writes one, and the tools that it calls)")
        click.echo("  decide  signoff approvals · signoff approve ID · signoff reject ID --reason TEXT")
        if ready.sign_in_url:
            click.echo(f"  look    {ready.sign_in_url}")
            click.echo("          (signs you in, once, within 10 minutes; another: signoff open)")
    sys.stdout.flush()


def _port_of(path: Path) -> int | None:
    return urlsplit(str(_read(path).get("url", ""))).port


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        _fail(f"{path} is not JSON; remove it and a new key is made", 1)
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: dict[str, str]) -> None:
    """Whole or not at all, and for the owner's eyes only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


# ---------------------------------------------------------------- saying no


@contextmanager
def _refused() -> Iterator[None]:
    """Turns what cannot be set up into one line and an exit code."""
    try:
        yield
    except SettingsError as error:
        _fail(str(error), 2)
    except DatabaseRefused as error:
        _fail(str(error), 1)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"signoff: {message}", err=True)
    sys.exit(code)


def _log_to_stderr(level: str) -> None:
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=level.upper(), format=form, stream=sys.stderr)
