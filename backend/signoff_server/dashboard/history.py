"""What was decided: by whom, when, why and how, and what came of it."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final

from sqlalchemy import Connection
from starlette.responses import Response

from signoff_server.core.refusals import Refusal
from signoff_server.dashboard.visit import Visit
from signoff_server.store import approvals, principals
from signoff_server.store.approvals import ApprovalView, Filter
from signoff_server.web.call import cursor

ROWS: Final = 50
STATUSES: Final = ("approved", "rejected", "expired", "cancelled")
_FIELDS: Final = ("status", "name", "by", "decider", "q", "from", "to", "at")
_LENGTH: Final = 200
_DAY: Final = 86_400_000
# Who decided stands in no index: so many are looked at for a page, and the next page goes on from there.
_CHUNK: Final = 200
_MOST_CHUNKS: Final = 5
# Nor do texts, globs and requesters: so many are looked at for a page.
_SPAN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Past:
    views: list[ApprovalView]
    following: int | None


async def show(visit: Visit) -> Response:
    asked = asked_for(visit, _FIELDS)
    past = await visit.server.database.read(read, visit.caller.project, asked, cursor(asked["at"] or None))
    filtered = any(asked[name] for name in _FIELDS if name != "at")
    return visit.page(
        "history.html",
        past=past,
        asked=asked,
        statuses=STATUSES,
        filtered=filtered,
        outcome=outcome,
        reason=reason,
    )


def asked_for(visit: Visit, fields: tuple[str, ...]) -> dict[str, str]:
    """What the form of filters asks for. Raises `Refusal`."""
    asked = {name: visit.asked(name) for name in fields}
    if any(len(value) > _LENGTH for value in asked.values()):
        raise Refusal("invalid_parameter", f"A filter has at most {_LENGTH} characters.")
    return asked


def read(connection: Connection, project: str, asked: dict[str, str], before: int | None) -> Past:
    """The next page of what the filters ask for. Raises `Refusal`."""
    if asked["status"] not in ("", *STATUSES):
        raise Refusal("invalid_parameter", f"A status is one of {', '.join(STATUSES)}.")
    since, until = moments(asked)
    wanted = Filter(
        status=asked["status"] or None,
        closed=True,
        name=asked["name"] or None,
        requested_by=asked["by"] or None,
        q=asked["q"] or None,
        since=since,
        until=until,
        before=before,
    )
    if asked["name"] or asked["by"] or asked["q"]:
        wanted = replace(wanted, above=approvals.floor(connection, project, before, _SPAN))
    past = _page(connection, project, wanted, asked["decider"])
    if past.following is None and wanted.above is not None:
        return Past(past.views, wanted.above + 1)
    return past


def _page(connection: Connection, project: str, wanted: Filter, decider: str) -> Past:
    if not decider:
        return Past(*approvals.search(connection, project, wanted, ROWS))
    return _decided_by(connection, project, wanted, decider)


def _decided_by(connection: Connection, project: str, wanted: Filter, decider: str) -> Past:
    known = principals.by_names(connection, project, [decider]).get(decider.casefold())
    id_ = decider if known is None else known.id
    found: list[ApprovalView] = []
    for _ in range(_MOST_CHUNKS):
        views, following = approvals.search(connection, project, wanted, _CHUNK)
        fitting = [view for view in views if view.state.closed_by is not None and view.state.closed_by.id == id_]
        found += fitting
        if len(found) > ROWS:
            return Past(found[:ROWS], found[ROWS - 1].state.requested_seq)
        if following is None:
            return Past(found, None)
        wanted = replace(wanted, before=following)
    return Past(found, wanted.before)


def moments(asked: dict[str, str]) -> tuple[int | None, int | None]:
    """Milliseconds since 1970: the beginning of the first day (UTC), and the end of the last. Raises `Refusal`."""
    since, until = _day(asked["from"]), _day(asked["to"])
    return since, None if until is None else until + _DAY


def _day(text: str) -> int | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Refusal("invalid_parameter", "A day is written 2026-11-25.") from error
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def reason(view: ApprovalView) -> str:
    """Why it was decided so, "" where nobody said."""
    data: dict[str, Any] = view.said.get(view.state.closed_seq or 0) or {}
    return str(data.get("reason") or "")


def outcome(view: ApprovalView, now: int) -> str:
    """What came of an approval: a word, "" for what was not approved."""
    state = view.state
    if state.status != "approved":
        return ""
    if state.redemption is not None:
        return state.redemption.outcome or "in use"
    return "lapsed" if state.lapsed(now) else "not used"
