"""Runs on a server that is at work: its runner and its wake-ups, or none of these, and everybody at once."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import pytest

from signoff_server.service.rebuild import rebuild
from tests.support.bare import bare_on
from tests.support.databases import Databases
from tests.support.project import Project, cast, running, serving
from tests.support.tables import derived
from tests.support.workflows import GATED, lease, parked, read, settle, start, take

ROUNDS: Final = 5
FINAL: Final = ("completed", "failed", "cancelled")
CHAIN: Final = """
workflow: {id: chain, version: 1.0.0, start: choose}
nodes:
  choose: {type: condition, branches: [{when: "input.amount == '1.00'", next: both}], default: end}
  both: {type: parallel, branches: [left, right], next: rest}
  left: {type: tool, tool_ref: left, next: end}
  right: {type: tool, tool_ref: right, next: end}
  rest: {type: wait, for: 5s, next: last}
  last: {type: tool, tool_ref: last, input: {left: "${{ nodes.left.output }}"}, next: end}
"""
TWO: Final = """
workflow: {id: two, version: 1.0.0, start: both}
nodes:
  both: {type: parallel, branches: [left, right], next: end}
  left: {type: human_approval, on_approved: end}
  right: {type: human_approval, on_approved: end}
"""
BRIEF: Final = """
workflow: {id: brief, version: 1.0.0, start: ask}
nodes:
  ask: {type: human_approval, timeout: 60s, on_approved: end}
"""


@pytest.fixture(params=[True, False], ids=["woken", "by itself"])
def live(databases: Databases, request: pytest.FixtureRequest) -> Iterator[Project]:
    with running(databases, hints=request.param) as (project, _):
        yield project


@pytest.fixture
def woken(databases: Databases) -> Iterator[Project]:
    with running(databases) as (project, _):
        yield project


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result(30) for each in [pool.submit(call) for call in calls]]


def until(project: Project, execution: str, *statuses: str) -> dict[str, Any]:
    """The run, held until it stands so."""
    seen = 0
    while True:
        path = f"/v1/executions/{execution}?wait=20&seen={seen}"
        found: dict[str, Any] = project.call("starter", "GET", path).json()
        if found["status"] in statuses:
            return found
        seen = len(project.call("alice", "GET", f"/v1/executions/{execution}/events").json()["data"])


def agrees(project: Project) -> None:
    """Everything derived is made again equal."""
    engines = project.server.database.engines
    before = derived(engines.reader)
    with engines.writer.begin() as connection:
        rebuild(connection, project.world.now())
    assert derived(engines.reader) == before


def in_time(project: Project, *tools: str) -> dict[str, Any]:
    """The next item, as time goes by: where nothing else moves a run, what is due does."""
    while not (items := lease(project, *tools, wait=1)):
        project.world.advance(1)
    found: dict[str, Any] = items[0]
    return found


def test_a_run_goes_on_by_whatever_moves_it(live: Project) -> None:
    execution = start(live, CHAIN, {"amount": "1.00"})["id"]
    for _ in range(2):
        settle(live, in_time(live, "left", "right"), output={"done": True})
    item = in_time(live, "last")
    assert item["input"] == {"left": {"done": True}}
    settle(live, item)
    assert read(live, execution)["status"] == "completed"
    agrees(live)


def test_without_hints_nothing_moves_a_run_but_what_is_due(databases: Databases) -> None:
    with running(databases, hints=False) as (project, _):
        execution = start(project, CHAIN, {"amount": "1.00"})["id"]
        assert lease(project, "left", "right", wait=1) == []
        assert [each["node_id"] for each in read(project, execution)["nodes"]] == ["choose"]


def test_what_a_dead_process_left_ready_goes_on(databases: Databases) -> None:
    content, casts = cast(databases)
    with databases.ready(content) as database:
        with bare_on(database, casts[0]) as left:
            asyncio.run(left.start(CHAIN, {"amount": "1.00"}))
        with serving(database, casts) as (project, _):
            assert lease(project, "left", "right") == []
            project.world.advance(1)
            assert take(project, "left", "right")["tool"] == "left"
            assert take(project, "left", "right")["tool"] == "right"


def word(project: Project, who: str, run: str, decision: str) -> Callable[[], Any]:
    body = {"decision": decision, "comment": "because"}
    return lambda: project.call(who, "POST", f"/v1/executions/{run}/approve", json=body)


def cancel(project: Project, run: str) -> Callable[[], Any]:
    return lambda: project.call("starter", "POST", f"/v1/executions/{run}/cancel", json={})


def test_one_word_wins_when_many_speak_together(woken: Project) -> None:
    for _ in range(ROUNDS):
        run = parked(woken)["id"]
        said = [word(woken, "alice", run, "approved"), word(woken, "bob", run, "rejected")]
        *replies, cancelled = at_once(*said, word(woken, "bob", run, "approved"), cancel(woken, run))
        assert {reply.status_code for reply in (*replies, cancelled)} <= {200, 409}
        decided = [reply.json()["decision"] for reply in replies if reply.status_code == 200]
        assert len(decided) <= 1
        status = read(woken, run)["status"]
        assert (status, cancelled.status_code) == (("failed", 409) if decided == ["rejected"] else ("cancelled", 200))
    agrees(woken)


def test_who_decides_a_node_too_late_hears_who_was_faster(woken: Project) -> None:
    run = parked(woken)
    asked = run["nodes"][0]["approval_id"]
    assert word(woken, "alice", run["id"], "approved")().status_code == 200
    for about in ({"node_id": "pay"}, {"approval_id": asked}, {"node_id": "pay", "approval_id": asked}):
        body = {"decision": "rejected", "comment": "no", **about}
        late = woken.call("bob", "POST", f"/v1/executions/{run['id']}/approve", json=body)
        assert (late.status_code, late.json()["code"]) == (409, "already_decided")
        assert late.json()["current"]["decided_by"] == {"id": woken.ids["alice"], "name": "alice", "kind": "human"}
    cancel(woken, run["id"])()
    # That the run is over comes before all else.
    late = woken.call("bob", "POST", f"/v1/executions/{run['id']}/approve", json=body)
    assert late.json()["code"] == "execution_finished"


def test_an_approval_tells_which_node_is_meant(woken: Project) -> None:
    run = parked(woken, TWO, {})
    left, right = ({each["node_id"]: each["approval_id"] for each in run["nodes"]}[name] for name in ("left", "right"))
    body = {"decision": "approved", "approval_id": right}
    reply = woken.call("alice", "POST", f"/v1/executions/{run['id']}/approve", json=body)
    assert (reply.json()["node_id"], reply.json()["approval_id"]) == ("right", right)
    wrong = {"decision": "approved", "approval_id": left, "node_id": "right"}
    assert (
        woken.call("alice", "POST", f"/v1/executions/{run['id']}/approve", json=wrong).json()["code"] == "not_pending"
    )


def test_a_decision_meets_its_deadline(woken: Project) -> None:
    for late in (True, False, True):
        run = parked(woken, BRIEF, {})["id"]
        moves = [word(woken, "alice", run, "approved"), partial(woken.world.advance, 60 if late else 0)]
        reply, _ = at_once(*moves)
        ended = until(woken, run, *FINAL)
        assert ended["status"] == ("completed" if reply.status_code == 200 else "failed")
        if reply.status_code != 200:
            assert ended["failure"]["code"] == "approval_expired"
    agrees(woken)


def test_many_workers_get_each_item_once(woken: Project) -> None:
    runs = [start(woken, CHAIN, {"amount": "1.00"}, key=f"k{at}")["id"] for at in range(4)]
    taken: list[str] = []
    while len(taken) < 2 * len(runs):
        asks = at_once(*[lambda: lease(woken, "left", "right", most=2, wait=1) for _ in range(4)])
        items = [item for each in asks for item in each]
        assert {item["fence"] for item in items} <= {1}
        taken += [item["id"] for item in items]
    assert len(taken) == len(set(taken)) == 2 * len(runs)


def test_a_worker_that_is_not_heard_of_loses_its_item(live: Project) -> None:
    run = parked(live, GATED)["id"]
    live.call("alice", "POST", f"/v1/executions/{run}/approve", json={"decision": "approved"})
    first = take(live, "payments.submit", idempotent=True)
    live.world.advance(30)
    second = take(live, "payments.submit", idempotent=False)
    assert (second["id"], second["fence"], second["attempt"]) == (first["id"], 2, 2)
    assert settle(live, first).json()["code"] == "stale_fence"
    live.world.advance(30)
    unknown = until(live, run, "parked")
    assert unknown["nodes"][0]["status"] == "outcome_unknown"
    assert unknown["nodes"][0]["error"]
    body = {"outcome": "succeeded", "reason": "asked the bank", "output": {"id": "p1"}}
    resolved = live.call("alice", "POST", f"/v1/executions/{run}/nodes/pay/resolve", json=body)
    assert resolved.json()["status"] == "completed"
    agrees(live)
