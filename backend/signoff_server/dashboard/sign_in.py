"""Signing in and out: by a password, or by a link that was handed over and works once."""

from starlette.responses import Response

from signoff_server.core.refusals import Refusal
from signoff_server.dashboard import cookies
from signoff_server.dashboard.visit import Visit, go_to, inner_path
from signoff_server.store import ledger
from signoff_server.web.client_address import network_of


async def show(visit: Visit) -> Response:
    return await _door(visit, inner_path(visit.asked("next")))


async def submit(visit: Visit) -> Response:
    name, following = visit.said("name").strip(), inner_path(visit.said("next"))
    server = visit.server
    named = visit.said("project").strip() or server.settings.project
    try:
        project, known = await _project(visit, named)
        network = network_of(visit.request, server.settings)
        # In a project that does not exist nobody has a name: it is refused in the same words, as slowly, and counted.
        signed_in = await server.accounts.sign_in(project, name if known else "", visit.said("password"), network)
    except Refusal as refusal:
        return await _door(visit, following, refusal, name=name, project=named)
    return _enter(visit, signed_in.token, following)


async def _project(visit: Visit, name: str) -> tuple[str, bool]:
    """The project of this name, else the server's own; and whether it is the one. Raises `Refusal`."""
    server = visit.server
    found = await server.database.read(ledger.project_named, name)
    own = found or await server.database.read(ledger.project_named, server.settings.project)
    own = own or next(iter(await server.database.read(ledger.projects)), None)
    if own is None:
        raise Refusal("unauthenticated", "Nobody can sign in yet: `signoff setup` makes the project and its admin.")
    return own, found is not None


async def _door(
    visit: Visit, following: str, refusal: Refusal | None = None, *, name: str = "", project: str = ""
) -> Response:
    """Names belong to a project; it is asked for where there are several."""
    several = len(await visit.server.database.read(ledger.projects)) > 1
    return visit.page(
        "sign_in.html",
        200 if refusal is None else refusal.status,
        next=following,
        name=name,
        several=several,
        project=project or visit.server.settings.project,
        refusal=refusal,
    )


async def show_link(visit: Visit) -> Response:
    """What the link is for: it is used by the form on that page, never by opening it."""
    token = visit.asked("token")
    return visit.page("sign_in_link.html", found=await visit.server.accounts.link(token), token=token, refusal=None)


async def use_link(visit: Visit) -> Response:
    try:
        signed_in = await visit.server.accounts.exchange(visit.said("token"))
    except Refusal as refusal:
        if refusal.code != "unauthenticated":
            raise
        return visit.page("sign_in_link.html", refusal.status, found=None, token="", refusal=refusal)
    return _enter(visit, signed_in.token, "/")


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
