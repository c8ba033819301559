"""What pages listen to, and the files that they are made of."""

from typing import Final

from starlette.responses import Response

from signoff_server.core.refusals import Refusal
from signoff_server.dashboard.assets import ASSETS
from signoff_server.dashboard.visit import Visit
from signoff_server.web.feed import Sort
from signoff_server.web.stream import Beginning, EventStream, last_event_id

_FOR_EVER: Final = "public, max-age=31536000, immutable"


async def stream(visit: Visit) -> Response:
    """Server-Sent Events that say that something changed: a page asks again then, as whoever it is shown to."""
    server, caller = visit.server, visit.caller
    after = last_event_id(visit.request)
    if visit.request.method == "HEAD":
        return Beginning()
    if server.hub.stopping:
        raise Refusal("unavailable", "The server is restarting; ask again.", retry_after=1)
    if after is None:
        after = await server.feed.end(caller.project)
    server.feed.enter(caller.key)

    async def stands() -> object:
        return await server.accounts.caller(visit.token, touch=False)

    return EventStream(server, caller, Sort(caller.project, thin=True), after, stands, unheard=True)


async def asset(visit: Visit) -> Response:
    """A file of `static/`, under the address that names its content. Raises `Refusal`."""
    name, digest = (str(visit.request.path_params[part]) for part in ("name", "digest"))
    found = ASSETS.get(name)
    if found is None or found.digest != digest:
        raise Refusal("not_found", "There is no such file.")
    headers = {"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"}
    return Response(found.content, headers=headers, media_type=found.media_type)


async def missing(_visit: Visit) -> Response:
    """Where no page is."""
    raise Refusal("not_found", "There is no such page.")
