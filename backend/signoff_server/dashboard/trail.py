"""The audit trail: every event of the project, the last one first, as a sentence and as data."""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from markupsafe import Markup
from sqlalchemy import Connection
from starlette.responses import Response

from signoff_server.core.approval_state import Approval
from signoff_server.core.events import Recorded
from signoff_server.core.execution_state import Execution
from signoff_server.core.refusals import Refusal
from signoff_server.dashboard.history import asked_for, moments
from signoff_server.dashboard.sentences import TONES, sentence
from signoff_server.dashboard.text import seen_json
from signoff_server.dashboard.visit import Visit
from signoff_server.store import ledger, principals
from signoff_server.web.call import cursor, is_id

ROWS: Final = 50
FIELDS: Final = ("type", "subject", "actor", "from", "to")
# So many events are looked at for a page, whatever the filters let through.
SPAN: Final = 10_000
# Who acted stands in no column: each event has to be read.
_SPAN_OF_ACTOR: Final = 2_000
_ROOM: Final = 512 * 1024
# Bytes of HTML for the facts of an event, and as many for its data, so that a page of them stays small.
_ROOM_OF_JSON: Final = 600


@dataclass(frozen=True, slots=True)
class Line:
    event: Recorded
    told: Markup
    tone: str
    data: Markup
    erased: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """`first` and `end` bound the `seq`; `actor` is an id; `types` are those that are let through, empty for all."""

    glob: str | None
    subject: str | None
    actor: str | None
    first: int
    end: int
    types: tuple[str, ...] = ()

    def fits(self, event: Recorded) -> bool:
        """What the database was not asked for."""
        return self.actor in (None, event.actor.id)


@dataclass(frozen=True, slots=True)
class Part:
    """`following` is where the next page begins, None at the end."""

    lines: list[Line]
    following: int | None


async def show(visit: Visit) -> Response:
    asked = asked_for(visit, (*FIELDS, "at", "above"))
    before, above = cursor(asked["at"] or None), cursor(asked["above"] or None)

    def read(connection: Connection) -> tuple[Part, int]:
        project = visit.caller.project
        bounds = wanted(connection, project, asked)
        if above is not None:
            bounds = replace(bounds, first=max(bounds.first, above + 1))
        return part(connection, project, bounds, before), ledger.end(connection, project)

    found, top = await visit.server.database.read(read)
    return visit.page(
        "events.html",
        part=found,
        # What an open page was shown up to; what is newer comes above it.
        top=top if above is None else above,
        fresh=above is not None,
        asked=asked,
        filtered=any(asked[name] for name in FIELDS),
    )


def wanted(connection: Connection, project: str, asked: dict[str, str]) -> Wanted:
    """What the filters ask for. Raises `Refusal`."""
    since, until = moments(asked)
    if asked["subject"] and not is_id(asked["subject"]):
        raise Refusal("invalid_parameter", "A subject is an id, such as apr_….")
    return Wanted(
        glob=asked["type"] or None,
        subject=asked["subject"] or None,
        actor=_actor(connection, project, asked["actor"]),
        first=1 if since is None else ledger.first_since(connection, project, since),
        end=ledger.end(connection, project) + 1 if until is None else ledger.first_since(connection, project, until),
    )


def _actor(connection: Connection, project: str, text: str) -> str | None:
    if not text:
        return None
    known = principals.by_names(connection, project, [text]).get(text.casefold())
    return text if known is None else known.id


def part(connection: Connection, project: str, asked: Wanted, before: int | None, rows: int = ROWS) -> Part:
    """The events below `before`, the last one first."""
    upper = asked.end if before is None else min(before, asked.end)
    found: list[tuple[Recorded, dict[str, Any] | None]] = []
    lowest = max(asked.first, upper - (SPAN if asked.actor is None else _SPAN_OF_ACTOR))
    while len(found) < rows and upper > lowest:
        stretch = ledger.stretch_back(
            connection,
            project,
            before=upper,
            glob=asked.glob,
            subject=asked.subject,
            limit=2 * rows,
            span=upper - lowest,
            room=_ROOM,
            types=asked.types,
        )
        found += [each for each in stretch.events if asked.fits(each[0])]
        upper = stretch.end
    if len(found) > rows:
        found, upper = found[:rows], found[rows - 1][0].seq
    return Part(lines(connection, project, found), upper if upper > asked.first else None)


def lines(connection: Connection, project: str, events: list[tuple[Recorded, dict[str, Any] | None]]) -> list[Line]:
    """Events as they are shown, in a handful of queries."""
    names = principals.names(connection, {event.actor.id for event, _ in events if event.actor.id is not None})
    titles = _titles(connection, project, {event.subject for event, _ in events})
    return [
        Line(event, sentence(event, names, titles), TONES.get(event.type, ""), _drawn(event, data), data is None)
        for event, data in events
    ]


def _titles(connection: Connection, project: str, subjects: set[str]) -> dict[str, str]:
    titles = {}
    for id_, stream in ledger.load(connection, project, subjects).items():
        if isinstance(stream.state, Approval):
            titles[id_] = stream.state.name
        elif isinstance(stream.state, Execution):
            titles[id_] = f"a run of {stream.state.workflow_id}"
    people = [id_ for id_ in subjects if id_.startswith("prn_")]
    return titles | principals.names(connection, people)


def _drawn(event: Recorded, data: dict[str, Any] | None) -> Markup:
    """Facts and data as JSON, each with room of its own: neither pushes the other out of sight."""
    return Markup("\n").join(_cut({name: value}) for name, value in (("facts", dict(event.facts)), ("data", data)))


def _cut(value: dict[str, Any]) -> Markup:
    """JSON, cut where it is long; a cut is said."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    cut = text[:_ROOM_OF_JSON]
    while len((drawn := seen_json(cut)).encode()) > _ROOM_OF_JSON:
        cut = cut[: len(cut) * 9 // 10]
    if len(cut) == len(text):
        return drawn
    return drawn + f"\n… {len(text) - len(cut)} more characters; all of it is in the export."
