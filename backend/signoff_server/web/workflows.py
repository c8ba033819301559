"""The handlers of workflows and of the project's policy."""

import re
from typing import Final

from starlette.responses import JSONResponse, Response

from signoff.protocol import workflows as wire
from signoff_server.core import definitions
from signoff_server.service.workflows import digest_of
from signoff_server.web import render_runs as render
from signoff_server.web.call import Call, answer, cursor

_WORKFLOW_ID: Final = re.compile(wire.WORKFLOW_ID_PATTERN)


async def register(call: Call) -> Response:
    query: wire.RegisterWorkflows = call.query
    found = await call.server.workflows.register(call.caller, call.body, build=query.on_conflict == "build")
    shown = [wire.Registered(workflow_id=each.workflow_id, version=each.version, digest=each.digest) for each in found]
    created = any(each.created for each in found)
    return answer(wire.RegisteredWorkflows(workflows=shown), 201 if created else 200)


async def validate(call: Call) -> Response:
    found, digest = await call.server.workflows.validate(call.body), digest_of(call.body)
    shown = [wire.Registered(workflow_id=each.id, version=each.version, digest=digest) for each in found]
    return answer(wire.RegisteredWorkflows(workflows=shown))


async def search(call: Call) -> Response:
    query: wire.ListWorkflows = call.query
    views, following = await call.server.workflows.search(
        call.caller, query.workflow_id, query.limit, cursor(query.cursor)
    )
    page = wire.WorkflowList(
        data=[render.workflow_summary(view) for view in views],
        next_cursor=None if following is None else str(following),
    )
    return answer(page)


async def get(call: Call) -> Response:
    query: wire.GetWorkflow = call.query
    view, found = await call.server.workflows.get(call.caller, call.name("id", _WORKFLOW_ID), query.version)
    return answer(render.workflow(view, found))


async def schema(_call: Call) -> Response:
    return JSONResponse(definitions.schema(), media_type="application/schema+json")


# ---------------------------------------------------------------- the project's policy


async def get_policy(call: Call) -> Response:
    return answer(render.policy(await call.server.workflows.policy(call.caller)))


async def set_policy(call: Call) -> Response:
    return answer(render.policy(await call.server.workflows.set_policy(call.caller, call.body)))


async def judge(call: Call) -> Response:
    body: wire.JudgeName = call.body
    return answer(
        render.verdict(await call.server.workflows.judge(call.caller, body.name, body.workflow, body.node_id))
    )
