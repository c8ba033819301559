"""`signoff executions` and `signoff inspect`: the runs, and everything that is known of one."""

from collections.abc import Iterator
from typing import Any, Final

import click

from signoff.cli import times
from signoff.cli.approval_lines import person
from signoff.cli.execution_lines import next_steps, remark, standing, took, why, workflow_of
from signoff.cli.failures import Failure
from signoff.cli.layout import GAP, fold, scalar, screen_width, table, tree
from signoff.cli.options import a_node, an_execution, connect_app, shared_by_apps
from signoff.cli.output import document, note, say, say_fitted
from signoff.cli.refusal import closing
from signoff.cli.replies import Record
from signoff.cli.workflow_replies import EXECUTION, EXECUTION_APPROVALS, EXECUTION_SUMMARY, NODE_DETAIL
from signoff.protocol.visible import visible

STATUSES: Final = ("running", "parked", "completed", "failed", "cancelled")
_PATH: Final = "/v1/executions"
_HEADERS: Final = ["AGE", "WORKFLOW", "STATUS", "STARTED BY", "ID", "REMARK"]
_LONGEST_NAME: Final = 32
_LONGEST_FAILURE: Final = 200


@click.command()
@click.option("--status", type=click.Choice(STATUSES), help="Which to list. [default: all]")
@click.option("--workflow", metavar="ID", help="Only runs of this workflow.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most.")
@shared_by_apps
def executions(status: str | None, workflow: str | None, limit: int, url: str | None, as_json: bool) -> None:
    """List the runs, newest first."""
    filters = {"status": status, "workflow_id": workflow}
    found = connect_app(url).pages(_PATH, EXECUTION_SUMMARY, filters, limit=limit)
    if as_json:
        document(found)
        return
    if not found["data"]:
        note("There is none. signoff run WORKFLOW starts one.")
        return
    say(table(list(map(_cells, found["data"])), _HEADERS, screen_width()))
    if found["next_cursor"] is not None:
        note(f"There are more than these {len(found['data'])}: give --limit, or narrow it with --status or --workflow.")


@click.command()
@click.argument("execution", metavar="ID", callback=an_execution)
@click.option("--node", callback=a_node, help="Show what went into this node and what came out.")
@shared_by_apps
def inspect(execution: str, node: str | None, url: str | None, as_json: bool) -> None:
    """Show everything about one run: its nodes, what they wait for, who decided, why it failed."""
    server = connect_app(url)
    found = server.get(f"{_PATH}/{execution}", EXECUTION, about=execution)
    if node is not None:
        visited = [each["node_id"] for each in found["nodes"]]
        if node not in visited:
            names = ", ".join(map(visible, visited)) or "none yet"
            raise Failure(f"{execution} has not come to a node {node}. Visited: {names}.")
        detail = server.get(f"{_PATH}/{execution}/nodes/{node}", NODE_DETAIL, about=f"{node} of {execution}")
        lines = _node(detail)
    else:
        words = server.get(f"{_PATH}/{execution}/approvals", EXECUTION_APPROVALS, about=execution)
        detail = {**found, "approvals": {"pending": words["pending"], "decided": words["decided"]}}
        lines = _lines(detail)
    if as_json:
        document(detail)
    else:
        say_fitted(lines)


def _cells(each: Record) -> list[str]:
    initiator = each["initiator"]
    return [
        times.age(each["started_at"]),
        fold(f"{each['workflow_id']} {each['version']}", _LONGEST_NAME),
        visible(each["status"]),
        fold(initiator["name"] or initiator["id"] or "the system", _LONGEST_NAME),
        visible(each["id"]),
        _cut(why(each["failure"])) if each["failure"] else _cut(visible(each["awaits"] or "")),
    ]


def _cut(shown: str) -> str:
    """Of text that is visible already; the whole of it is shown by `inspect`."""
    return shown if len(shown) <= _LONGEST_FAILURE else f"{shown[:_LONGEST_FAILURE]}…"


def _lines(execution: Record) -> Iterator[str]:
    yield f"{workflow_of(execution)}{GAP}{visible(execution['status'])}"
    yield visible(execution["id"])
    if execution["failure"]:
        yield from ("", "failure", *_labelled(_failure(execution["failure"])))
    steps = list(next_steps(execution))
    if steps:
        yield from ("", "a person goes on with", *(f"{GAP}{step}" for step in steps))
    yield from ("", "nodes", *_nodes(execution["nodes"]))
    yield from _approvals(execution["approvals"])
    yield from ("", "input", *_value(execution["input"]), "")
    yield from _labelled(_facts(execution), "")


def _labelled(facts: Iterator[tuple[str, str]], indent: str = GAP) -> Iterator[str]:
    return (f"{indent}{label:<13} {value}" for label, value in facts)


def _failure(failure: Record) -> Iterator[tuple[str, str]]:
    yield "code", visible(failure["code"])
    if failure["node_id"]:
        yield "node", visible(failure["node_id"])
    yield "message", visible(failure["message"])
    if failure["decided_by"]:
        yield "by", person(failure["decided_by"])
    if failure["comment"]:
        yield "comment", visible(failure["comment"])


def _facts(execution: Record) -> Iterator[tuple[str, str]]:
    initiator = execution["initiator"]
    yield "started by", f"{person(initiator)} {visible(initiator['id'] or '')}".rstrip()
    yield "started", f"{times.shown(execution['started_at'])}, {times.age(execution['started_at'])} ago"
    if execution["ended_at"]:
        yield "ended", f"{times.shown(execution['ended_at'])}, after {took(execution)}"
    yield "steps", str(execution["steps"])
    yield "definition", visible(execution["digest"])
    yield "project", visible(execution["project"])
    yield "url", visible(execution["url"])


def _nodes(nodes: list[Record]) -> Iterator[str]:
    if not nodes:
        yield f"{GAP}(none yet)"
        return
    rows = [
        [visible(each["node_id"]), standing(each), times.shown(each["started_at"]), took(each), remark(each)]
        for each in nodes
    ]
    for line in table(rows, ["NODE", "STATUS", "STARTED", "TOOK", "REMARK"], screen_width() - len(GAP)):
        yield GAP + line


def _approvals(words: Record) -> Iterator[str]:
    if words["pending"] or words["decided"]:
        yield from ("", "approvals")
    for each in words["decided"]:
        because = f": {visible(each['reason'])}" if each["reason"] else ""
        yield f"{GAP}{visible(each['node_id'])} {closing(each)}{because}{GAP}{visible(each['approval_id'])}"
    for each in words["pending"]:
        left = f"{visible(each['node_id'])} {visible(each['status'])}, {times.left(each['expires_at'])} left"
        yield f"{GAP}{left}{GAP}{visible(each['approval_id'])}"


def _node(node: Record) -> Iterator[str]:
    yield f"{visible(node['node_id'])}{GAP}{standing(node)}"
    yield from ("", "input", *_value(node["input"]))
    yield from ("", "output", *_value(node["output"]))
    if node["error"]:
        yield from ("", "error", f"{GAP}{visible(node['error'])}")
    yield ""
    yield from _labelled(_facts_of_node(node), "")


def _facts_of_node(node: Record) -> Iterator[tuple[str, str]]:
    yield "type", visible(node["type"])
    if node["tool"]:
        yield "tool", visible(node["tool"])
    if node["waiting_for"]:
        yield "waits for", visible(node["waiting_for"])
    yield "started", f"{times.shown(node['started_at'])}, {times.age(node['started_at'])} ago"
    if node["ended_at"]:
        yield "ended", f"{times.shown(node['ended_at'])}, after {took(node)}"
    if node["due_at"]:
        yield "due", times.shown(node["due_at"])
    yield "visit", str(node["visit"])
    yield "attempt", str(node["attempt"])
    if node["approval_id"]:
        yield "approval", visible(node["approval_id"])
    yield "execution key", visible(node["execution_key"])


def _value(value: Any) -> Iterator[str]:
    """The whole of it; what is null, or has no members, is said to be so."""
    if isinstance(value, dict | list) and value:
        yield from tree(value, GAP)
    else:
        yield GAP + ("(none)" if value is None else scalar(value))
