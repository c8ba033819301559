"""The handlers of who may sign in."""

from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from signoff.protocol import models
from signoff_server.core.refusals import Refusal
from signoff_server.service.accounts import Link
from signoff_server.web import render
from signoff_server.web.call import Call, answer, cursor
from signoff_server.web.client_address import is_from_here

# The pages that take the links; a purpose -> the end of its path.
_PAGES: Final = {"sign_in": "link", "password": "password"}


async def add_user(call: Call) -> Response:
    body: models.AddUser = call.body
    known = await call.server.principals.named(call.caller.project, body.name)
    view, link = await call.server.accounts.add(call.caller, body.name, body.role)
    shown = models.AddedUser(id=view.id, name=view.name, role=view.role, **_link(call, link))
    return answer(shown, 201 if known is None else 200)


async def list_users(call: Call) -> Response:
    query: models.Paging = call.query
    views, following = await call.server.accounts.list_users(call.caller.project, query.limit, cursor(query.cursor))
    data = [render.user(view) for view in views]
    return answer(models.UserList(data=data, next_cursor=None if following is None else str(following)))


async def make_password_link(call: Call) -> Response:
    link = await call.server.accounts.new_link(call.caller, call.path("id"))
    return answer(models.SignInLink(**_link(call, link)))


async def remove_user(call: Call) -> Response:
    await call.server.accounts.remove(call.caller, call.path("id"))
    return Response(status_code=204)


async def end_sessions(call: Call) -> Response:
    await call.server.accounts.end_sessions(call.caller, call.path("id"))
    return Response(status_code=204)


async def make_sign_in_link(call: Call) -> Response:
    """A key that may decide becomes a session, so only where whoever holds the key sits at the machine."""
    if call.server.settings.environment != "dev":
        raise Refusal("forbidden", "Only a server of the environment dev makes sign-in links: sign in by password.")
    if not is_from_here(call.request):
        raise Refusal("forbidden", "Sign-in links are made on the server's own machine alone: sign in by password.")
    if call.caller.kind != "human":
        raise Refusal("forbidden", "Only a human signs in.")
    link = await call.server.accounts.sign_in_link(call.caller.project, call.caller.id)
    return answer(models.SignInLink(**_link(call, link)), 201)


def _link(call: Call, link: Link) -> dict[str, Any]:
    return {"url": link_url(call.server.url, link), "expires_at": render.moment(link.expires_at)}


def link_url(server: str, link: Link) -> str:
    """Where a browser uses this link, on the server that people reach by that address."""
    return f"{server}/sign-in/{_PAGES[link.purpose]}?token={quote(link.token)}"
