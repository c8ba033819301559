"""`signoff show`: everything that is known of one approval, facts first."""

from collections.abc import Iterator
from typing import Any

import click

from signoff.cli import times
from signoff.cli.approval_lines import person
from signoff.cli.layout import tree
from signoff.cli.options import an_id, connect, shared
from signoff.cli.output import document, say_fitted
from signoff.cli.replies import APPROVAL, Record, check_bound, is_erased
from signoff.protocol.visible import visible


@click.command()
@click.argument("approval", metavar="ID", callback=an_id)
@shared
def show(approval: str, url: str | None, as_json: bool) -> None:
    """Show everything about one approval, facts first."""
    found = connect(url).get(f"/v1/approvals/{approval}", APPROVAL, about=approval)
    if not is_erased(found):
        check_bound(found)
    if as_json:
        document(found)
    else:
        say_fitted(_lines(found))


def _lines(approval: Record) -> Iterator[str]:
    yield f"{visible(approval['name'])}  {_status(approval)}"
    yield visible(approval["id"])
    yield from _content(approval)
    yield ""
    for label, value in _facts(approval):
        yield f"{label:<13} {value}"
    if approval["metadata"]:
        yield from ("", "metadata", *tree(approval["metadata"], "  "))
    if approval["summary"]:
        yield from ("", "summary, claimed by the requester and bound to nothing", f"  {visible(approval['summary'])}")
    yield from _decisions(approval)
    yield from _redemption(approval["redemption"])


def _status(approval: Record) -> str:
    if approval["status"] == "pending":
        return f"pending, {times.left(approval['expires_at'])} left"
    lapsed = ", lapsed: it can no longer be used" if approval["lapsed"] else ""
    return visible(approval["status"]) + lapsed


def _content(approval: Record) -> Iterator[str]:
    if is_erased(approval):
        yield from ("", "context and arguments were erased")
        return
    if approval["arguments"] is None:
        yield from ("", "arguments: none apart from the context")
    else:
        yield from ("", "arguments: what will be executed", *_members(approval["arguments"]))
    yield from ("", "context", *_members(approval["context"]))


def _members(values: dict[str, Any]) -> Iterator[str]:
    if not values:
        yield "  (empty)"
    yield from tree(values, "  ")


def _facts(approval: Record) -> Iterator[tuple[str, str]]:
    yield "asked by", f"{person(approval['requested_by'])} {visible(approval['requested_by']['id'] or '')}".rstrip()
    if approval["on_behalf_of"] is not None:
        yield "on behalf of", visible(approval["on_behalf_of"])
    yield "source", _source(approval["source"])
    yield "rule", visible(approval["requirement"]["rule"] or "none: the default")
    yield "takes", _requirement(approval["requirement"])
    yield "asked", f"{times.shown(approval['created_at'])}, {times.age(approval['created_at'])} ago"
    yield "expires", times.shown(approval["expires_at"])
    if approval["approved_until"] is not None:
        yield "usable until", times.shown(approval["approved_until"])
    checked = "erased, cannot be checked" if is_erased(approval) else "checked against what is shown here"
    yield "binding", f"{visible(approval['binding'])} ({checked})"
    yield "project", visible(approval["project"])
    yield "url", visible(approval["url"])


def _source(source: Record) -> str:
    named = (("execution", "execution_id"), ("node", "node_id"), ("tool", "tool"))
    parts = [f"{label} {visible(source[member])}" for label, member in named if source[member] is not None]
    return ", ".join([visible(source["kind"]), *parts])


def _requirement(need: Record) -> str:
    kinds = ", ".join(visible(kind) for kind in need["kinds"])
    reviewers = f", only {', '.join(visible(each) for each in need['reviewers'])}" if need["reviewers"] else ""
    return f"{need['approvals']} by: {kinds}{reviewers}"


def _decisions(approval: Record) -> Iterator[str]:
    if approval["decisions"]:
        yield from ("", "decisions")
    for each in approval["decisions"]:
        who = f"{person(each['decided_by'])} via {visible(each['via'])}"
        yield f"  {visible(each['decision'])} by {who} at {times.shown(each['decided_at'])}{_because(each['reason'])}"
    if approval["status"] == "cancelled" and approval["decided_by"] and approval["decided_at"]:
        who = person(approval["decided_by"])
        yield from ("", f"cancelled by {who} at {times.shown(approval['decided_at'])}{_because(approval['reason'])}")


def _redemption(held: Record | None) -> Iterator[str]:
    if held is None:
        return
    yield from ("", "redemption")
    yield f"  {_outcome(held)}{_because(held['detail'])}"
    yield f"  redeemed at {times.shown(held['redeemed_at'])}, fence {held['fence']}"


def _outcome(held: Record) -> str:
    if held["outcome"] is not None:
        return visible(held["outcome"])
    return f"running, its lease lasts until {times.shown(held['lease_until'])}" if held["lease_until"] else "running"


def _because(reason: str | None) -> str:
    return f": {visible(reason)}" if reason else ""
