"""`signoff policy`: which names are blocked, which need a person, and which rule speaks for a name."""

from collections.abc import Iterator
from typing import Final

import click

from signoff.cli import times
from signoff.cli.approval_lines import person
from signoff.cli.failures import Refused
from signoff.cli.files import faulty, read, read_text
from signoff.cli.layout import GAP
from signoff.cli.options import a_node, connect, shared
from signoff.cli.output import document, say_fitted
from signoff.cli.principals import connect_within
from signoff.cli.replies import Record
from signoff.cli.workflow_replies import POLICY, VERDICT
from signoff.protocol.visible import visible

_PATH: Final = "/v1/policy"
_SECTIONS: Final = ("blocked_tools", "require_approval_for", "allow")


@click.group(invoke_without_command=True)
@shared
@click.pass_context
def policy(ctx: click.Context, url: str | None, as_json: bool) -> None:
    """Show the project's policy; or set it, or test what it says of a name.

    It says which names are blocked and which need a person, in every workflow, and beside what a workflow says itself.
    """
    if ctx.invoked_subcommand is None:
        _print(connect(url).get(_PATH, POLICY), as_json)


@policy.command()
@shared
@click.pass_context
def show(ctx: click.Context, url: str | None, as_json: bool) -> None:
    """Show the project's policy."""
    server, as_json = connect_within(ctx, url, as_json)
    _print(server.get(_PATH, POLICY), as_json)


@policy.command(name="set")
@click.argument("file")
@shared
@click.pass_context
def set_policy(ctx: click.Context, file: str, url: str | None, as_json: bool) -> None:
    """Set the project's policy to what a YAML FILE says. For admins.

    The file has blocked_tools, require_approval_for and allow, lists of patterns, and default. It takes the place of
    the policy before; runs that were started keep the one they were started with.
    """
    server, as_json = connect_within(ctx, url, as_json)
    try:
        made = server.send("PUT", _PATH, read(file), POLICY, about="policy")
    except Refused as refused:
        raise faulty(file, refused) from None
    _print(made, as_json)


@policy.command(name="test")
@click.argument("name")
@click.option("--workflow", "file", metavar="FILE", help="A workflow file whose policy counts too.")
@click.option("--node", callback=a_node, help="A node of that file whose policy counts too.")
@shared
@click.pass_context
def judge(ctx: click.Context, name: str, file: str | None, node: str | None, url: str | None, as_json: bool) -> None:
    """Say which rule speaks for the NAME of a tool or approval.

    The verdict is allow, require_approval or block: by the project's policy, and those of --workflow and its --node.
    """
    if node is not None and file is None:
        raise click.UsageError("--node is of a workflow: name its file by --workflow.")
    server, as_json = connect_within(ctx, url, as_json)
    body = {"name": name, "workflow": None if file is None else read_text(file), "node_id": node}
    try:
        found = server.post(f"{_PATH}/judge", body, VERDICT)
    except Refused as refused:
        raise (refused if file is None else faulty(file, refused)) from None
    if as_json:
        document(found)
    else:
        say_fitted(_verdict(name, found))


def _print(found: Record, as_json: bool) -> None:
    if as_json:
        document(found)
    else:
        say_fitted(_lines(found))


def _lines(found: Record) -> Iterator[str]:
    for section in _SECTIONS:
        rules = [visible(each["match"]) for each in found[section]]
        yield from (section, *(f"{GAP}{rule}" for rule in rules or ["(no rule)"]))
    yield f"default{GAP}{visible(found['default'] or 'allow, since none is set')}"
    if found["changed_at"]:
        by = f" by {person(found['changed_by'])}" if found["changed_by"] else ""
        yield f"changed{GAP}{times.shown(found['changed_at'])}{by}"


def _verdict(name: str, found: Record) -> Iterator[str]:
    speaks = found["rule"]
    yield f"{visible(name)}: {visible(found['verdict'])}, {_rule(speaks) if speaks else 'since no rule names it'}"
    for each in found["matched"]:
        if each != speaks:
            yield f"{GAP}also named by {_rule(each)}"


def _rule(rule: Record) -> str:
    return "/".join(visible(part) for part in (rule["scope"], rule["section"], rule["pattern"]) if part)
