"""History and audit trail as files: NDJSON for programs, CSV for spreadsheets.

Rules of the room: a file is read in pages as it is sent, so that none is ever held whole; each page asks anew whether
the session still stands; a cell that a spreadsheet would take for a formula begins with an apostrophe, and what cannot
be seen in a cell is written out.
"""

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from signoff.protocol.visible import visible
from signoff_server.core.events import Recorded, to_text
from signoff_server.dashboard import history, trail
from signoff_server.dashboard.visit import Visit
from signoff_server.store import ledger, principals
from signoff_server.store.approvals import ApprovalView
from signoff_server.web import render

_PAGE: Final = 500
_ROOM: Final = 1024 * 1024
# What begins a formula in one spreadsheet or another (OWASP, CSV Injection), and the wide, small, raised and lowered
# signs that one may read as such.
_SIGNS: Final = "=+\\-@\u2212\u207a\u207b\u207c\u208a\u208b\u208c\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20"
_FORMULA: Final = re.compile(rf"[\t\r]|\s*[{_SIGNS}]")
# Where the spreadsheets of a country part cells by these, what stands behind one begins a cell.
_PARTED: Final = re.compile(rf'([;|])(?=[\s"\\]*[{_SIGNS}])')
_EVENT_HEAD: Final = ("seq", "at", "type", "subject", "actor", "kind", "via", "facts", "data")
_PAST_HEAD: Final = (
    *("id", "name", "status", "requested_by", "requested_at", "decided_by", "kind", "via", "decided_at", "reason"),
    *("outcome", "arguments", "context"),
)
_Page = tuple[list[tuple[Recorded, dict[str, Any] | None]], dict[str, str], int, bool]


async def events_ndjson(visit: Visit) -> Response:
    """Each line is an event as the API shows it, oldest first."""

    def drawn(page: _Page) -> str:
        return "".join(render.event(event, data).model_dump_json() + "\n" for event, data in page[0])

    return _file(_events(visit, await _wanted(visit), drawn, ""), "events.ndjson", "application/x-ndjson")


async def events_csv(visit: Visit) -> Response:
    def drawn(page: _Page) -> str:
        return table(_event_row(event, data, page[1]) for event, data in page[0])

    pieces = _events(visit, await _wanted(visit), drawn, table([_EVENT_HEAD]))
    return _file(pieces, "events.csv", "text/csv; charset=utf-8")


async def history_csv(visit: Visit) -> Response:
    def drawn(view: ApprovalView, now: int) -> str:
        return table([_past_row(view, now)])

    return await _history(visit, drawn, table([_PAST_HEAD]), "history.csv", "text/csv; charset=utf-8")


async def history_ndjson(visit: Visit) -> Response:
    """Each line is an approval as the API shows it, the one asked for last first."""

    def drawn(view: ApprovalView, now: int) -> str:
        return render.approval(view, visit.server.url, now).model_dump_json() + "\n"

    return await _history(visit, drawn, "", "history.ndjson", "application/x-ndjson")


async def _history(
    visit: Visit, drawn: Callable[[ApprovalView, int], str], head: str, name: str, media_type: str
) -> Response:
    asked = history.asked_for(visit, ("status", "name", "by", "decider", "q", "from", "to"))
    first = await visit.server.database.read(history.read, visit.caller.project, asked, None)

    async def pieces() -> AsyncIterator[str]:
        yield head
        past = first
        while True:
            now = visit.server.world.now()
            yield "".join(drawn(view, now) for view in past.views)
            if past.following is None:
                return
            await _stands(visit)
            past = await visit.server.database.read(history.read, visit.caller.project, asked, past.following)

    return _file(pieces(), name, media_type)


def table(rows: Iterable[Iterable[str]]) -> str:
    """RFC 4180, each cell harmless."""
    text = io.StringIO()
    csv.writer(text).writerows([cell(each) for each in row] for row in rows)
    return text.getvalue()


def cell(text: str) -> str:
    """`text` as no spreadsheet acts on it."""
    shown = _PARTED.sub(r"\1'", visible(text))
    return f"'{shown}" if _FORMULA.match(text) or _FORMULA.match(shown) else shown


async def _wanted(visit: Visit) -> trail.Wanted:
    """Asked for before anything is sent, so that a refusal is still one."""
    asked = history.asked_for(visit, trail.FIELDS)
    return await visit.server.database.read(trail.wanted, visit.caller.project, asked)


async def _events(visit: Visit, wanted: trail.Wanted, drawn: Callable[[_Page], str], head: str) -> AsyncIterator[str]:
    project, database = visit.caller.project, visit.server.database
    yield head
    after, last = wanted.first - 1, False
    while not last:
        await _stands(visit)
        page = await database.read(_page, project, wanted, after)
        yield drawn(page)
        _, _, after, last = page


def _page(connection: Connection, project: str, wanted: trail.Wanted, after: int) -> _Page:
    span = min(trail.SPAN, wanted.end - 1 - after)
    if span <= 0:
        return [], {}, after, True
    found = ledger.stretch(
        connection,
        project,
        after=after,
        glob=wanted.glob,
        subject=wanted.subject,
        limit=_PAGE,
        span=span,
        room=_ROOM,
    )
    events = [each for each in found.events if wanted.fits(each[0])]
    names = principals.names(connection, {event.actor.id for event, _ in events if event.actor.id is not None})
    return events, names, found.end, found.end >= wanted.end - 1


def _event_row(event: Recorded, data: dict[str, Any] | None, names: dict[str, str]) -> list[str]:
    actor = event.actor
    who = names.get(actor.id, actor.id) if actor.id is not None else ""
    head = [str(event.seq), to_text(event.at), event.type, event.subject, who, actor.kind, actor.via]
    return [*head, _json(dict(event.facts)), "" if data is None else _json(data)]


def _past_row(view: ApprovalView, now: int) -> list[str]:
    state, data = view.state, view.data or {}
    by, names = state.closed_by, view.names
    return [
        state.id,
        state.name,
        state.status,
        names.get(state.requested_by.id or "", state.requested_by.kind),
        to_text(state.created_at),
        "" if by is None else names.get(by.id or "", by.kind),
        "" if by is None else by.kind,
        "" if by is None else by.via,
        "" if state.closed_at is None else to_text(state.closed_at),
        history.reason(view),
        history.outcome(view, now),
        "" if data.get("arguments") is None else _json(data["arguments"]),
        _json(data.get("context") or {}),
    ]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


async def _stands(visit: Visit) -> None:
    await visit.server.accounts.caller(visit.token, touch=False)


def _file(pieces: AsyncIterator[str], name: str, media_type: str) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="signoff-{name}"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(pieces, headers=headers, media_type=media_type)
