"""One approval: what is asked, the decision on it, and what became of it.

Rules of the room: what was asked is shown from `facts` alone. A decision carries the digest of the facts that it was
made on; where they are others by now it is refused, and nobody is told that it was made.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection
from starlette.responses import Response

from signoff_server.core.approvals import check_reviewer
from signoff_server.core.events import Recorded
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.dashboard.facts import digest, facts, raw
from signoff_server.dashboard.trees import removed, tree
from signoff_server.dashboard.visit import Visit, go_to
from signoff_server.store import approvals, ledger, principals
from signoff_server.store.approvals import ApprovalView
from signoff_server.web.call import nobodys

_MOST_EVENTS: Final = 100
_EVENT_BYTES: Final = 256 * 1024
_MOST_RAW: Final = 8_000
_REASON: Final = 2_000
_DECISIONS: Final = ("approved", "rejected")
_OUTCOMES: Final = ("succeeded", "failed", "release")


@dataclass(frozen=True, slots=True)
class Trail:
    """The events of an approval, oldest first, and the names of who acted; `more` says that there are others."""

    events: list[tuple[Recorded, dict[str, Any] | None]]
    names: dict[str, str]
    more: bool


async def show(visit: Visit) -> Response:
    return await _page(visit, await visit.server.approvals.get(visit.caller, visit.path("id")))


async def standing(visit: Visit) -> Response:
    """The part of the page that changes, for a page that is open."""
    view = await visit.server.approvals.get(visit.caller, visit.path("id"))
    return visit.page("approval_standing.html", **await _standing(visit, view))


async def whole(visit: Visit) -> Response:
    """What was asked as JSON, whole."""
    view = await visit.server.approvals.get(visit.caller, visit.path("id"))
    shown = facts(view)
    return visit.page("approval_raw.html", shown=shown, raw=_text(raw(shown)))


async def decide(visit: Visit) -> Response:
    approval, decision, reason = visit.path("id"), visit.said("decision"), visit.said("reason").strip()
    view = await visit.server.approvals.get(visit.caller, approval)
    try:
        word = check_word(decision, reason)
        check_seen(view, visit.said("seen"))
        await visit.server.approvals.decide(
            visit.caller, approval, decision, reason=word, seen=view.state.binding, key=key_of(visit, decision)
        )
    except Refusal as refusal:
        if refusal.status >= 500 or refusal.code == "not_found":
            raise
        again = await visit.server.approvals.get(visit.caller, approval)
        return await _page(visit, again, refusal=refusal, said=(decision, reason))
    return go_to(f"/approvals/{approval}")


async def resolve(visit: Visit) -> Response:
    approval, outcome, reason = visit.path("id"), visit.said("outcome"), visit.said("reason").strip()
    try:
        if outcome not in _OUTCOMES or not 1 <= len(reason) <= _REASON:
            told = f"Say what came of it, and how you know, in at most {_REASON} characters."
            raise Refusal("invalid", told)
        await visit.server.approvals.resolve(
            visit.caller, approval, outcome=outcome, reason=reason, key=key_of(visit, outcome)
        )
    except Refusal as refusal:
        if refusal.status >= 500 or refusal.code == "not_found":
            raise
        view = await visit.server.approvals.get(visit.caller, approval)
        return await _page(visit, view, refusal=refusal, said=(outcome, reason))
    return go_to(f"/approvals/{approval}")


def check_word(decision: str, reason: str) -> str | None:
    """The reason, None without one. Raises `Refusal`."""
    if decision not in _DECISIONS:
        raise Refusal("invalid", "Approve or reject.")
    if decision == "rejected" and not reason:
        raise Refusal("invalid", "A rejection needs a reason: the requester reads it.")
    if len(reason) > _REASON:
        raise Refusal("invalid", f"A reason has {_REASON} characters at most; this one has {len(reason)}.")
    return reason or None


def check_seen(view: ApprovalView, seen: str) -> None:
    """Raises `Refusal` where what was shown is not what would be decided."""
    if seen != digest(facts(view)):
        raise Refusal("view_stale", "What you were shown is not what stands here now. Nothing was decided: look again.")


def key_of(visit: Visit, word: str) -> str | None:
    """The idempotency key of a form: sent twice, it is answered as it was the first time."""
    key = visit.said("key")
    return f"dashboard-{word}-{key}" if key.isascii() and key.isalnum() and len(key) <= 64 else None


def new_key(visit: Visit) -> str:
    return visit.server.world.random(16).hex()


def why_not(caller: Caller, view: ApprovalView, now: int) -> str:
    """Why somebody may not decide this, "" where they may."""
    if not caller.has("approvals:decide"):
        return "Your role reads; reviewers decide."
    try:
        check_reviewer(view.state, caller.actor)
    except Refusal as refusal:
        return refusal.detail
    if view.state.status == "pending" and now >= view.state.expires_at:
        return "Its time is over."
    return ""


async def _page(
    visit: Visit, view: ApprovalView, *, refusal: Refusal | None = None, said: tuple[str, str] = ("", "")
) -> Response:
    shown = facts(view)
    before = await visit.server.database.read(
        approvals.last_approved, visit.caller.project, view.state.name, view.state.requested_seq
    )
    text = _text(raw(shown))
    return visit.page(
        "approval.html",
        200 if refusal is None else refusal.status,
        shown=shown,
        seen=digest(shown),
        key=new_key(visit),
        raw=text if len(text) <= _MOST_RAW else None,
        compared=_compared(shown, before),
        refusal=refusal,
        said=said,
        **await _standing(visit, view),
    )


def _compared(shown: dict[str, Any], before: ApprovalView | None) -> dict[str, Any]:
    """Trees of arguments and context, marked where they differ from the last approved request of this name."""
    old = None if before is None else facts(before)
    if old is not None and shown["source"]["execution_id"] is not None:
        old = {**old, "context": _as_of_this_run(old["context"], shown)}
    known = old is not None and not old["erased"]
    found: dict[str, Any] = {"before": old if known else None, "removed": []}
    for member in ("arguments", "context"):
        former = old[member] if old is not None and known else {}
        former = {} if former is None else former
        found[member] = None if shown[member] is None else tree(shown[member], former, compare=known)
        gone = removed(former, {} if shown[member] is None else shown[member])
        found["removed"] += [(f"{member}{place}", text) for place, text in gone]
    found["changes"] = sum(node.changes for member in ("arguments", "context") if (node := found[member]))
    return found


def _as_of_this_run(context: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """Each run has an id of its own, and that is no difference to be told of."""
    run = shown["source"]["execution_id"]
    if "execution_id" not in context or shown["context"].get("execution_id") != run:
        return context
    return {**context, "execution_id": run}


async def _standing(visit: Visit, view: ApprovalView) -> dict[str, Any]:
    now, caller = visit.server.world.now(), visit.caller
    trail = await visit.server.database.read(_trail, caller.project, view.state.id)
    return {
        "view": view,
        "state": view.state,
        "trail": trail,
        "stands": "expired" if view.state.status == "pending" and now >= view.state.expires_at else view.state.status,
        "waited_for": visit.server.hub.waited_for(view.state.id),
        "why_not": why_not(caller, view, now),
        "closing": view.said.get(view.state.closed_seq or 0) or {},
        "detail": ((view.said.get(view.state.redemption.seq or 0) or {}) if view.state.redemption else {}).get(
            "detail"
        ),
    }


def _trail(connection: Connection, project: str, approval: str) -> Trail:
    events, more = ledger.page_of_subject(connection, project, approval, after=0, limit=_MOST_EVENTS, room=_EVENT_BYTES)
    if not events:
        raise nobodys()
    people = {recorded.actor.id for recorded, _ in events if recorded.actor.id is not None}
    return Trail(events, principals.names(connection, people), more is not None)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
