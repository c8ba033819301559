"""Several approvals together: each one put before the reviewer, one word on all of them, and a result for each."""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection
from starlette.responses import Response

from signoff_server.core.refusals import Refusal
from signoff_server.dashboard.approval import check_seen, check_word, key_of, new_key, why_not
from signoff_server.dashboard.facts import digest, facts
from signoff_server.dashboard.trees import tree
from signoff_server.dashboard.visit import Visit, go_to
from signoff_server.service.approvals import Word
from signoff_server.store import approvals
from signoff_server.store.approvals import ApprovalView
from signoff_server.web.call import is_id, nobodys

MOST: Final = 50
# So many characters of JSON are put before somebody on one page; what goes beyond is decided on its own.
_READ_TOGETHER: Final = 64 * 1024
_TOO_MUCH: Final = "Together with the others it is too much to read on one page: decide it on its own."


@dataclass(frozen=True, slots=True)
class One:
    """One of them; `outcome` is what came of it, None before."""

    id: str
    view: ApprovalView | None
    shown: dict[str, Any] | None = None
    trees: dict[str, Any] | None = None
    seen: str = ""
    why_not: str = ""
    outcome: ApprovalView | Refusal | None = None


async def show(visit: Visit) -> Response:
    """A page that lists each one with its facts; what is no longer pending says so."""
    ids = _ids(visit.request.query_params.getlist("id"))
    if not ids:
        return go_to("/")
    return _page(visit, await _each(visit, ids))


async def decide(visit: Visit) -> Response:
    decision, reason = visit.said("decision"), visit.said("reason").strip()
    ids = _ids(visit.form.get("id", []))
    seen = dict(zip(visit.form.get("id", []), visit.form.get("seen", []), strict=False))
    each = await _each(visit, ids)
    try:
        if not ids:
            raise Refusal("invalid", "Select at least one.")
        word = check_word(decision, reason)
    except Refusal as refusal:
        return _page(visit, each, refusal=refusal, said=reason)
    outcomes = await _outcomes(visit, each, seen, decision, word)
    done = [One(one.id, one.view, outcome=outcomes[one.id]) for one in each]
    return visit.page("decided.html", done=done, decision=decision)


async def _outcomes(
    visit: Visit, each: list[One], seen: dict[str, str], decision: str, reason: str | None
) -> dict[str, ApprovalView | Refusal]:
    outcomes: dict[str, ApprovalView | Refusal] = {}
    words = []
    for one in each:
        try:
            words.append(_word(one, seen.get(one.id, ""), decision, reason))
        except Refusal as refusal:
            outcomes[one.id] = refusal
    told = await visit.server.approvals.decide_each(visit.caller, words, key_of(visit, decision))
    return outcomes | {word.approval: outcome for word, outcome in zip(words, told, strict=True)}


def _word(one: One, seen: str, decision: str, reason: str | None) -> Word:
    if one.view is None:
        raise nobodys()
    check_seen(one.view, seen)
    return Word(one.id, decision, reason, one.view.state.binding)


def _page(visit: Visit, each: list[One], *, refusal: Refusal | None = None, said: str = "") -> Response:
    now = visit.server.world.now()
    open_ones = [one for one in each if one.view is not None and one.view.state.status == "pending" and not one.why_not]
    return visit.page(
        "decide.html",
        200 if refusal is None else refusal.status,
        each=each,
        open_ones={one.id for one in open_ones},
        key=new_key(visit),
        refusal=refusal,
        said=said,
        at=now,
    )


def _ids(given: list[str]) -> list[str]:
    """Raises `Refusal` for too many, and for what cannot be one."""
    ids = list(dict.fromkeys(given))
    if len(ids) > MOST:
        raise Refusal("invalid_parameter", f"At most {MOST} are decided together; select fewer.")
    if not all(is_id(id_) for id_ in ids):
        raise nobodys()
    return ids


async def _each(visit: Visit, ids: list[str]) -> list[One]:
    def look(connection: Connection) -> dict[str, ApprovalView]:
        return approvals.views(connection, visit.caller.project, ids)

    found = await visit.server.database.read(look) if ids else {}
    every, room = [], _READ_TOGETHER
    for id_ in ids:
        one = _one(visit, id_, found.get(id_))
        room -= 0 if one.shown is None else len(json.dumps(one.shown))
        every.append(one if room >= 0 else replace(one, trees={}, why_not=one.why_not or _TOO_MUCH))
    return every


def _one(visit: Visit, approval: str, view: ApprovalView | None) -> One:
    if view is None or not visit.caller.sees(view.state):
        return One(approval, None)
    shown = facts(view)
    trees = {name: tree(shown[name]) for name in ("arguments", "context") if shown[name]}
    now = visit.server.world.now()
    return One(approval, view, shown, trees, digest(shown), why_not(visit.caller, view, now))
