"""A run in few words: how it stands, what a node does, why it failed."""

from collections.abc import Iterator
from typing import Final

from signoff.cli import times
from signoff.cli.approval_lines import person
from signoff.cli.layout import GAP
from signoff.cli.replies import Record
from signoff.protocol.visible import visible

# Whatever else a status is called, it says nothing new of a node that is over.
_AWAITS_DECISION: Final = "awaiting_approval"
_OUTCOME_UNKNOWN: Final = "outcome_unknown"


def workflow_of(execution: Record) -> str:
    """`payment-processor 0.1.0`"""
    return f"{visible(execution['workflow_id'])} {visible(execution['version'])}"


def is_over(execution: Record) -> bool:
    return execution["ended_at"] is not None


def took(run: Record) -> str:
    """How long it lasted, or has lasted so far."""
    return times.between(run["started_at"], run["ended_at"]) if run["ended_at"] else times.age(run["started_at"])


def why(failure: Record) -> str:
    """`approval_rejected at submit_payment by alice (human): too much`"""
    node = f" at {visible(failure['node_id'])}" if failure["node_id"] else ""
    by = f" by {person(failure['decided_by'])}" if failure["decided_by"] else ""
    return f"{visible(failure['code'])}{node}{by}: {visible(failure['comment'] or failure['message'])}"


def ending(execution: Record) -> str:
    """`exe_… failed: approval_rejected at …`"""
    cause = f": {why(execution['failure'])}" if execution["failure"] else ""
    return f"{visible(execution['id'])} {visible(execution['status'])}{cause}"


def standing(node: Record) -> str:
    """Status, which visit and attempt where it is not the first, and what there is to say: `retrying, attempt 2`."""
    again = [f"{word} {node[word]}" for word in ("visit", "attempt") if node[word] > 1]
    return ", ".join([visible(node["status"]), *again])


def remark(node: Record) -> str:
    """What it waits for, until when, and what went wrong last."""
    due = f"due {times.shown(node['due_at'])}" if node["due_at"] and not node["ended_at"] else ""
    parts = (visible(node["waiting_for"] or ""), due, visible(node["error"] or ""))
    return "; ".join(part for part in parts if part)


def next_steps(execution: Record) -> Iterator[str]:
    """The commands by which a person moves a run that waits for one."""
    shown = visible(execution["id"])
    deciding = [node["node_id"] for node in execution["nodes"] if node["status"] == _AWAITS_DECISION]
    for each in deciding:
        yield f"signoff approve {shown}{f' --node-id {visible(each)}' if len(deciding) > 1 else ''}"
    for node in execution["nodes"]:
        if node["status"] == _OUTCOME_UNKNOWN:
            which = f"{shown} --node-id {visible(node['node_id'])}"
            yield f"signoff resolve {which} --outcome succeeded|failed|retry --reason TEXT"


def in_one_line(node: Record, room: int) -> str:
    """A node in the live view; `room` is the width of the column of names."""
    spent = f" ({took(node)})" if node["ended_at"] else ""
    parts = (f"{visible(node['node_id']):<{room}}", standing(node) + spent, remark(node))
    return GAP.join(part for part in parts if part)
