"""The handlers that tell of the server itself."""

from starlette.responses import Response

from signoff.protocol import models
from signoff_server.core.refusals import Refusal
from signoff_server.store import ledger
from signoff_server.web.call import Call, answer


async def healthz(_call: Call) -> Response:
    return answer(models.Health(status="ok"))


async def readyz(call: Call) -> Response:
    """Ready: the database answers. Its schema was brought up to date before the server listened."""
    if call.server.hub.stopping:
        raise Refusal("unavailable", "The server is stopping.", retry_after=1)
    await call.server.database.read(ledger.projects)
    return answer(models.Health(status="ok"))


async def metrics(call: Call) -> Response:
    call.server.metrics.waiting.set(len(call.server.hub))
    return Response(call.server.metrics.text(), media_type="text/plain; version=0.0.4")


async def openapi_yaml(call: Call) -> Response:
    return Response(call.server.document(), media_type="application/yaml")
