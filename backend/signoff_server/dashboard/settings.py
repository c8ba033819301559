"""Who may act in the project, and by which keys: for admins."""

from collections.abc import Sequence
from typing import Final, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from signoff.protocol import models
from signoff_server.core import keys
from signoff_server.core.refusals import Refusal
from signoff_server.dashboard.visit import Visit, go_to
from signoff_server.service.principals import Issued
from signoff_server.web.call import cursor

M = TypeVar("M")
_LIMIT: Final = 50
_DAY: Final = 86_400
# What is offered; an admin who wants another time has the command line.
LIFETIMES: Final = {"30": "30 days", "90": "90 days", "365": "a year", "": "no end"}
SCOPES: Final = {
    "approvals:create": "ask, wait, and use its own approvals",
    "approvals:redeem": "use any approval, and report on it",
    "approvals:decide": "decide, and read what there is to decide",
    "executions:write": "start, signal and cancel runs",
    "workflows:write": "register workflows",
    "work": "run tools",
    "audit:read": "read every event",
    "admin": "administer principals, keys and the policy",
}
_NEW_PRINCIPAL: Final = TypeAdapter(models.CreatePrincipal)
_NEW_KEY: Final = TypeAdapter(models.IssueKey)
KINDS: Final = get_args(models.CreatePrincipal.model_fields["kind"].annotation)


async def principals(visit: Visit) -> Response:
    return await _principals(visit)


async def create_principal(visit: Visit) -> Response:
    sent = {name: visit.said(name) for name in ("name", "kind")} | {"owner": visit.said("owner") or None}
    try:
        body = checked(_NEW_PRINCIPAL, sent)
        await visit.server.principals.create(
            visit.caller.project, visit.caller.actor, name=body.name, kind=body.kind, role=body.role, owner=body.owner
        )
    except Refusal as refusal:
        return await _principals(visit, refusal, sent)
    return go_to("/settings")


async def _principals(
    visit: Visit, refusal: Refusal | None = None, sent: dict[str, str | None] | None = None
) -> Response:
    project, before = visit.caller.project, cursor(visit.asked("cursor") or None)
    views, following = await visit.server.principals.list_principals(project, _LIMIT, before)
    return visit.page(
        "settings_principals.html",
        200 if refusal is None else refusal.status,
        views=views,
        following=following,
        names={view.id: view.name for view in views},
        humans=[view for view in views if view.kind == "human"],
        kinds=KINDS,
        refusal=refusal,
        sent=sent or {},
    )


async def show_keys(visit: Visit) -> Response:
    return await _keys(visit)


async def issue_key(visit: Visit) -> Response:
    """The answer to this form, and nothing else ever, holds the key."""
    scopes, days = visit.form.get("scope", []), visit.said("days")
    sent = {"principal": visit.said("principal"), "scopes": scopes}
    try:
        lifetime = None if days == "" else int(days) * _DAY if days in LIFETIMES else -1
        body = checked(_NEW_KEY, sent | {"expires_in": lifetime})
        issued = await visit.server.principals.issue(
            visit.caller.project,
            visit.caller.actor,
            principal=body.principal,
            scopes=tuple(body.scopes),
            expires_in=body.expires_in,
        )
    except Refusal as refusal:
        return await _keys(visit, refusal, principal=visit.said("principal"), scopes=scopes, days=days)
    return await _keys(visit, issued=issued)


async def revoke_key(visit: Visit) -> Response:
    await visit.server.principals.revoke(visit.caller, visit.path("id"))
    return go_to("/settings/keys")


async def _keys(
    visit: Visit,
    refusal: Refusal | None = None,
    *,
    issued: Issued | None = None,
    principal: str = "",
    scopes: Sequence[str] = (),
    days: str = "90",
) -> Response:
    project, before = visit.caller.project, cursor(visit.asked("cursor") or None)
    views, following = await visit.server.principals.list_keys(project, _LIMIT, before)
    people, _ = await visit.server.principals.list_principals(project, 200, None)
    return visit.page(
        "settings_keys.html",
        200 if refusal is None else refusal.status,
        views=views,
        hints={view.id: keys.hint(view.environment, view.id) for view in views},
        following=following,
        people=people,
        scopes=SCOPES,
        lifetimes=LIFETIMES,
        refusal=refusal,
        issued=issued,
        chosen={"principal": principal or visit.asked("principal"), "scopes": scopes, "days": days},
    )


def checked(adapter: TypeAdapter[M], sent: object) -> M:
    """What was sent as the API takes it. Raises `Refusal`."""
    try:
        return adapter.validate_python(sent)
    except ValidationError as error:
        faults = [("/" + "/".join(str(part) for part in fault["loc"]), fault["msg"]) for fault in error.errors()]
        raise Refusal("invalid", "The form is not filled in as it must be.", errors=faults) from error
