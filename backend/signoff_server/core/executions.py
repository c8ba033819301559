"""What a run does: entered nodes, handed-out work, decisions, reports, time.

Rules of the room: `decide` answers what follows from a command, or raises `Refusal` and changes nothing. A gated node
parks before any worker sees its input; nothing of it is handed out before its approval's word. What is told (an
approval's end, time that is over, a lease that ended) is never refused: where it no longer fits, nothing follows. What
was approved once never happens twice by itself: a gated tool that is not idempotent, and whose end nobody reported,
waits for a person.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from signoff_server.core import gates
from signoff_server.core.approvals import APPROVED_FOR
from signoff_server.core.entries import Entry, enter
from signoff_server.core.events import Actor, Payload, Step, to_text
from signoff_server.core.execution_state import Execution, Visit
from signoff_server.core.gates import Closed, Resolve
from signoff_server.core.refusals import Refusal
from signoff_server.core.turn import Turn

LEASE: Final = 30_000
MAX_SIGNALS: Final = 100


# ---------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class Start:
    """`payload` holds the input; `entries` are what the first nodes come to."""

    actor: Actor
    payload: Payload
    definition: str
    workflow_id: str
    version: str
    digest: str
    policy_seq: int
    start: str | None
    max_steps: int
    max_lost_leases: int
    owner: str | None = None
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Advance:
    """Enter nodes that are ready. The entries were made for the run as it stands."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Take:
    """Hand the item out. `request` is a digest of the ask, so that the same ask gets the same items."""

    item: str
    idempotent: bool
    worker: str | None
    request: str


@dataclass(frozen=True, slots=True)
class Withhold:
    """The item must not be handed out: what would run is not what its policy or its approval lets pass."""

    item: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """`outcome` is `completed`, `failed` or `unknown`; `again` allows another attempt after a failure."""

    item: str
    fence: int
    outcome: str
    payload: Payload
    message: str = ""
    again: bool = True


@dataclass(frozen=True, slots=True)
class LoseLease:
    item: str
    fence: int


@dataclass(frozen=True, slots=True)
class Lapse:
    """The time to use the approval of this item is over."""

    item: str


@dataclass(frozen=True, slots=True)
class TimeUp:
    """Of a node that waits."""

    node: str
    visit: int


@dataclass(frozen=True, slots=True)
class Signal:
    """`payload` is recorded with the signal, `output` with the node that waited for it."""

    name: str
    payload: Payload
    output: Payload


@dataclass(frozen=True, slots=True)
class Cancel:
    payload: Payload


Command = Start | Advance | Take | Withhold | Report | LoseLease | Lapse | TimeUp | Signal | Cancel | Resolve | Closed


# ---------------------------------------------------------------- decide


def decide(state: Execution | None, command: Command, actor: Actor, now: int) -> list[Step]:
    """What follows from `command` at `now`. Raises `Refusal`."""
    if isinstance(command, Start):
        return _start(command, now)
    if state is None:
        raise Refusal("not_found", "There is no such run.")
    turn = Turn(state, now)
    match command:
        case Advance():
            _enter_each(turn, command.entries)
        case Take():
            _take(turn, command)
        case Withhold():
            _withhold(turn, state.of_item(command.item), command.message)
        case Report():
            _report(turn, command)
        case LoseLease():
            _lose(turn, state.of_item(command.item), command.fence)
        case Lapse():
            _lapse(turn, state.of_item(command.item))
        case Closed():
            _closed(turn, command)
        case TimeUp():
            _time_up(turn, command)
        case Signal():
            _signal(turn, command)
        case Cancel():
            _cancel(turn, command)
        case Resolve():
            _resolve(turn, command)
    return turn.end()


def begun(execution: str, command: Start, now: int) -> Execution:
    """The run as it begins, before its first nodes are entered."""
    turn = _begin(command, now)
    return replace(turn.state, id=execution)


def _start(command: Start, now: int) -> list[Step]:
    turn = _begin(command, now)
    _enter_each(turn, command.entries)
    return turn.end()


def _begin(command: Start, now: int) -> Turn:
    turn = Turn(None, now, command.actor)
    facts = {
        "definition": command.definition,
        "workflow_id": command.workflow_id,
        "version": command.version,
        "digest": command.digest,
        "policy_seq": command.policy_seq,
        "start": command.start,
        "owner": command.owner,
        "max_steps": command.max_steps,
        "max_lost_leases": command.max_lost_leases,
    }
    turn.add("execution.started", facts, command.payload)
    return turn


def _enter_each(turn: Turn, entries: tuple[Entry, ...]) -> None:
    for entry in entries:
        if turn.state.over:
            return
        enter(turn, entry)


# ---------------------------------------------------------------- work


def _take(turn: Turn, command: Take) -> None:
    visit = turn.state.of_item(command.item)
    due = visit is not None and visit.status in ("scheduled", "retrying") and turn.now >= (visit.due_at or 0)
    if visit is None or not due or turn.state.over:
        raise Refusal("stale_fence", "This item is not to be had just now.")
    if _lapsed(turn, visit):
        _lapse(turn, visit)
        return
    facts = {
        "attempt": visit.attempt + 1,
        "fence": visit.fence + 1,
        "idempotent": command.idempotent,
        "worker": command.worker,
        "request": command.request,
    }
    turn.of(visit, "started", facts)
    if visit.approval is not None and not visit.began:
        turn.tell(visit.approval, gates.Begin(command.request))


def _withhold(turn: Turn, visit: Visit | None, message: str) -> None:
    if visit is None or visit.status not in ("scheduled", "retrying") or turn.state.over:
        return
    if visit.unheard:
        turn.lose_sight(visit, {"message": message})
    else:
        turn.of(visit, "failed", {"code": "withheld"}, {"message": message})
        turn.end_use(visit, "failed")
    turn.fail("withheld", visit.node, message)


def _report(turn: Turn, command: Report) -> None:
    visit = turn.state.of_item(command.item)
    if visit is None or visit.fence != command.fence or visit.settled >= command.fence:
        raise Refusal("stale_fence", "This fence no longer counts: the item was handed on, or settled.")
    if command.outcome == "completed":
        turn.of(visit, "completed", {"fence": visit.fence}, command.payload)
        turn.end_use(visit, "succeeded")
    elif command.outcome == "unknown":
        _lose(turn, visit, command.fence, command.payload)
    elif command.again and visit.failures + 1 < visit.retry.max_attempts and not turn.state.over:
        due_at = to_text(turn.now + pause(visit))
        turn.of(visit, "retry_scheduled", {"fence": visit.fence, "due_at": due_at}, command.payload)
    else:
        turn.of(visit, "failed", {"fence": visit.fence, "code": "tool_failed"}, command.payload)
        turn.end_use(visit, "failed")
        turn.fail("tool_failed", visit.node, f"{command.message} (attempt {visit.attempt})")


def pause(visit: Visit) -> int:
    """Milliseconds until the next attempt after one more failure."""
    retry, failed = visit.retry, visit.failures
    factor = {"fixed": 1, "linear": failed + 1}.get(retry.backoff, 1 << min(failed, 40))
    return min(retry.max_delay, retry.base_delay * factor)


def _lose(turn: Turn, visit: Visit | None, fence: int, payload: Payload | None = None) -> None:
    """Nobody knows what came of the attempt with this fence; `payload` is what its worker says of that."""
    if visit is None or visit.status != "running" or visit.fence != fence:
        return
    safe = visit.approval is None or visit.idempotent
    if turn.state.over or not safe or (visit.approval is not None and _spent(turn, visit)):
        turn.lose_sight(visit, payload or {"message": "Its worker was not heard of again."})
    elif _spent(turn, visit):
        message = f"{visit.lost + 1} workers in turn took it and were not heard of again."
        turn.of(visit, "failed", {"fence": fence, "code": "lease_lost"}, {"message": message})
        turn.fail("lease_lost", visit.node, message)
    else:
        turn.of(visit, "scheduled", {"lost": visit.lost + 1}, payload)


def _spent(turn: Turn, visit: Visit) -> bool:
    return visit.lost >= turn.state.max_lost_leases


def _lapsed(turn: Turn, visit: Visit) -> bool:
    """Its approval was not used in time. One that was covers all attempts of the visit."""
    return not visit.began and visit.approved_until is not None and turn.now >= visit.approved_until


def _lapse(turn: Turn, visit: Visit | None) -> None:
    if visit is None or visit.status != "scheduled" or not _lapsed(turn, visit) or turn.state.over:
        return
    message = f"It was approved, and no worker began it until {to_text(visit.approved_until or 0)}."
    turn.of(visit, "failed", {"code": "approval_lapsed"}, {"message": message})
    turn.fail("approval_lapsed", visit.node, message)


# ---------------------------------------------------------------- decisions


def _closed(turn: Turn, closed: Closed) -> None:
    visit = turn.state.of_approval(closed.approval)
    if visit is None or visit.status != "awaiting_approval" or turn.state.over:
        return
    if closed.status == "approved" and visit.type == "tool":
        assert closed.until is not None
        turn.of(visit, "scheduled", {"approved_until": to_text(closed.until)})
        return
    routes = visit.routes or {}
    if closed.status in routes:
        by = {"id": closed.by.id, "kind": closed.by.kind}
        output = {"decision": closed.status, "comment": closed.comment, "decided_by": by}
        turn.of(visit, "completed", {"next": routes[closed.status]}, {"output": output})
        return
    code = f"approval_{closed.status}"
    message = _CLOSED[closed.status]
    turn.of(visit, "failed", {"code": code}, {"message": message})
    turn.fail(code, visit.node, message, closed)


_CLOSED: Final = {
    "rejected": "A reviewer rejected it.",
    "expired": "Nobody decided in time.",
    "cancelled": "Its approval was cancelled.",
}


# ---------------------------------------------------------------- waiting


def _time_up(turn: Turn, command: TimeUp) -> None:
    visit = turn.state.at(command.node)
    waits = visit is not None and visit.status == "waiting" and visit.number == command.visit
    if visit is None or not waits or visit.due_at is None or turn.now < visit.due_at or turn.state.over:
        return
    if visit.event is None:
        turn.of(visit, "completed", {}, {"output": None})
    elif visit.routes is not None:
        turn.of(visit, "completed", {"next": visit.routes["timeout"]}, {"output": None})
    else:
        message = f"The event {visit.event} did not come in time."
        turn.of(visit, "failed", {"code": "wait_timeout"}, {"message": message})
        turn.fail("wait_timeout", visit.node, message)


def _signal(turn: Turn, command: Signal) -> None:
    _check_under_way(turn.state)
    waiting = next(
        (visit for visit in turn.state.visits if visit.status == "waiting" and visit.event == command.name), None
    )
    if waiting is None and len(turn.state.signals) >= MAX_SIGNALS:
        told = f"{MAX_SIGNALS} signals of this run wait for a node already."
        raise Refusal("signals_cap", told, current=standing(turn.state), retry_after=10)
    turn.add("execution.signalled", {"name": command.name, "kept": waiting is None}, command.payload)
    if waiting is not None:
        turn.of(waiting, "completed", {}, command.output)


# ---------------------------------------------------------------- a person's word


def _cancel(turn: Turn, command: Cancel) -> None:
    _check_under_way(turn.state)
    turn.withdraw()
    turn.add("execution.cancelled", {}, command.payload)


def _resolve(turn: Turn, command: Resolve) -> None:
    if not command.permitted:
        raise Refusal("forbidden", "A human who may decide, or an admin, resolves an unknown outcome.")
    visit = turn.state.at(command.node)
    meant = visit is not None and command.approval in (None, visit.approval)
    if visit is None or not meant or visit.status != "outcome_unknown":
        told = f"The outcome of {command.node} is not unknown."
        raise Refusal("nothing_to_resolve", told, current=standing(turn.state))
    facts: dict[str, Any] = {"outcome": command.outcome, "fence": visit.fence}
    again, until = command.outcome == "retry", None
    if again:
        _check_under_way(turn.state)
    if again and visit.approval is not None:
        until = turn.now + APPROVED_FOR
        facts["approved_until"] = to_text(until)
    turn.of(visit, "resolved", facts, command.payload)
    if visit.approval is not None:
        turn.tell(visit.approval, gates.Settle("release" if again else command.outcome, command.reason, until))
    if command.outcome == "failed":
        turn.fail("outcome_failed", visit.node, f"A person found out that it failed: {command.reason}")


def _check_under_way(state: Execution) -> None:
    if state.over:
        raise Refusal("execution_finished", f"The run has {_ENDED[state.status]}.", current=standing(state))


_ENDED: Final = {"completed": "come to its end", "failed": "failed", "cancelled": "been cancelled"}


def standing(state: Execution) -> dict[str, Any]:
    """The state that stands, for whoever came too late."""
    ended = None if state.ended_at is None else to_text(state.ended_at)
    return {"id": state.id, "status": state.status, "ended_at": ended}
