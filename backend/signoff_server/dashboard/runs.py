"""Runs: the list, one run with its graph and its story, and its end before its time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import TypeAdapter
from starlette.responses import Response

from signoff.protocol import workflows as wire
from signoff_server.core.events import Recorded
from signoff_server.core.graph import Definition
from signoff_server.core.refusals import Refusal
from signoff_server.dashboard import graph, run_graph
from signoff_server.dashboard.settings import checked
from signoff_server.dashboard.visit import Visit, go_to
from signoff_server.store import principals
from signoff_server.store.approvals import Filter
from signoff_server.store.executions import ExecutionView
from signoff_server.web.call import cursor
from signoff_server.web.render_runs import failure, waiting_for

_LIMIT: Final = 50
_STORY: Final = 30
_NODES: Final = 50
_APPROVALS: Final = 10
# The ways of a run with more events than this are not told from those that it did not go.
_FOLLOWED: Final = 500
STATUSES: Final = get_args(wire.ExecutionStatus)
_CANCEL: Final = TypeAdapter(wire.CancelExecution)


async def index(visit: Visit) -> Response:
    status, workflow_id = visit.asked("status"), visit.asked("workflow_id")
    if status not in ("", *STATUSES):
        raise Refusal("invalid_parameter", "There is no such status.")
    views, following = await visit.server.executions.search(
        visit.caller, status or None, workflow_id or None, _LIMIT, cursor(visit.asked("cursor") or None)
    )
    return visit.page(
        "runs.html",
        views=views,
        following=following,
        statuses=STATUSES,
        chosen=status,
        workflow_id=workflow_id,
        failure=failure,
        waiting_for=waiting_for,
    )


async def show(visit: Visit) -> Response:
    return await _run(visit, visit.path("id"))


async def cancel(visit: Visit) -> Response:
    run, reason = visit.path("id"), visit.said("reason").strip()
    try:
        if not reason:
            raise Refusal("invalid", "Say why: whoever waits for this run will read it.")
        body = checked(_CANCEL, {"reason": reason})
        await visit.server.executions.cancel(visit.caller, run, reason=body.reason, key=None)
    except Refusal as refusal:
        if refusal.code != "invalid":
            raise
        return await _run(visit, run, refusal, reason)
    return go_to(f"/runs/{run}")


@dataclass(frozen=True, slots=True)
class Story:
    """Some of a run's events with what was said in them, and where they go on."""

    events: Sequence[tuple[Recorded, dict[str, Any] | None]]
    following: int | None
    names: dict[str, str]


async def _run(visit: Visit, run: str, refusal: Refusal | None = None, reason: str = "") -> Response:
    server, caller = visit.server, visit.caller
    view = await server.executions.get(caller, run)
    definition, (approvals, more), story, ways = await asyncio.gather(
        _definition(visit, view),
        server.approvals.search(caller, Filter(execution_id=run), _APPROVALS),
        _story(visit, run),
        _ways(visit, run, view),
    )
    begin = cursor(visit.asked("nodes") or None) or 0
    visited = {node.node for node in view.nodes}
    ahead = [name for name in definition.nodes if name not in visited]
    return visit.page(
        "run.html",
        200 if refusal is None else refusal.status,
        view=view,
        here=_link(visit, run),
        drawing=graph.draw(definition, run_graph.marks(view.state, view.nodes), ways),
        links={node.node: f"/runs/{run}/nodes/{node.node}" for node in view.nodes},
        rows=view.nodes[begin : begin + _NODES],
        more_nodes=begin + _NODES if len(view.nodes) > begin + _NODES else None,
        ahead=ahead[:_NODES],
        more_ahead=max(0, len(ahead) - _NODES),
        waits=_waits(view),
        failure=failure(view),
        approvals=approvals,
        more_approvals=more,
        story=story,
        refusal=refusal,
        reason=reason,
    )


def _link(visit: Visit, run: str) -> str:
    """The address of the page, whatever form was sent to."""
    path = visit.link()
    return path if visit.request.method == "GET" else f"/runs/{run}"


def _waits(view: ExecutionView) -> list[tuple[str, str, str | None]]:
    """(node, what it waits for, its approval) of each that waits."""
    state = view.state
    told = ((visit, waiting_for(visit)) for visit in state.visits if not state.over or visit.unheard)
    return [(visit.node, what, visit.approval) for visit, what in told if what is not None]


async def _definition(visit: Visit, view: ExecutionView) -> Definition:
    _, definition = await visit.server.workflows.get(visit.caller, view.state.workflow_id, view.state.version)
    return definition


async def _ways(visit: Visit, run: str, view: ExecutionView) -> list[tuple[str, str]]:
    if view.version > _FOLLOWED or len(view.nodes) > graph.MAX_NODES:
        return []
    events, _ = await visit.server.executions.events(visit.caller, run, 0, _FOLLOWED)
    return list(run_graph.taken(event for event, _ in events))


async def _story(visit: Visit, run: str) -> Story:
    after = cursor(visit.asked("after") or None) or 0
    events, following = await visit.server.executions.events(visit.caller, run, after, _STORY)
    actors = {event.actor.id for event, _ in events if event.actor.id is not None}
    return Story(events, following, await visit.server.database.read(principals.names, actors))
