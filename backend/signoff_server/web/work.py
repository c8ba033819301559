"""The handlers of work: the workers' protocol."""

from typing import Final

from starlette.responses import Response

from signoff.protocol import workflows as wire
from signoff_server.core.reactions import work_queue
from signoff_server.service.work import Ask, Handed
from signoff_server.web import render, wait
from signoff_server.web import render_runs as runs
from signoff_server.web.call import Call, answer

# What falls due by itself (a retry, a lease that ended) and what another process scheduled is found this often.
_LOOK_EVERY: Final = 1.0


async def lease(call: Call) -> Response:
    body: wire.LeaseWork = call.body
    ask = Ask(body.request, {tool.name: tool.idempotent for tool in body.tools}, body.worker, body.max)
    queues = [work_queue(call.caller.project, tool) for tool in ask.tools]

    async def look(_woken: bool) -> tuple[list[Handed], bool]:
        handed = await call.server.work.lease(call.caller, ask)
        return handed, bool(handed)

    handed = await wait.until(call, queues, body.wait, look, at_most=_LOOK_EVERY)
    return answer(wire.LeasedWork(items=[runs.work_item(each) for each in handed]))


async def heartbeat(call: Call) -> Response:
    body: wire.HeartbeatWork = call.body
    until, cancelled = await call.server.work.heartbeat(call.caller, call.path("id"), body.fence)
    return answer(wire.HeartbeatReply(lease_until=render.moment(until), cancelled=cancelled))


async def complete(call: Call) -> Response:
    body: wire.CompleteWork = call.body
    item = call.path("id")
    status = await call.server.work.report(call.caller, item, body.fence, "completed", {"output": body.output})
    return answer(wire.Settled(id=item, status=status))


async def fail(call: Call) -> Response:
    body: wire.FailWork = call.body
    item = call.path("id")
    status = await call.server.work.report(
        call.caller, item, body.fence, body.outcome, {"message": body.message}, again=body.retryable
    )
    return answer(wire.Settled(id=item, status=status))
