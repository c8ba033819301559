"""What waits for a decision."""

from starlette.responses import Response

from signoff_server.dashboard.visit import Visit
from signoff_server.store.approvals import Filter


async def show(visit: Visit) -> Response:
    views, _ = await visit.server.approvals.search(visit.caller, Filter(status="pending"), 50)
    return visit.page("pending.html", views=views)
