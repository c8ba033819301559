"""A run on the drawing of its workflow: how each node stands, and which ways the run went."""

from collections.abc import Iterable, Iterator

from signoff_server.core.events import Recorded
from signoff_server.core.execution_state import Execution
from signoff_server.dashboard.graph import BEGIN, END, Mark
from signoff_server.store.executions import NodeView


def marks(state: Execution, nodes: Iterable[NodeView]) -> dict[str, Mark]:
    """By the ids of the nodes that the run came to."""
    now = {visit.node for visit in state.visits} | {ready.node for ready in state.ready}
    found = {node.node: Mark(node.status, not state.over and node.node in now) for node in nodes}
    return {name: Mark("next", now=True) for name in now - set(found)} | found


def taken(events: Iterable[Recorded]) -> Iterator[tuple[str, str]]:
    """The ways that a run went, from its events in their order."""
    leads: dict[str, str | None] = {}
    for event in events:
        facts = event.facts
        if event.type == "execution.started":
            yield BEGIN, facts["start"] or END
        node = facts.get("node")
        if node is None or not event.type.startswith("node."):
            continue
        if "type" in facts:
            leads[node] = facts.get("next")
            yield from ((node, branch) for branch in facts.get("branches", ()))
        if event.type == "node.completed" or (event.type == "node.resolved" and facts["outcome"] == "succeeded"):
            yield node, facts.get("next", leads.get(node)) or END
