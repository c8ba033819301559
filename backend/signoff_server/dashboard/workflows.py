"""The workflows that are registered, and one of them as a drawing and as its file."""

import re
from typing import Final

from starlette.responses import Response

from signoff.protocol import workflows as wire
from signoff_server.core.graph import Node, Tool
from signoff_server.dashboard import graph
from signoff_server.dashboard.visit import Visit
from signoff_server.store import workflows
from signoff_server.web.call import cursor

_LIMIT: Final = 50
_VERSIONS: Final = 10
_NODES: Final = 60
WORKFLOW_ID: Final = re.compile(wire.WORKFLOW_ID_PATTERN)


async def index(visit: Visit) -> Response:
    before = cursor(visit.asked("cursor") or None)
    views, following = await visit.server.database.read(workflows.newest, visit.caller.project, _LIMIT, before)
    return visit.page("workflows.html", views=views, following=following)


async def show(visit: Visit) -> Response:
    name, before = visit.name("workflow", WORKFLOW_ID), cursor(visit.asked("cursor") or None)
    view, definition = await visit.server.workflows.get(visit.caller, name, visit.asked("version") or None)
    versions, following = await visit.server.workflows.search(visit.caller, name, _VERSIONS, before)
    nodes = list(definition.nodes.values())
    return visit.page(
        "workflow.html",
        view=view,
        definition=definition,
        drawing=graph.draw(definition),
        nodes=[(node, graph.KINDS[type(node)], _leads(node)) for node in nodes[:_NODES]],
        more_nodes=max(0, len(nodes) - _NODES),
        tools=list(dict.fromkeys(node.tool for node in nodes if isinstance(node, Tool))),
        versions=versions,
        following=following,
    )


def _leads(node: Node) -> list[tuple[str, str]]:
    """(word, where to) of each way out of a node; the branches of a parallel node come first."""
    inner = [("at once", branch) for branch in getattr(node, "branches", ()) if isinstance(branch, str)]
    return inner + [(word, target or "end") for target, word in graph.ways(node)]
