"""Who may sign in, and as what: for admins."""

from typing import Final

from pydantic import TypeAdapter
from starlette.responses import Response

from signoff.protocol import models
from signoff_server.core.refusals import Refusal
from signoff_server.dashboard.settings import checked
from signoff_server.dashboard.visit import Visit, go_to
from signoff_server.service.accounts import Link
from signoff_server.web.call import cursor
from signoff_server.web.users import link_url

_LIMIT: Final = 50
_NEW_USER: Final = TypeAdapter(models.AddUser)
ROLES: Final = {
    "reviewer": "decides",
    "auditor": "reads everything, changes nothing",
    "admin": "decides and administers",
}


async def show(visit: Visit) -> Response:
    return await _page(visit)


async def add(visit: Visit) -> Response:
    """The answer to this form, and nothing else ever, holds the link."""
    name, role = visit.said("name").strip(), visit.said("role")
    try:
        body = checked(_NEW_USER, {"name": name, "role": role})
        user, link = await visit.server.accounts.add(visit.caller, body.name, body.role)
    except Refusal as refusal:
        return await _page(visit, refusal, name=name, role=role)
    return await _page(visit, link=link, of=user.name)


async def new_link(visit: Visit) -> Response:
    user = visit.path("id")
    try:
        link = await visit.server.accounts.new_link(visit.caller, user)
    except Refusal as refusal:
        return await _page(visit, refusal)
    return await _page(visit, link=link)


async def end_sessions(visit: Visit) -> Response:
    await visit.server.accounts.end_sessions(visit.caller, visit.path("id"))
    return go_to("/settings/users")


async def remove(visit: Visit) -> Response:
    try:
        await visit.server.accounts.remove(visit.caller, visit.path("id"))
    except Refusal as refusal:
        return await _page(visit, refusal)
    return go_to("/settings/users")


async def _page(
    visit: Visit,
    refusal: Refusal | None = None,
    *,
    link: Link | None = None,
    of: str = "",
    name: str = "",
    role: str = "reviewer",
) -> Response:
    before = cursor(visit.asked("cursor") or None)
    users, following = await visit.server.accounts.list_users(visit.caller.project, _LIMIT, before)
    return visit.page(
        "settings_users.html",
        200 if refusal is None else refusal.status,
        users=users,
        following=following,
        roles=ROLES,
        refusal=refusal,
        link=link,
        address=None if link is None else link_url(visit.server.url, link),
        of=of,
        sent={"name": name, "role": role},
    )
