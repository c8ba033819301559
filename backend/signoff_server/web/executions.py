"""The handlers of runs."""

import re
from typing import Final

from starlette.responses import Response

from signoff.protocol import workflows as wire
from signoff_server.store.executions import ExecutionView
from signoff_server.web import render, wait
from signoff_server.web import render_runs as runs
from signoff_server.web.call import Call, answer, cursor

_NODE_ID: Final = re.compile(wire.NODE_ID_PATTERN)


async def start(call: Call) -> Response:
    body: wire.StartExecution = call.body
    call.server.creations.check(call.caller.key)
    started = await call.server.executions.start(
        call.caller, body.workflow_id, body.version, body.input, traceparent=body.traceparent, key=call.key
    )
    shown = _shown(call, started.view)
    if started.created:
        return answer(shown, 201, Location=f"/v1/executions/{shown.id}")
    return answer(shown, 200, **{"Idempotent-Replayed": "true"})


async def search(call: Call) -> Response:
    query: wire.ListExecutions = call.query
    views, following = await call.server.executions.search(
        call.caller, query.status, query.workflow_id, query.limit, cursor(query.cursor)
    )
    page = wire.ExecutionList(
        data=[runs.summary(view) for view in views], next_cursor=None if following is None else str(following)
    )
    return answer(page)


async def get(call: Call) -> Response:
    query: wire.WaitExecution = call.query
    return answer(_shown(call, await wait.hold_run(call, call.path("id"), query.wait, query.seen)))


async def events(call: Call) -> Response:
    query: wire.ListRunEvents = call.query
    found, following = await call.server.executions.events(call.caller, call.path("id"), query.after, query.limit)
    shown = [render.event(recorded, data) for recorded, data in found]
    return answer(wire.RunEvents(data=shown, next_after=following))


async def approvals(call: Call) -> Response:
    pending, decided = await call.server.executions.approvals(call.caller, call.path("id"))
    shown = wire.ExecutionApprovals(
        pending=[runs.approval(view) for view in pending], decided=[runs.approval(view) for view in decided]
    )
    return answer(shown)


async def node(call: Call) -> Response:
    execution, name = call.path("id"), call.name("node_id", _NODE_ID)
    return answer(runs.node_detail(execution, await call.server.executions.node(call.caller, execution, name)))


async def approve(call: Call) -> Response:
    body: wire.ApproveExecution = call.body
    execution = call.path("id")
    decided = await call.server.executions.approve(
        call.caller,
        execution,
        body.decision,
        node=body.node_id,
        comment=body.comment,
        approval=body.approval_id,
        key=call.key,
    )
    shown = {"node_id": decided.node, "approval_id": decided.approval, "decision": decided.decision}
    return answer(wire.ExecutionDecided.model_validate({"execution_id": execution, **shown}))


async def cancel(call: Call) -> Response:
    body: wire.CancelExecution = call.body
    view = await call.server.executions.cancel(call.caller, call.path("id"), reason=body.reason, key=call.key)
    return answer(_shown(call, view))


async def signal(call: Call) -> Response:
    body: wire.SignalExecution = call.body
    view = await call.server.executions.signal(call.caller, call.path("id"), body.name, body.payload, key=call.key)
    return answer(_shown(call, view))


async def resolve(call: Call) -> Response:
    body: wire.ResolveNode = call.body
    view = await call.server.executions.resolve(
        call.caller,
        call.path("id"),
        call.name("node_id", _NODE_ID),
        body.outcome,
        reason=body.reason,
        output=body.output,
        key=call.key,
    )
    return answer(_shown(call, view))


def _shown(call: Call, view: ExecutionView) -> wire.Execution:
    return runs.execution(view, call.server.url)
