"""What waits for a decision, and what was just decided while somebody looked."""

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection
from starlette.responses import Response

from signoff_server.core.refusals import Refusal
from signoff_server.dashboard.trees import line
from signoff_server.dashboard.visit import Visit
from signoff_server.store import approvals
from signoff_server.store.approvals import ApprovalView, Filter
from signoff_server.web.call import cursor

ROWS: Final = 50
_LINE: Final = 140
# How long a decision that was made elsewhere stays on the page.
_TOLD_FOR: Final = 60_000
_MINUTE: Final = 60_000
# Name in the URL -> (what it says, whether younger than, milliseconds).
AGES: Final[dict[str, tuple[str, bool, int]]] = {
    "5m": ("in the last 5 minutes", True, 5 * _MINUTE),
    "1h": ("in the last hour", True, 60 * _MINUTE),
    "1d": ("in the last day", True, 24 * 60 * _MINUTE),
    "over-1h": ("over an hour ago", False, 60 * _MINUTE),
    "over-1d": ("over a day ago", False, 24 * 60 * _MINUTE),
    "over-7d": ("over a week ago", False, 7 * 24 * 60 * _MINUTE),
}
_SOURCES: Final = {"": None, "sdk": False, "workflow": True}
_ORDERS: Final = ("newest", "expiry")
_LENGTHS: Final = {"name": 128, "by": 128, "q": 200}
_PLACE: Final = re.compile(r"([0-9]{1,16})-([0-9]{1,16})")


@dataclass(frozen=True, slots=True)
class Row:
    """`told` is the beginning of what would be done."""

    view: ApprovalView
    told: str


@dataclass(frozen=True, slots=True)
class Listed:
    rows: list[Row]
    following: str | None
    count: int
    gone: list[ApprovalView]


async def show(visit: Visit) -> Response:
    asked = {name: visit.asked(name) for name in ("name", "by", "source", "age", "q", "order", "at")}
    asked["order"] = asked["order"] or "newest"
    wanted = _filter(asked, visit.server.world.now())
    since = visit.server.world.now() - _TOLD_FOR
    listed = await visit.server.database.read(_read, visit.caller.project, wanted, asked, since)
    filtered = any(asked[name] for name in ("name", "by", "source", "age", "q"))
    return visit.page("pending.html", listed=listed, asked=asked, ages=AGES, filtered=filtered)


def row(view: ApprovalView) -> Row:
    data = view.data or {}
    return Row(view, line(data.get("arguments") or data.get("context") or {}, _LINE))


def _filter(asked: dict[str, str], now: int) -> Filter:
    """Raises `Refusal` for what no form of ours sends."""
    for name, most in _LENGTHS.items():
        if len(asked[name]) > most:
            raise Refusal("invalid_parameter", f"{name}: more than {most} characters.")
    if asked["source"] not in _SOURCES or asked["order"] not in _ORDERS or asked["age"] not in ("", *AGES):
        raise Refusal("invalid_parameter", "There is no such source, order or age.")
    _, younger, length = AGES.get(asked["age"], ("", True, None))
    bound = None if length is None else now - length
    return Filter(
        status="pending",
        name=asked["name"] or None,
        requested_by=asked["by"] or None,
        q=asked["q"] or None,
        in_a_run=_SOURCES[asked["source"]],
        since=bound if younger else None,
        until=None if younger else bound,
    )


def _read(connection: Connection, project: str, wanted: Filter, asked: dict[str, str], since: int) -> Listed:
    views, following = _page(connection, project, wanted, asked)
    closed = tuple(approvals.closed_since(connection, project, since))
    among = replace(wanted, status=None, among=closed)
    gone = approvals.search(connection, project, among, len(closed))[0] if closed else []
    rows = [row(view) for view in views]
    return Listed(rows, following, approvals.pending(connection, project), gone)


def _page(
    connection: Connection, project: str, wanted: Filter, asked: dict[str, str]
) -> tuple[list[ApprovalView], str | None]:
    following: Any
    if asked["order"] == "newest":
        before = cursor(asked["at"] or None)
        views, following = approvals.search(connection, project, replace(wanted, before=before), ROWS)
        return views, None if following is None else str(following)
    views, following = approvals.soonest(connection, project, wanted, ROWS, _place(asked["at"]))
    return views, None if following is None else f"{following[0]}-{following[1]}"


def _place(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    found = _PLACE.fullmatch(text)
    if found is None:
        raise Refusal("invalid_parameter", "at: take it from the link to the next page, as it stands.")
    return int(found[1]), int(found[2])
