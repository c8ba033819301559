"""Work over HTTP: asked for in advance, handed out once, lost by the clock, and every wait's end."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import pytest

from signoff_server import limits
from signoff_server.core import keys
from signoff_server.service.rebuild import rebuild
from tests.support.databases import Databases
from tests.support.project import Project, running
from tests.support.tables import derived
from tests.support.workflows import GATED, PLAIN, held, lease, parked, read, register, settle, start, take
from tests.web.test_executions import ASKING, RETRIED, TWO_GATES, WAITING, approve, events, node, told

ONCE_LOST: Final = """
workflow: {id: once-lost, version: 1.0.0, start: pay, limits: {max_lost_leases: 1}}
nodes:
  pay: {type: tool, tool_ref: pay, input: {}, next: end}
"""
TIMER: Final = """
workflow: {id: timer, version: 1.0.0, start: wait}
nodes:
  wait: {type: wait, for: 1h, next: tell}
  tell: {type: tool, tool_ref: tell, input: {}, next: end}
"""


def ask(project: Project, pool: ThreadPoolExecutor, *tools: str, who: str = "worker", wait: int = 60) -> Future[Any]:
    """A lease that is being held: it listens before this returns."""
    before, request = len(project.server.hub), project.world.new_id("req")
    # A tool of its own, so that it is seen to listen beside others.
    offered = [{"name": tool} for tool in (*tools, request.replace("_", "-"))]
    body = {"request": request, "tools": offered, "wait": wait}
    future = pool.submit(project.call, who, "POST", "/v1/work/lease", json=body)
    while len(project.server.hub) == before:
        pass
    return future


def goes_on(project: Project, run: dict[str, Any]) -> dict[str, Any]:
    """The run once it has more events than that."""
    path = f"/v1/executions/{run['id']}?wait=20&seen={run['events']}"
    return dict(project.call("starter", "GET", path).json())


# ---------------------------------------------------------------- asking in advance


@pytest.fixture(params=[True, False], ids=["woken", "every hint lost"])
def told_or_not(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Project]:
    with running(databases, hints=request.param) as (project, _):
        yield project


def test_a_lease_that_waits_hears_of_a_start_and_of_a_decision(told_or_not: Project) -> None:
    project = told_or_not
    with ThreadPoolExecutor() as pool:
        waiting = ask(project, pool, "pay")
        begun = start(project, PLAIN, {"amount": "1"})
        (item,) = waiting.result(10).json()["items"]
        assert item["execution_id"] == begun["id"]

        run = parked(project)
        waiting = ask(project, pool, "payments.submit")
        assert approve(project, run).status_code == 200
        (item,) = waiting.result(10).json()["items"]
        assert item["execution_id"] == run["id"]
    assert len(project.server.hub) == 0


def test_a_lease_that_waits_is_woken_by_the_clock(project: Project) -> None:
    run = start(project, RETRIED)
    settle(project, take(project, "pay"), "fail", outcome="failed", message="not yet")
    with ThreadPoolExecutor() as pool:
        waiting = ask(project, pool, "pay")
        project.world.advance(1)
        (item,) = waiting.result(10).json()["items"]
    assert (item["execution_id"], item["attempt"]) == (run["id"], 2)


def test_a_wait_that_is_over_answers_with_nothing(project: Project) -> None:
    start(project, PLAIN, {"amount": "1"})
    assert lease(project, "another", wait=1) == []
    assert lease(project, "pay", most=100, wait=1) != []


def test_one_item_is_handed_to_one_of_many_that_wait(project: Project) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = [ask(project, pool, "pay", wait=2) for _ in range(4)]
        start(project, PLAIN, {"amount": "1"})
        found = [reply.result(20).json()["items"] for reply in waiting]
    assert sorted(map(len, found)) == [0, 0, 0, 1]


def test_a_lease_that_waits_ends_with_its_key(project: Project) -> None:
    key = keys.parse(project.keys["worker"])
    assert key is not None
    with ThreadPoolExecutor() as pool:
        waiting = ask(project, pool, "pay")
        project.call("admin", "DELETE", f"/v1/keys/{key.id}")
        assert waiting.result(10).status_code == 401


def test_a_lease_that_waits_ends_with_the_server(project: Project) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = ask(project, pool, "pay")
        assert project.client.portal is not None
        project.client.portal.call(project.server.hub.stop)
        reply = waiting.result(10)
    assert (*told(reply), reply.headers["retry-after"]) == (503, "unavailable", "1")


def test_a_key_waits_for_so_many_things_and_no_more(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.WAITS == 20_000
    monkeypatch.setattr(limits, "WAITS", 2)
    with ThreadPoolExecutor() as pool:
        waiting = [ask(project, pool, "pay", wait=2) for _ in range(2)]
        body = {"request": "r", "tools": [{"name": "pay"}], "wait": 1}
        refused = project.call("worker", "POST", "/v1/work/lease", json=body)
        assert (*told(refused), refused.headers["retry-after"]) == (429, "rate_limited", "5")
        assert [reply.result(20).status_code for reply in waiting] == [200, 200]
    assert project.call("worker", "POST", "/v1/work/lease", json=body).status_code == 200


def test_what_nobody_offers_stands_in_nobodys_way(project: Project) -> None:
    register(project, PLAIN.replace("id: plain", "id: poison").replace("tool_ref: pay,", "tool_ref: poison,"))
    for _ in range(120):
        body = {"workflow_id": "poison", "input": {"amount": "1"}}
        assert project.call("starter", "POST", "/v1/executions", json=body).status_code == 201
    begun = start(project, PLAIN, {"amount": "2"})
    (item,) = lease(project, "pay", "another", most=100)
    assert item["execution_id"] == begun["id"]
    assert len(lease(project, "poison", "pay", most=100)) == 100


# ---------------------------------------------------------------- the same ask


def test_the_same_ask_gets_the_same_items_while_their_leases_stand(project: Project) -> None:
    for amount in ("1", "2", "3"):
        start(project, PLAIN, {"amount": amount})
    first = lease(project, "pay", request="r1", most=2)
    assert len(first) == 2
    settle(project, first[0])
    (again,) = lease(project, "pay", request="r1", most=2)
    assert (again["id"], again["fence"], again["input"]) == (first[1]["id"], 1, first[1]["input"])
    # Another principal's ask of the same name is another ask.
    issue = {"principal": project.ids["executor"], "scopes": ["work"]}
    project.keys["second"] = project.call("admin", "POST", "/v1/keys", json=issue).json()["key"]
    body = {"request": "r1", "tools": [{"name": "pay"}]}
    (other,) = project.call("second", "POST", "/v1/work/lease", json=body).json()["items"]
    assert other["id"] not in {item["id"] for item in first}
    project.world.advance(31)
    # Once the leases are over, whether or not that was noticed yet, an old ask gets nothing and a new one all.
    assert lease(project, "pay", request="r1", most=2) == []
    assert take(project, "pay")["fence"] == 2


# ---------------------------------------------------------------- what time does


def test_a_lost_lease_of_a_free_tool_is_due_again_until_it_was_lost_too_often(project: Project) -> None:
    run = start(project, ONCE_LOST)
    first = take(project, "pay")
    project.world.advance(30)
    second = take(project, "pay")
    assert (second["fence"], second["attempt"], second["execution_key"]) == (2, 2, first["execution_key"])
    assert told(settle(project, first)) == (409, "stale_fence")
    seen = read(project, run["id"])
    project.world.advance(30)
    run = goes_on(project, seen)
    assert (run["status"], run["failure"]["code"]) == ("failed", "lease_lost")
    assert lease(project, "pay") == []
    lost = ["node.scheduled", "node.started"] * 2
    assert events(project, run) == ["execution.started", *lost, "node.failed", "execution.failed"]


def test_a_lost_lease_of_a_gated_tool_waits_for_a_person(project: Project) -> None:
    run = parked(project)
    approve(project, run)
    item = take(project, "payments.submit")
    seen = read(project, run["id"])
    project.world.advance(30)
    run = goes_on(project, seen)
    assert (run["status"], node(run, "pay")["status"]) == ("parked", "outcome_unknown")
    assert lease(project, "payments.submit") == []
    assert told(settle(project, item, "heartbeat")) == (409, "stale_fence")
    path = f"/v1/executions/{run['id']}/nodes/pay/resolve"
    retry = {"outcome": "retry", "reason": "the bank saw nothing"}
    assert project.call("alice", "POST", path, json=retry).status_code == 200
    assert told(project.call("alice", "POST", path, json=retry)) == (409, "nothing_to_resolve")
    again = take(project, "payments.submit")
    assert (again["fence"], again["execution_key"], again["input"]) == (2, item["execution_key"], item["input"])
    assert told(settle(project, item)) == (409, "stale_fence")
    assert settle(project, again, output={"receipt": 1}).status_code == 200
    assert read(project, run["id"])["status"] == "completed"


def test_a_lost_lease_of_a_gated_tool_that_is_idempotent_is_due_again(project: Project) -> None:
    run = parked(project)
    approve(project, run)
    item = take(project, "payments.submit", idempotent=True)
    project.world.advance(30)
    again = take(project, "payments.submit")
    assert (again["fence"], again["input"]) == (2, item["input"])
    # This worker does not say that it is: what it loses is not done again.
    seen = read(project, run["id"])
    project.world.advance(30)
    assert node(goes_on(project, seen), "pay")["status"] == "outcome_unknown"


def test_a_late_report_counts_until_somebody_else_has_spoken(project: Project) -> None:
    run = parked(project)
    approve(project, run)
    item = take(project, "payments.submit")
    seen = read(project, run["id"])
    project.world.advance(30)
    goes_on(project, seen)
    assert settle(project, item, output={"receipt": 1}).json()["status"] == "completed"
    assert read(project, run["id"])["status"] == "completed"


def test_a_lease_that_is_held_on_is_not_lost(project: Project) -> None:
    item = held(project)
    for _ in range(4):
        project.world.advance(29)
        assert settle(project, item, "heartbeat").status_code == 200
    assert lease(project, "pay", wait=1) == []
    assert settle(project, item).status_code == 200


@pytest.mark.parametrize("late", [False, True])
def test_what_was_approved_lapses_when_no_worker_begins_it(project: Project, late: bool) -> None:
    run = parked(project)
    approve(project, run)
    if late:
        # The worker is a moment before the agenda.
        project.world.advance(24 * 3_600)
        assert lease(project, "payments.submit") == []
    else:
        seen = read(project, run["id"])
        project.world.advance(24 * 3_600)
        goes_on(project, seen)
    run = read(project, run["id"])
    assert (run["status"], run["failure"]["code"]) == ("failed", "approval_lapsed")


def test_what_was_begun_in_time_does_not_lapse(project: Project) -> None:
    run = parked(project)
    approve(project, run)
    project.world.advance(24 * 3_600 - 1)
    item = take(project, "payments.submit")
    project.world.advance(20)
    settle(project, item)
    assert read(project, run["id"])["status"] == "completed"


def test_timers(project: Project) -> None:
    slept, waited = start(project, TIMER), start(project, WAITING)
    assert (slept["status"], node(slept, "wait")["status"]) == ("parked", "waiting")
    project.world.advance(59)
    assert lease(project, "tell", "late", wait=1) == []
    project.world.advance(1)
    assert take(project, "late")["execution_id"] == waited["id"]
    project.world.advance(3_540)
    assert take(project, "tell")["execution_id"] == slept["id"]


# ---------------------------------------------------------------- after all this


def test_all_of_it_is_made_again_equal(project: Project) -> None:
    for source, given in (
        (GATED, {"amount": "1"}),
        (TWO_GATES, {}),
        (ASKING, {"who": "Ann"}),
        (WAITING, {}),
        (TIMER, {}),
    ):
        start(project, source, given)
    approve(project, parked(project, TWO_GATES, {}), node_id="left", decision="rejected", comment="no")
    unknown = parked(project)
    approve(project, unknown)
    settle(project, take(project, "payments.submit"), "fail", outcome="unknown", message="who knows")
    project.call("starter", "POST", f"/v1/executions/{start(project, WAITING)['id']}/signal", json={"name": "kept"})
    project.call("starter", "POST", f"/v1/executions/{start(project, TIMER)['id']}/cancel", json={}, key="c")
    held(project)
    start(project, RETRIED, key="k")
    settle(project, take(project, "pay"), "fail", outcome="failed", message="once")
    project.call("admin", "PUT", "/v1/policy", content="default: allow", headers={"Content-Type": "application/yaml"})
    for run in project.call("starter", "GET", "/v1/executions?status=running").json()["data"]:
        project.call("starter", "GET", f"/v1/executions/{run['id']}?wait=1")

    engines = project.server.database.engines
    before = derived(engines.reader)
    assert all(before.values())
    with engines.writer.begin() as connection:
        rebuild(connection, project.world.now())
    assert derived(engines.reader) == before
    assert lease(project, "tell", "sorry", "payments.submit") == []
