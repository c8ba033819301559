"""What many commands share: `--url`, `--json`, ids, durations, and the connection made from them."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from signoff.cli.connection import Server
from signoff.cli.failures import NotConfigured
from signoff.cli.visible import visible
from signoff.config import Config, load_reviewer_config
from signoff.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])
_KEY_VARIABLE: Final = "SIGNOFF_REVIEWER_KEY"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_DURATION: Final = re.compile(r"([1-9][0-9]{0,9})([smhd]?)", re.ASCII)
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def shared(command: F) -> F:
    """Adds `--url` and `--json`."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")(command)
    return click.option("--url", help="The server, with the key of SIGNOFF_REVIEWER_KEY.")(command)


def connect(url: str | None) -> Server:
    """The server as the reviewer sees it. An application's credentials are never looked at. Raises `Failure`."""
    try:
        return Server(_config(url))
    except ConfigurationError as error:
        raise NotConfigured(visible(str(error))) from None


def _config(url: str | None) -> Config:
    if url is None:
        return load_reviewer_config()
    key = _reviewer_key()
    if key is not None:
        return load_reviewer_config(url, key)
    found = load_reviewer_config()
    if Config(url, found.key).url != found.url:
        # A key that was written for one server is never sent to another.
        raise ConfigurationError(f"--url names another server than .signoff/reviewer.json: set {_KEY_VARIABLE}.")
    return found


def _reviewer_key() -> str | None:
    """By way of click, which reads the variables of options: a key is never given on a command line."""
    found = click.Option(["--key"], envvar=_KEY_VARIABLE).resolve_envvar_value(click.get_current_context())
    return found or None


def an_id(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """A callback: an id as the server gave it, whole."""
    if value is not None and not _ID.fullmatch(value):
        raise click.BadParameter("an id is like apr_ and 26 characters; signoff approvals lists them")
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
