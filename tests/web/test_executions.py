"""Runs over HTTP: parked, decided, handed out, reported; and every refusal on the way."""

from typing import Any

import pytest

from signoff_server.service import executions
from tests.support.project import Project
from tests.support.workflows import GATED, PLAIN, held, lease, parked, read, register, settle, start, take

TWO_GATES = """
workflow: {id: two-gates, version: 1.0.0, start: both}
nodes:
  both: {type: parallel, branches: [left, right], next: last}
  left: {type: tool, tool_ref: payments.left, input: {}, next: end}
  right: {type: tool, tool_ref: payments.right, input: {}, next: end}
  last: {type: tool, tool_ref: tell, input: {left: "${{ nodes.left.output }}"}, next: end}
policy: {require_approval_for: ["payments.*"]}
"""
RETRIED = """
workflow: {id: retried, version: 1.0.0, start: pay}
nodes:
  pay: {type: tool, tool_ref: pay, input: {}, retry: {max_attempts: 3, base_delay: 1s}, timeout: 20s, next: end}
"""
ASKING = """
workflow: {id: asking, version: 1.0.0, start: ask}
nodes:
  ask:
    type: human_approval
    description: Hire ${{ input.who }}?
    context: {who: "${{ input.who }}"}
    on_approved: tell
    on_rejected: sorry
  tell: {type: tool, tool_ref: tell, input: {by: "${{ nodes.ask.output.decision }}"}, next: end}
  sorry: {type: tool, tool_ref: sorry, input: {why: "${{ nodes.ask.output.comment }}"}, next: end}
"""
WAITING = """
workflow: {id: waiting, version: 1.0.0, start: wait}
nodes:
  wait: {type: wait, event: paid, timeout: 60s, on_timeout: late, next: tell}
  tell: {type: tool, tool_ref: tell, input: {said: "${{ nodes.wait.output }}"}, next: end}
  late: {type: tool, tool_ref: late, input: {}, next: end}
"""


def approve(project: Project, run: dict[str, Any], who: str = "alice", *, key: str | None = None, **body: Any) -> Any:
    given = {"decision": "approved", **body}
    return project.call(who, "POST", f"/v1/executions/{run['id']}/approve", json=given, key=key)


def told(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.json().get("code", "")


def node(run: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in run["nodes"] if each["node_id"] == name)


def events(project: Project, run: dict[str, Any]) -> list[str]:
    found = project.call("alice", "GET", f"/v1/executions/{run['id']}/events").json()["data"]
    return [event["type"] for event in found]


def test_a_gated_run_from_its_start_to_its_end(project: Project) -> None:
    run = start(project, GATED, {"amount": "17.00"})
    assert run["status"] == "parked"
    assert node(run, "pay")["waiting_for"] == "a reviewer's decision"
    assert lease(project, "payments.submit") == []

    (pending,) = project.call("alice", "GET", f"/v1/executions/{run['id']}/approvals").json()["pending"]
    assert (pending["node_id"], pending["tool"]) == ("pay", "payments.submit")
    assert pending["arguments"] == {"amount": "17.00"}
    assert pending["rule"] == "workflow/require_approval_for/payments.*"
    decided = approve(project, run)
    assert decided.json() == {
        "execution_id": run["id"],
        "node_id": "pay",
        "approval_id": pending["approval_id"],
        "decision": "approved",
    }
    assert node(read(project, run["id"]), "pay")["waiting_for"] == "a worker that offers payments.submit"

    item = take(project, "other", "payments.submit")
    assert item["input"] == {"amount": "17.00"}
    assert item["execution_key"] == f"{run['id']}/pay/1"
    approval = project.get(pending["approval_id"])
    assert approval["execution_key"] == item["execution_key"]
    assert approval["redemption"]["outcome"] is None
    assert settle(project, item, output={"receipt": 7}).json() == {"id": item["id"], "status": "completed"}

    run = read(project, run["id"])
    assert (run["status"], run["failure"], run["steps"]) == ("completed", None, 1)
    assert project.get(pending["approval_id"])["redemption"]["outcome"] == "succeeded"
    detail = project.call("alice", "GET", f"/v1/executions/{run['id']}/nodes/pay").json()
    assert (detail["input"], detail["output"]) == ({"amount": "17.00"}, {"receipt": 7})
    assert events(project, run) == [
        "execution.started",
        "node.approval_required",
        "execution.parked",
        "node.scheduled",
        "execution.resumed",
        "node.started",
        "node.completed",
        "execution.completed",
    ]


def test_a_rejection_fails_closed_and_says_who_and_why(project: Project) -> None:
    run = parked(project)
    assert told(approve(project, run, decision="rejected")) == (422, "invalid")
    assert approve(project, run, decision="rejected", comment="wrong payee").status_code == 200

    failure = read(project, run["id"])["failure"]
    assert (failure["code"], failure["node_id"], failure["comment"]) == ("approval_rejected", "pay", "wrong payee")
    assert failure["decided_by"]["name"] == "alice"
    assert lease(project, "payments.submit") == []
    (listed,) = project.call("alice", "GET", "/v1/executions?status=failed").json()["data"]
    assert listed["failure"] == failure
    assert events(project, run)[-2:] == ["node.failed", "execution.failed"]


def test_which_node_is_meant(project: Project) -> None:
    run = parked(project, TWO_GATES)
    ambiguous = approve(project, run)
    assert told(ambiguous) == (400, "ambiguous_node")
    assert sorted(ambiguous.json()["current"]["pending"]) == ["left", "right"]
    assert told(approve(project, run, node_id="last")) == (409, "not_pending")
    assert approve(project, run, node_id="left").status_code == 200
    again = approve(project, run, node_id="left")
    assert told(again) == (409, "already_decided")
    assert again.json()["current"]["status"] == "approved"
    assert approve(project, run).json()["node_id"] == "right"
    assert told(approve(project, run)) == (409, "not_pending")
    for tool in ("payments.left", "payments.right"):
        item = take(project, tool)
        settle(project, item, output=tool)
    item = take(project, "tell")
    assert item["input"] == {"left": "payments.left"}
    settle(project, item)
    assert read(project, run["id"])["status"] == "completed"
    assert told(approve(project, run)) == (409, "execution_finished")
    assert told(project.call("alice", "POST", "/v1/executions/exe_x/approve", json={"decision": "approved"})) == (
        404,
        "not_found",
    )


def test_a_known_key_gets_its_first_answer_before_any_check(project: Project) -> None:
    run = parked(project)
    first = approve(project, run, key="k")
    item = take(project, "payments.submit")
    settle(project, item)
    assert approve(project, run, key="k").json() == first.json()
    assert told(approve(project, run, key="k", decision="rejected", comment="no")) == (422, "idempotency_key_reuse")
    assert told(approve(project, run, "bob", key="k")) == (409, "execution_finished")


def test_the_visit_that_is_meant_may_be_pinned(project: Project) -> None:
    run = parked(project)
    other = project.ask()["id"]
    assert told(approve(project, run, approval_id=other)) == (409, "not_pending")
    assert approve(project, run, approval_id=node(run, "pay")["approval_id"]).status_code == 200


def test_one_branch_that_fails_withdraws_the_other(project: Project) -> None:
    run = parked(project, TWO_GATES)
    approve(project, run, node_id="left", decision="rejected", comment="no")
    run = read(project, run["id"])
    assert (run["status"], node(run, "right")["status"]) == ("failed", "cancelled")
    assert project.get(node(run, "right")["approval_id"])["status"] == "cancelled"


def test_an_initiator_does_not_decide(project: Project) -> None:
    issue = {"principal": project.ids["alice"], "scopes": ["executions:write", "workflows:write"]}
    project.keys["starter"] = project.call("admin", "POST", "/v1/keys", json=issue).json()["key"]
    run = parked(project)
    assert told(approve(project, run)) == (403, "self_decision")
    assert approve(project, run, "bob").status_code == 200


def test_a_workflow_approval_is_decided_in_the_inbox_too(project: Project) -> None:
    run = parked(project)
    approval = node(run, "pay")["approval_id"]
    assert project.decide(approval).status_code == 200
    assert told(project.redeem(project.get(approval), who="executor")) == (403, "forbidden")
    assert len(lease(project, "payments.submit")) == 1


def test_a_failed_attempt_is_tried_again_and_then_fails(project: Project) -> None:
    run = start(project, RETRIED)
    for attempt, pause in ((1, 1), (2, 2)):
        item = take(project, "pay")
        assert (item["attempt"], item["execution_key"]) == (attempt, f"{run['id']}/pay/1")
        assert settle(project, item, "fail", outcome="failed", message=f"no {attempt}").json()["status"] == "retrying"
        assert settle(project, item, "fail", outcome="failed", message="again").status_code == 200
        assert read(project, run["id"])["status"] == "running"
        assert lease(project, "pay") == []
        project.world.advance(pause)
    item = take(project, "pay")
    settle(project, item, "fail", outcome="failed", message="no 3")
    run = read(project, run["id"])
    assert run["failure"]["code"] == "tool_failed"
    assert run["failure"]["message"] == "no 3 (attempt 3)"
    assert (node(run, "pay")["attempt"], node(run, "pay")["error"]) == (3, "no 3")


def test_what_must_not_be_tried_again_is_not(project: Project) -> None:
    run = start(project, RETRIED)
    item = take(project, "pay")
    settle(project, item, "fail", outcome="failed", message="bad input", retryable=False)
    assert read(project, run["id"])["status"] == "failed"


def test_the_same_ask_gets_the_same_items(project: Project) -> None:
    start(project, PLAIN, {"amount": "1"})
    (first,) = lease(project, "pay", request="r1")
    (again,) = lease(project, "pay", request="r1")
    assert {**again, "lease_until": ""} == {**first, "lease_until": ""}
    assert lease(project, "pay", request="r2") == []
    settle(project, first)
    assert lease(project, "pay", request="r1") == []


def test_a_report_that_is_repeated_is_answered_again(project: Project) -> None:
    item = held(project)
    assert settle(project, item, output=1).status_code == 200
    assert settle(project, item, output=1).status_code == 200
    assert told(settle(project, item, "fail", outcome="failed", message="x")) == (409, "stale_fence")
    assert told(settle(project, {**item, "fence": 2})) == (409, "stale_fence")


def test_a_heartbeat_holds_the_lease_and_tells_of_the_end(project: Project) -> None:
    item = held(project)
    project.world.advance(20)
    reply = settle(project, item, "heartbeat").json()
    assert reply["lease_until"] > item["lease_until"]
    assert reply["cancelled"] is False
    project.call("starter", "POST", f"/v1/executions/{item['execution_id']}/cancel", json={})
    assert settle(project, item, "heartbeat").json()["cancelled"] is True
    assert settle(project, item).status_code == 200
    run = read(project, item["execution_id"])
    assert (run["status"], node(run, "pay")["status"]) == ("cancelled", "completed")


def test_a_question_leads_where_its_answer_says(project: Project) -> None:
    run = parked(project, ASKING, {"who": "Ann"})
    (pending,) = project.call("alice", "GET", f"/v1/executions/{run['id']}/approvals").json()["pending"]
    assert (pending["name"], pending["summary"], pending["context"]) == ("asking.ask", "Hire Ann?", {"who": "Ann"})
    approve(project, run, decision="rejected", comment="not now")
    item = take(project, "tell", "sorry")
    assert (item["tool"], item["input"]) == ("sorry", {"why": "not now"})


@pytest.mark.parametrize("before", [True, False])
def test_a_signal_is_kept_until_it_is_waited_for(project: Project, before: bool) -> None:
    source = (
        WAITING
        if not before
        else WAITING.replace("start: wait", "start: first").replace(
            "nodes:", "nodes:\n  first: {type: tool, tool_ref: first, input: {}, next: wait}"
        )
    )
    run = start(project, source)
    path = f"/v1/executions/{run['id']}/signal"
    assert project.call("starter", "POST", path, json={"name": "other"}).status_code == 200
    said = {"name": "paid", "payload": {"by": "Ann"}}
    assert project.call("starter", "POST", path, json=said, key="k").status_code == 200
    assert project.call("starter", "POST", path, json=said, key="k").status_code == 200
    if before:
        item = take(project, "first")
        settle(project, item)
    item = take(project, "tell")
    assert item["input"] == {"said": {"by": "Ann"}}
    settle(project, item)
    assert read(project, run["id"])["status"] == "completed"
    assert told(project.call("starter", "POST", path, json=said)) == (409, "execution_finished")


def test_a_start_is_made_once_for_its_key(project: Project) -> None:
    first = start(project, PLAIN, {"amount": "1"}, key="k")
    assert start(project, PLAIN, {"amount": "1"}, key="k")["id"] == first["id"]
    body = {"workflow_id": "plain", "input": {"amount": "2"}}
    assert told(project.call("starter", "POST", "/v1/executions", json=body, key="k")) == (422, "idempotency_key_reuse")


def test_a_start_is_answered_again_though_the_workflow_asks_for_more_by_now(project: Project) -> None:
    first = start(project, PLAIN, {"amount": "1"}, key="k")
    stricter = PLAIN.replace("version: 1.0.0,", "version: 1.1.0, input_schema: {required: [payee]},")
    assert register(project, stricter).status_code == 201
    body = {"workflow_id": "plain", "input": {"amount": "1"}}
    again = project.call("starter", "POST", "/v1/executions", json=body, key="k")
    assert (again.status_code, again.json()["id"], again.json()["version"]) == (200, first["id"], "1.0.0")
    assert told(project.call("starter", "POST", "/v1/executions", json=body, key="other")) == (422, "invalid")


def test_what_waits_is_listed_however_much_was_decided_since(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "_MOST_DECIDED", 1)
    run = parked(project, TWO_GATES)
    older, newer = sorted(("left", "right"), key=lambda name: str(node(run, name)["approval_id"]))
    approve(project, run, node_id=newer)
    found = project.call("alice", "GET", f"/v1/executions/{run['id']}/approvals").json()
    assert [each["node_id"] for each in found["pending"]] == [older]
    assert [each["node_id"] for each in found["decided"]] == [newer]
    approve(project, run, node_id=older)
    found = project.call("alice", "GET", f"/v1/executions/{run['id']}/approvals").json()
    assert (found["pending"], len(found["decided"])) == ([], 1)


def test_the_events_of_a_run_come_in_pages(project: Project) -> None:
    run = parked(project)
    every = project.call("alice", "GET", f"/v1/executions/{run['id']}/events").json()
    assert (len(every["data"]), every["next_after"]) == (run["events"], None)
    found, after = [], 0
    while after is not None:
        page = project.call("alice", "GET", f"/v1/executions/{run['id']}/events?after={after}&limit=2").json()
        assert len(page["data"]) <= 2
        found += page["data"]
        after = page["next_after"]
    assert found == every["data"]


def test_a_version_is_registered_once(project: Project) -> None:
    first = register(project, PLAIN)
    assert (first.status_code, register(project, PLAIN).status_code) == (201, 200)
    other = PLAIN.replace("tool_ref: pay,", "tool_ref: pay2,")
    assert told(register(project, other)) == (409, "version_exists")
    (built,) = register(project, other, on_conflict="build").json()["workflows"]
    assert built["version"] == f"1.0.0+{built['digest'].removeprefix('sha256:')[:8]}"
    assert register(project, other, on_conflict="build").status_code == 200
    found = project.call("starter", "GET", "/v1/workflows/plain").json()
    assert (found["version"], found["source"], found["tools"]) == (built["version"], other, ["pay2"])
    assert len(project.call("starter", "GET", "/v1/workflows").json()["data"]) == 2
    # The run that began before keeps its definition; this one is begun with the last.
    assert start(project, other.replace("1.0.0", "1.0.1"), {"amount": "1"})["version"] == "1.0.1"
