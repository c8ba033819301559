"""What many commands share: `--url`, `--json`, ids, durations, and the connection made from them.

Those that review and administer ask as the reviewer, those that start and watch runs as the application; neither ever
uses the other's key.
"""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from signoff.cli.connection import Server
from signoff.cli.failures import NotConfigured
from signoff.config import Config, load_app_config, load_reviewer_config
from signoff.errors import ConfigurationError
from signoff.protocol.visible import visible

F = TypeVar("F", bound=Callable[..., Any])
_REVIEWER_KEY: Final = "SIGNOFF_REVIEWER_KEY"
_APP_KEY: Final = "SIGNOFF_API_KEY"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_NODE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_KEY: Final = re.compile(r"[ -~]{1,255}", re.ASCII)
_DURATION: Final = re.compile(r"([1-9][0-9]{0,9})([smhd]?)", re.ASCII)
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def shared(command: F) -> F:
    """Adds `--url` and `--json`."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")(command)
    return click.option("--url", help="The server, with the key of SIGNOFF_REVIEWER_KEY.")(command)


def shared_by_apps(command: F) -> F:
    """Adds `--url` and `--json` to what an application may do."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")(command)
    return click.option("--url", help="The server, with the key of SIGNOFF_API_KEY.")(command)


def connect(url: str | None) -> Server:
    """The server as the reviewer sees it. An application's credentials are never looked at. Raises `Failure`."""
    return _connected(url, load_reviewer_config, _REVIEWER_KEY, "reviewer.json")


def connect_app(url: str | None) -> Server:
    """The server as the application sees it. A reviewer's credentials are never looked at. Raises `Failure`."""
    return _connected(url, load_app_config, _APP_KEY, "app.json")


def _connected(url: str | None, load: Callable[..., Config], variable: str, file: str) -> Server:
    try:
        return Server(_config(url, load, variable, file))
    except ConfigurationError as error:
        raise NotConfigured(visible(str(error))) from None


def _config(url: str | None, load: Callable[..., Config], variable: str, file: str) -> Config:
    if url is None:
        return load()
    key = _key_in(variable)
    if key is not None:
        return load(url, key)
    found = load()
    if Config(url, found.key).url != found.url:
        # A key that was written for one server is never sent to another.
        raise ConfigurationError(f"--url names another server than .signoff/{file}: set {variable}.")
    return found


def _key_in(variable: str) -> str | None:
    """By way of click, which reads the variables of options: a key is never given on a command line."""
    found = click.Option(["--key"], envvar=variable).resolve_envvar_value(click.get_current_context())
    return found or None


def an_id(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """A callback: an id as the server gave it, whole."""
    if value is not None and not _ID.fullmatch(value):
        raise click.BadParameter(
            "an id is like apr_ or exe_ and 26 characters; signoff approvals and signoff executions list them"
        )
    return value


def an_execution(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A callback: the id of a run."""
    if value is not None and not is_execution(an_id(ctx, param, value) or ""):
        raise click.BadParameter("the id of a run is like exe_ and 26 characters; signoff executions lists them")
    return value


def is_execution(known: str) -> bool:
    return known.startswith("exe_")


def a_node(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """A callback: the id of a node, which becomes part of a path."""
    if value is not None and not _NODE.fullmatch(value):
        raise click.BadParameter("a node's id is letters, digits, _ and -; signoff inspect EXECUTION_ID lists them")
    return value


def a_key(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """A callback: an idempotency key, which goes into a header."""
    if value is not None and not (_KEY.fullmatch(value) and value == value.strip()):
        raise click.BadParameter("an idempotency key is 1 to 255 printable ASCII characters")
    return value


def a_reason(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """A callback: text that says something."""
    if value is not None and not value.strip():
        raise click.BadParameter("say why: the text is empty")
    return value


def a_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """A callback: seconds, or with a unit as 90m, 12h, 30d."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value)
    if found is None:
        raise click.BadParameter("give seconds, or a number with s, m, h or d, as 90m or 30d")
    return int(found[1]) * _SECONDS[found[2]]
