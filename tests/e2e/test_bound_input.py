"""What runs is what was approved, byte for byte, whatever happens meanwhile; and a file alone reaches nothing."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

import pytest
from sqlalchemy import insert, select, update

from signoff import AsyncSignoff, PolicyDenied, Signoff
from signoff_server.core.reactions import agenda_key, work_queue
from signoff_server.store.tables import AGENDA, EVENTS
from tests.support.databases import Databases, only
from tests.support.project import Project, cast, serving
from tests.support.server import RunningServer
from tests.support.workflows import lease, read, register, settle, start, take

SOURCE: Final = """
workflow: {id: bound, version: 1.0.0, start: first}
nodes:
  first: {type: tool, tool_ref: fetch, input: {}, next: pay}
  pay:
    type: tool
    tool_ref: payments.submit
    input:
      given: ${{ input }}
      fetched: ${{ nodes.first.output }}
      text: ${{ input.amount }} for ${{ input.to }}
    retry: {max_attempts: 2, base_delay: 1s}
    next: end
policy: {require_approval_for: ["payments.*"]}
"""
# As it is sent: numbers that have several spellings, keys in no order, text of every sort.
GIVEN: Final = (
    '{"z": 1.0, "a": 1e3, "big": 9007199254740991, "low": -9007199254740991, "tiny": 1e-7, "third": 0.1, "zero": 0,'
    ' "ten": 10.0, "exp": 1.5e300, "neg": -0.5, "yes": true, "no": false, "none": null, "amount": "17.00",'
    ' "to": "Jos\\u00e9 \\ud83d\\ude00 \\u202e\\u200b\\ufeff \\u0007 <b>&amp;", "": "empty", "B": 1, "b": 2,'
    ' "\\u00e9": 1, "e\\u0301": 2,'
    ' "list": [1, 1.0, "1", [], {}, [[null]]], "deep": {"y": {"x": {"w": [0.30000000000000004]}}}, "true": "yes"}'
)
JSON: Final = {"Content-Type": "application/json"}


def spelt(text: str) -> Any:
    """JSON with its numbers as they are written and its keys in their order."""
    return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=list)


def member(pairs: Any, *path: str | int) -> Any:
    """What stands at a place of what was `spelt`."""
    for key in path:
        pairs = pairs[key] if isinstance(key, int) else dict(pairs)[key]
    return pairs


def told(value: Any) -> str:
    """With 1 and 1.0 apart."""
    return json.dumps(value, sort_keys=True)


def parked(project: Project) -> dict[str, Any]:
    """A run with that input at its gate."""
    register(project, SOURCE)
    body = f'{{"workflow_id": "bound", "input": {GIVEN}}}'
    run = project.call("starter", "POST", "/v1/executions", content=body.encode(), headers=JSON).json()
    settle(project, take(project, "fetch"), output={"rate": 1.0, "per": [1e3, "é"]})
    found: dict[str, Any] = project.call("starter", "GET", f"/v1/executions/{run['id']}?wait=20").json()
    assert found["status"] == "parked"
    return found


def shown(project: Project, run: dict[str, Any]) -> Any:
    """The arguments that a reviewer is shown, as they are spelt."""
    text = project.call("alice", "GET", f"/v1/executions/{run['id']}/approvals").text
    decided = json.loads(text)["decided"]
    return member(spelt(text), "decided" if decided else "pending", 0, "arguments")


def approve(project: Project, run: dict[str, Any]) -> None:
    reply = project.call("alice", "POST", f"/v1/executions/{run['id']}/approve", json={"decision": "approved"})
    assert reply.status_code == 200, reply.text


def handed(project: Project, request: str) -> tuple[Any, dict[str, Any]]:
    """What a worker is handed as input, as it is spelt, and the item."""
    body = {"request": request, "tools": [{"name": "payments.submit"}], "wait": 20}
    text = project.call("worker", "POST", "/v1/work/lease", json=body).text
    return member(spelt(text), "items", 0, "input"), json.loads(text)["items"][0]


def signal(project: Project, run: dict[str, Any]) -> None:
    body = {"name": "paid", "payload": {"amount": "99.00"}}
    assert project.call("starter", "POST", f"/v1/executions/{run['id']}/signal", json=body).status_code == 200


def build(project: Project, _run: dict[str, Any]) -> None:
    other = SOURCE.replace("${{ input.amount }} for", "999.00 to").replace("tool_ref: payments", "tool_ref: pay")
    assert register(project, other, on_conflict="build").status_code == 201


def policy(project: Project, _run: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/yaml"}
    assert (
        project.call("admin", "PUT", "/v1/policy", content='allow: ["payments.*"]', headers=headers).status_code == 200
    )


def another(project: Project, _run: dict[str, Any]) -> None:
    body = {"workflow_id": "bound", "input": {"amount": "99.00", "to": "Eve"}}
    project.call("starter", "POST", "/v1/executions", json=body)
    settle(project, take(project, "fetch"), output={"rate": 2})


@pytest.mark.parametrize("meanwhile", [signal, build, policy, another])
def test_what_runs_is_what_was_shown_byte_for_byte(
    project: Project, meanwhile: Callable[[Project, dict[str, Any]], None]
) -> None:
    run = parked(project)
    before = shown(project, run)
    meanwhile(project, run)
    approve(project, run)
    if meanwhile is signal:
        meanwhile(project, run)

    first, item = handed(project, "r1")
    again, _ = handed(project, "r1")
    assert item["execution_id"] == run["id"]
    assert first == again == before == shown(project, run)
    # Nothing of it was read as another number, and nothing was put in another order within it.
    assert told(item["input"]["given"]) == told(json.loads(GIVEN))
    assert dict(first)["text"] == f"17.00 for {json.loads(GIVEN)['to']}"
    settle(project, item, "fail", outcome="failed", message="not now")
    project.world.advance(2)
    retried, item = handed(project, "r2")
    assert (item["attempt"], retried) == (2, before)


# ---------------------------------------------------------------- what was changed behind its back


def swapped(project: Project, old: bytes, new: bytes, kind: str) -> int:
    """Change the stored payloads of such events by SQL; answers how many."""
    changed = 0
    with project.server.database.engines.writer.begin() as connection:
        found = select(EVENTS.c.project, EVENTS.c.seq, EVENTS.c.payload).where(EVENTS.c.type == kind)
        for of, seq, payload in connection.execute(found).all():
            if payload and old in payload:
                one = update(EVENTS).where(EVENTS.c.project == of, EVENTS.c.seq == seq)
                connection.execute(one.values(payload=payload.replace(old, new)))
                changed += 1
    return changed


TAMPERED: Final = {
    "an amount": (b"17.00", b"77.00"),
    "a number of the same worth": (b'"ten":10.0', b'"ten":10.1'),
    "a key": (b'"given"', b'"taken"'),
    "the nonce": (b'"nonce":"', b'"nonce":"x'),
    "what it is about": (b'"node_id":"pay"', b'"node_id":"buy"'),
    "the arguments away": (b'"arguments":{', b'"argument_":{'),
}


@pytest.mark.parametrize("change", TAMPERED)
@pytest.mark.parametrize("when", ["parked", "approved"])
def test_what_was_tampered_with_is_withheld(project: Project, change: str, when: str) -> None:
    run = parked(project)
    if when == "approved":
        approve(project, run)
    assert swapped(project, *TAMPERED[change], "approval.requested") == 1
    if when == "parked":
        approve(project, run)
    assert lease(project, "payments.submit", most=100) == []
    failure = read(project, run["id"])["failure"]
    assert (failure["code"], failure["node_id"]) == ("withheld", "pay")
    assert lease(project, "payments.submit", most=100) == []


def test_what_was_tampered_with_after_it_was_handed_out_is_not_handed_out_again(project: Project) -> None:
    run = parked(project)
    approve(project, run)
    _, item = handed(project, "r1")
    assert swapped(project, b"17.00", b"77.00", "approval.requested") == 1
    assert lease(project, "payments.submit", request="r1") == []
    settle(project, item, "fail", outcome="failed", message="not now")
    project.world.advance(2)
    assert lease(project, "payments.submit", most=100) == []
    assert read(project, run["id"])["failure"]["code"] == "withheld"


def test_work_that_was_made_due_by_sql_is_not_handed_out(project: Project) -> None:
    run = parked(project)
    events = project.call("alice", "GET", f"/v1/executions/{run['id']}/events").json()["data"]
    item = next(event["facts"]["item"] for event in events if event["type"] == "node.approval_required")
    queue = work_queue(project.id, "payments.submit")
    due = {"queue": queue, "project": project.id, "subject": item, "due_at": 0, "fence": 0, "claims": 0}
    with project.server.database.engines.writer.begin() as connection:
        connection.execute(insert(AGENDA).values(key=agenda_key(queue, item), **due))
    assert lease(project, "payments.submit", most=100) == []
    assert read(project, run["id"])["status"] == "parked"
    approve(project, run)
    assert handed(project, "r1")[0] == shown(project, run)


def test_work_that_a_rule_gates_by_now_is_not_handed_out_without_its_approval(databases: Databases) -> None:
    content, casts = cast(databases)
    ungated = SOURCE.replace("payments.*", "payments/*")
    with databases.ready(content) as database:
        with serving(database, casts) as (project, _):
            run = start(project, ungated, json.loads(GIVEN))
            settle(project, take(project, "fetch"), output={})
            # A server remembers the definitions that it has read: the next one reads what stands there then.
            assert swapped(project, b"payments/*", b"payments.*", "workflow.registered") == 1
        with serving(database, casts) as (project, _):
            assert lease(project, "payments.submit", most=100) == []
            assert read(project, run["id"])["failure"]["code"] == "withheld"


# ---------------------------------------------------------------- a file reaches nothing


@only("sqlite")
def test_registering_runs_nothing_and_reaches_nothing(databases: Databases) -> None:
    content, casts = cast(databases)
    with databases.ready(content) as database:
        done = subprocess.run(
            [sys.executable, "-m", "tests.e2e.audited", database],
            input=json.dumps(casts),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    found = json.loads(done.stdout)
    assert found["reached"] == []
    assert "audited.py" in found["heard"][0]
    # Some were registered, so that this says something of what is registered too.
    assert {200, 201, 422} == set(found["statuses"])


# ---------------------------------------------------------------- a policy speaks to the SDK


def test_a_blocked_name_is_denied_end_to_end(dev_server: RunningServer) -> None:
    server = dev_server
    with Signoff(server.url, server.reviewer_key) as admin, Signoff(server.url, server.app_key) as client:
        admin.policy.set('blocked_tools: ["payments.*"]')
        with pytest.raises(PolicyDenied) as denied:
            client.require_approval("Payments.Submit", {"amount": "17.00"})

        async def ask() -> None:
            async with AsyncSignoff(server.url, server.app_key) as other:
                await other.require_approval("payments.submit", {"amount": "17.00"})

        with pytest.raises(PolicyDenied) as again:
            asyncio.run(ask())
        for said in (denied.value, again.value):
            assert said.rule == "project/blocked_tools/payments.*"
            assert said.decided_by.kind == "system"
            assert (said.decisions[0].decision, said.decisions[0].via) == ("rejected", "policy")
            assert said.rule in str(said.reason)
            kept = admin.approvals.get(said.approval_id or "")
            assert (kept.status, kept.decisions[0].via) == ("rejected", "policy")
            assert [event.type for event in admin.events(subject=said.approval_id)] == [
                "approval.requested",
                "approval.rejected",
            ]


def test_the_answer_to_who_asks_by_hand_says_it(project: Project) -> None:
    headers = {"Content-Type": "application/yaml"}
    project.call("admin", "PUT", "/v1/policy", content='blocked_tools: ["payments.*"]', headers=headers)
    for key in ("k", None):
        asked = project.ask(name="payments.wire", key=key)
        assert (asked["status"], asked["decided_by"]["kind"]) == ("rejected", "system")
        assert asked["decisions"][0]["via"] == "policy"
        assert asked["requirement"]["rule"] == "project/blocked_tools/payments.*"
        assert project.redeem(asked).json()["code"] == "not_approved"
        assert project.decide(asked["id"]).json()["code"] == "already_decided"
    # The same key again gets the same no, also once the policy has changed.
    project.call("admin", "PUT", "/v1/policy", content="{}", headers=headers)
    assert project.ask(name="payments.wire", key="k")["status"] == "rejected"
    assert project.ask(name="payments.wire", key="k2")["status"] == "pending"
