"""Signing in and out: by a password, or by a link that was handed over and works once."""

from starlette.responses import Response

from signoff_server.core.refusals import Refusal
from signoff_server.dashboard import cookies
from signoff_server.dashboard.visit import Visit, go_to, inner_path
from signoff_server.web.client_address import network_of


async def show(visit: Visit) -> Response:
    return visit.page("sign_in.html", next=inner_path(visit.asked("next")), name="", refusal=None)


async def submit(visit: Visit) -> Response:
    name, following = visit.said("name").strip(), inner_path(visit.said("next"))
    server = visit.server
    try:
        project = await server.principals.project(server.settings.project)
        network = network_of(visit.request, server.settings)
        signed_in = await server.accounts.sign_in(project, name, visit.said("password"), network)
    except Refusal as refusal:
        return visit.page("sign_in.html", refusal.status, next=following, name=name, refusal=refusal)
    return _enter(visit, signed_in.token, following)


async def show_link(visit: Visit) -> Response:
    """What the link is for: it is used by the form on that page, never by opening it."""
    token = visit.asked("token")
    return visit.page("sign_in_link.html", found=await visit.server.accounts.link(token), token=token, refusal=None)


async def use_link(visit: Visit) -> Response:
    return _enter(visit, (await visit.server.accounts.exchange(visit.said("token"))).token, "/")


async def show_password(visit: Visit) -> Response:
    token = visit.asked("token")
    return visit.page("password.html", found=await visit.server.accounts.link(token), token=token, refusal=None)


async def set_password(visit: Visit) -> Response:
    token, password = visit.said("token"), visit.said("password")
    try:
        if password != visit.said("again"):
            raise Refusal("invalid", "The two passwords differ.")
        signed_in = await visit.server.accounts.set_password(token, password)
    except Refusal as refusal:
        found = await visit.server.accounts.link(token)
        return visit.page("password.html", refusal.status, found=found, token=token, refusal=refusal)
    return _enter(visit, signed_in.token, "/")


async def sign_out(visit: Visit) -> Response:
    await visit.server.accounts.sign_out(visit.token)
    response = go_to("/sign-in")
    cookies.drop(response, visit.server)
    return response


def _enter(visit: Visit, token: str, path: str) -> Response:
    response = go_to(path)
    cookies.put(response, visit.server, token)
    return response
