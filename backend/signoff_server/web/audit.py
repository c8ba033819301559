"""The handler that reads the ledger on."""

from sqlalchemy import Connection
from starlette.responses import Response

from signoff.protocol import models
from signoff_server.store import ledger
from signoff_server.web import render
from signoff_server.web.call import Call, answer


async def events(call: Call) -> Response:
    query: models.ListEvents = call.query

    def page(connection: Connection) -> models.EventPage:
        found = ledger.stretch(
            connection,
            call.caller.project,
            after=query.after,
            glob=query.type,
            subject=query.subject,
            limit=query.limit,
        )
        data = [render.event(recorded, data) for recorded, data in found.events]
        return models.EventPage(data=data, next_after=found.end)

    return answer(await call.server.database.read(page))
