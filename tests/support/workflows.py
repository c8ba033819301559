"""Runs for tests: a workflow with a gate, one without, and a worker that asks for their work by hand."""

from typing import Any, Final

from tests.support.project import Project

GATED: Final = """
workflow: {id: gated, version: 1.0.0, start: pay}
nodes:
  pay:
    type: tool
    tool_ref: payments.submit
    input: {amount: "${{ input.amount }}"}
    next: end
policy:
  require_approval_for: ["payments.*"]
"""
PLAIN: Final = """
workflow: {id: plain, version: 1.0.0, start: pay}
nodes:
  pay: {type: tool, tool_ref: pay, input: {amount: "${{ input.amount }}"}, next: end}
"""
_YAML: Final = {"Content-Type": "application/yaml"}


def register(project: Project, source: str, **query: str) -> Any:
    """The answer to a registration by `starter`."""
    return project.call("starter", "POST", "/v1/workflows", content=source, headers=_YAML, params=query)


def start(project: Project, source: str, given: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
    """A run of the first workflow of `source`, begun by `starter`."""
    found = register(project, source)
    assert found.status_code in (200, 201), found.text
    body = {"workflow_id": found.json()["workflows"][0]["workflow_id"], "input": given or {}}
    reply = project.call("starter", "POST", "/v1/executions", json=body, key=key)
    assert reply.status_code in (200, 201), reply.text
    return reply.json()


def parked(project: Project, source: str = GATED, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """A run that has come to where it waits for a decision."""
    begun = start(project, source, {"amount": "1.00"} if given is None else given)
    found: dict[str, Any] = project.call("starter", "GET", f"/v1/executions/{begun['id']}?wait=20").json()
    assert found["status"] == "parked", found
    return found


def lease(project: Project, *tools: str, request: str | None = None, most: int = 1, **more: Any) -> Any:
    """Items for `worker`, where there are any now."""
    given = request or project.world.new_id("req")
    offered = [{"name": tool, "idempotent": more.get("idempotent", False)} for tool in tools]
    worker, wait = more.get("worker", "w1"), more.get("wait", 0)
    body = {"request": given, "tools": offered, "max": most, "worker": worker, "wait": wait}
    reply = project.call("worker", "POST", "/v1/work/lease", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()["items"]


def take(project: Project, *tools: str, **more: Any) -> dict[str, Any]:
    """The next item, waited for."""
    (item,) = lease(project, *tools, wait=20, **more)
    found: dict[str, Any] = item
    return found


def held(project: Project) -> dict[str, Any]:
    """A work item that `worker` holds."""
    start(project, PLAIN, {"amount": "1.00"})
    return take(project, "pay")


def settle(project: Project, item: dict[str, Any], what: str = "complete", **body: Any) -> Any:
    """The answer to a report about an item."""
    given = {"fence": item["fence"], **body}
    return project.call("worker", "POST", f"/v1/work/{item['id']}/{what}", json=given)


def read(project: Project, execution: str) -> dict[str, Any]:
    found: dict[str, Any] = project.call("alice", "GET", f"/v1/executions/{execution}").json()
    return found
