"""What is going on: the last events that matter to people, counts, and how long requests waited."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection
from starlette.responses import Response

from signoff_server.core.refusals import Refusal
from signoff_server.dashboard import trail
from signoff_server.dashboard.trail import Line, Wanted
from signoff_server.dashboard.visit import Visit
from signoff_server.store import activity, ledger
from signoff_server.store.activity import Activity

_MINUTE: Final = 60_000
SPANS: Final = {"15m": ("15 minutes", 15 * _MINUTE), "1h": ("hour", 60 * _MINUTE), "1d": ("day", 24 * 60 * _MINUTE)}
# What a tile says -> the types that it counts, and what they are drawn as.
TILES: Final = (
    ("Requested", ("approval.requested",), ""),
    ("Approved", ("approval.approved",), "good"),
    ("Rejected", ("approval.rejected",), "bad"),
    ("Expired", ("approval.expired",), "warn"),
    ("Runs started", ("execution.started",), ""),
    ("Runs parked", ("execution.parked",), "warn"),
    ("Runs completed", ("execution.completed",), "good"),
    ("Runs failed", ("execution.failed",), "bad"),
    ("Blocked", ("node.blocked",), "bad"),
    ("Outcome unknown", ("approval.outcome_unknown", "node.outcome_unknown"), "bad"),
)
# What a person wants to hear of as it happens: not each step of each run.
TELLING: Final = tuple(
    sorted(
        {type_ for _, types, _ in TILES for type_ in types}
        | {"approval.cancelled", "approval.redeemed", "approval.outcome_reported", "approval.resolved"}
        | {"node.failed", "node.resolved", "execution.cancelled", "policy.changed", "key.issued", "key.revoked"}
        | {"principal.created", "principal.changed", "workflow.registered"}
    )
)
_FEED: Final = 40


@dataclass(frozen=True, slots=True)
class Now:
    counted: Activity
    lines: list[Line]


async def show(visit: Visit) -> Response:
    span = visit.asked("span") or "1h"
    if span not in SPANS:
        raise Refusal("invalid_parameter", f"span is one of {', '.join(SPANS)}.")
    told, length = SPANS[span]
    now = await visit.server.database.read(_read, visit.caller.project, visit.server.world.now() - length)
    waits = now.counted.waits
    return visit.page(
        "activity.html",
        spans=SPANS,
        span=span,
        told=told,
        activity=now.counted,
        tiles=[(name, sum(now.counted.counts.get(type_, 0) for type_ in types), tone) for name, types, tone in TILES],
        median=share(waits, 0.5),
        most=share(waits, 0.95),
        lines=now.lines,
        most_events=activity.MOST_EVENTS,
        most_decisions=activity.MOST_DECISIONS,
    )


def share(ordered: list[int], part: float) -> int | None:
    """The value that so large a part of them does not exceed (nearest rank), None of none."""
    return ordered[max(0, -(-int(len(ordered) * part * 1000) // 1000) - 1)] if ordered else None


def _read(connection: Connection, project: str, since: int) -> Now:
    telling = Wanted(None, None, None, 1, ledger.end(connection, project) + 1, TELLING)
    return Now(activity.since(connection, project, since), trail.part(connection, project, telling, None, _FEED).lines)
