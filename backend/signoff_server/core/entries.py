"""Entering a node: what it came to was worked out before, outside of any lock; here it becomes events.

Rules of the room: an entry is made for one version of the run and is taken by that version alone. A gated node's input
is in its approval's request and nowhere else: what is approved is what runs.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from signoff_server.core import approvals
from signoff_server.core.events import Payload, to_text
from signoff_server.core.graph import NO_RETRY, Retry
from signoff_server.core.turn import Turn


@dataclass(frozen=True, slots=True)
class Work:
    """A tool that no rule gates; `payload` holds the input."""

    node: str
    visit: int
    tool: str
    item: str
    payload: Payload
    next: str | None
    retry: Retry = NO_RETRY
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A tool that a rule gates; the request's `arguments` are its input."""

    node: str
    visit: int
    tool: str
    item: str
    approval: str
    request: approvals.Request
    next: str | None
    retry: Retry = NO_RETRY
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A node that is nothing but a question; `routes` maps what the approval becomes to where that leads."""

    node: str
    visit: int
    approval: str
    request: approvals.Request
    routes: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Choose:
    """A condition, decided."""

    node: str
    visit: int
    next: str | None


@dataclass(frozen=True, slots=True)
class Fork:
    node: str
    visit: int
    branches: tuple[str, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait for a time or an event; `kept` is the output where the event came before."""

    node: str
    visit: int
    next: str | None
    duration: int | None = None
    event: str | None = None
    timeout: int | None = None
    routes: Mapping[str, str | None] | None = None
    kept: Payload | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A rule forbids it."""

    node: str
    visit: int
    type: str
    tool: str | None
    rule: str


@dataclass(frozen=True, slots=True)
class Fault:
    """It cannot be entered."""

    node: str
    visit: int
    type: str
    code: str
    message: str
    tool: str | None = None


Entry = Work | Gate | Ask | Choose | Fork | Pause | Block | Fault


def enter(turn: Turn, entry: Entry) -> None:
    """Into one node that is ready."""
    if turn.state.steps >= turn.state.max_steps:
        message = f"The run has made {turn.state.steps} steps, which is all that limits.max_steps allows."
        turn.fail("max_steps", entry.node, message)
        return
    match entry:
        case Work():
            _add(turn, entry, "scheduled", _of_tool(entry) | {"due_at": to_text(turn.now)}, entry.payload)
        case Gate():
            _add(turn, entry, "approval_required", _of_tool(entry) | {"approval": entry.approval})
            turn.tell(entry.approval, entry.request, entry.request.actor)
        case Ask():
            _add(turn, entry, "approval_required", {"approval": entry.approval, "routes": dict(entry.routes)})
            turn.tell(entry.approval, entry.request, entry.request.actor)
        case Choose():
            _add(turn, entry, "completed", {"next": entry.next}, {"output": None})
        case Fork():
            _add(turn, entry, "started", {"branches": list(entry.branches), "next": entry.next})
        case Pause():
            _pause(turn, entry)
        case Block():
            _add(turn, entry, "blocked", {"tool": entry.tool, "rule": entry.rule})
            turn.fail("policy_blocked", entry.node, f"The rule {entry.rule} blocks {entry.tool or 'it'}.")
        case Fault():
            facts = {"code": entry.code, "tool": entry.tool}
            _add(turn, entry, "failed", facts, {"message": entry.message})
            turn.fail(entry.code, entry.node, entry.message)


def _add(
    turn: Turn, entry: Entry, what: str, facts: dict[str, Any], payload: Payload | Mapping[str, Any] | None = None
) -> None:
    known = {"node": entry.node, "visit": entry.visit, "type": _type(entry)}
    turn.add(f"node.{what}", known | facts, payload)
    turn.close_parallels()


def _of_tool(entry: Work | Gate) -> dict[str, Any]:
    return {
        "tool": entry.tool,
        "item": entry.item,
        "next": entry.next,
        "retry": asdict(entry.retry),
        "timeout": entry.timeout,
    }


def _pause(turn: Turn, entry: Pause) -> None:
    # A signal is taken once, also where several nodes that are entered together wait for its like.
    if entry.kept is not None and any(name == entry.event for name, _ in turn.state.signals):
        _add(turn, entry, "completed", {"event": entry.event, "next": entry.next}, entry.kept)
        return
    length = entry.duration if entry.event is None else entry.timeout
    due_at = None if length is None else to_text(turn.now + length)
    routes = None if entry.routes is None else dict(entry.routes)
    _add(turn, entry, "scheduled", {"event": entry.event, "due_at": due_at, "routes": routes, "next": entry.next})


_TYPES = {Work: "tool", Gate: "tool", Ask: "human_approval", Choose: "condition", Fork: "parallel", Pause: "wait"}


def _type(entry: Entry) -> str:
    return entry.type if isinstance(entry, Block | Fault) else _TYPES[type(entry)]
