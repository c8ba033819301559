"""The table of commands: our own, and those that installed packages add by the entry-point group `signoff.commands`.

A command's file is imported when the command is called, and no sooner; `--help` reads this table alone.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from signoff.cli.failures import ExtraMissing

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "signoff.commands"


class Own(NamedTuple):
    """Where a command of ours lies, and what it does; `attribute` where its name there is not that of the command."""

    module: str
    help: str
    attribute: str = ""


OWN: Final[Mapping[str, Own]] = {
    "init": Own("init", "Write a workflow and its tools to begin with."),
    "run": Own("run", "Run a workflow, and follow it to its end."),
    "executions": Own("executions", "List the runs."),
    "inspect": Own("executions", "Show everything about one run."),
    "signal": Own("signalling", "Send a run a signal that it waits for."),
    "workflows": Own("workflows", "List the registered workflows; or show one."),
    "validate": Own("workflows", "Check a workflow file."),
    "schema": Own("workflows", "Print the JSON Schema of workflow files."),
    "approvals": Own("inbox", "List what waits for a decision."),
    "show": Own("show", "Show everything about one approval."),
    "approve": Own("decide", "Approve it."),
    "reject": Own("decide", "Reject it, and say why."),
    "cancel": Own("decide", "Withdraw what is still pending; or end a run."),
    "resolve": Own("decide", "Say what came of it where nobody reported."),
    "events": Own("events", "Print what happened, oldest first."),
    "policy": Own("policy", "Show the policy; or set or test it."),
    "principals": Own("principals", "List who asks and who decides; or make one."),
    "users": Own("users", "List who may sign in; or add or remove one."),
    "keys": Own("keys", "List API keys; or issue or revoke one."),
    "open": Own("opening", "Open the pages of signoff dev in a browser.", "open_"),
    "worker": Own("worker", "Run tools for the workflows of a server."),
    "version": Own("version", "Print the version of what is installed here."),
}
# Of commands that another package adds, what is known without importing them.
ADDED: Final[Mapping[str, str]] = {
    "dev": "Serve this folder, nothing to configure.",
    "serve": "Serve in production.",
    "setup": "Make a project, its first admin and their key.",
    "rebuild": "Check the ledger and make all that is derived from it again.",
}


class Commands(click.Group):
    """Knows its commands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*OWN, *(name for name in _added() if name not in OWN)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = OWN.get(cmd_name)
        if own is not None:
            found = getattr(importlib.import_module(f"signoff.cli.{own.module}"), own.attribute or cmd_name)
        else:
            entry = _added().get(cmd_name)
            found = None if entry is None else _load(entry)
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, own.help) for name, own in OWN.items()])
        added = {name: _short_help(entry) for name, entry in _added().items() if name not in OWN}
        if added:
            with formatter.section("Commands that serve"):
                formatter.write_dl(list(added.items()))


def _added() -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points

    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    known = [name for name in ADDED if name in found]
    return {name: found[name] for name in [*known, *sorted(found.keys() - set(known))]}


def _short_help(entry: "EntryPoint") -> str:
    return ADDED.get(entry.name) or f"Added by {entry.dist.name if entry.dist else entry.module}."


def _load(entry: "EntryPoint") -> Any:
    try:
        return entry.load()
    except ImportError as error:
        missing = error.name or entry.module
        if entry.name in ADDED:
            how = f"`{entry.name}` needs the server, which is an extra: pip install 'signoff[server]'"
        else:
            how = f"`{entry.name}` cannot be loaded: install {entry.dist.name if entry.dist else entry.module} anew"
        raise ExtraMissing(f"{how} (missing: {missing}).") from error
