"""One node of a run: what went in and came out, and a person's word on it where nobody knows what came of it."""

import re
from typing import Any, Final

from pydantic import TypeAdapter
from starlette.responses import Response

from signoff.protocol import canonical
from signoff.protocol import workflows as wire
from signoff_server.core.refusals import Refusal
from signoff_server.dashboard.settings import checked
from signoff_server.dashboard.visit import Visit, go_to
from signoff_server.web.render_runs import waiting_for

_NODE_ID: Final = re.compile(wire.NODE_ID_PATTERN)
_RESOLVE: Final = TypeAdapter(wire.ResolveNode)
OUTCOMES: Final = {
    "succeeded": "It happened",
    "failed": "It did not happen, and is not to be tried again",
    "retry": "It did not happen: run it once more",
}


async def show(visit: Visit) -> Response:
    return await _page(visit)


async def resolve(visit: Visit) -> Response:
    run, node = visit.path("id"), visit.name("node", _NODE_ID)
    try:
        body = _said(visit)
        await visit.server.executions.resolve(
            visit.caller, run, node, body.outcome, reason=body.reason, output=body.output, key=None
        )
    except Refusal as refusal:
        if refusal.code != "invalid":
            raise
        return await _page(visit, refusal)
    return go_to(f"/runs/{run}/nodes/{node}")


def _said(visit: Visit) -> wire.ResolveNode:
    """What the form says. Raises `Refusal`."""
    outcome, output = visit.said("outcome"), visit.said("output").strip()
    said: dict[str, Any] = {"outcome": outcome, "reason": visit.said("reason").strip()}
    if outcome == "succeeded" and output:
        try:
            said["output"] = canonical.loads(output)
        except (canonical.MalformedJSON, canonical.NotCanonical) as error:
            raise Refusal("invalid", f"The output is not acceptable JSON: {error}.") from error
    return checked(_RESOLVE, said)


async def _page(visit: Visit, refusal: Refusal | None = None) -> Response:
    run, node = visit.path("id"), visit.name("node", _NODE_ID)
    server, caller = visit.server, visit.caller
    view = await server.executions.get(caller, run)
    found = await server.executions.node(caller, run, node)
    approval = None if found.view.approval is None else await server.approvals.get(caller, found.view.approval)
    # The row has the text of its error only where it is read with its run.
    row = next(each for each in view.nodes if each.node == node)
    return visit.page(
        "run_node.html",
        200 if refusal is None else refusal.status,
        view=view,
        here=f"/runs/{run}/nodes/{node}",
        node=row,
        detail=found,
        now_at=view.state.at(node),
        approval=approval,
        waits=None if view.state.over and row.status != "outcome_unknown" else waiting_for(row),
        outcomes=OUTCOMES,
        refusal=refusal,
        sent={name: visit.said(name) for name in ("outcome", "output", "reason")},
    )
