"""Death at each named place on a run's way: what was acknowledged stands, what was not is there whole or not at all,
the same request has one and the same result, and the run goes on to its end."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.crash.client import BRIEF_LEASES, DEV, Client, claims
from tests.crash.test_failpoints import WRITES
from tests.support.databases import Databases
from tests.support.server import RunningServer

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]  # a busy machine takes its time to start ten servers

FLOW: Final = """
workflow: {id: pay, version: 1.0.0, start: pay}
nodes:
  pay: {type: tool, tool_ref: payments.submit, input: {amount: "${{ input.amount }}"}, next: check}
  check: {type: human_approval, on_approved: rest}
  rest: {type: wait, for: 100ms, next: end}
policy:
  require_approval_for: ["payments.*"]
"""
PLAIN: Final = """
workflow: {id: plain, version: 1.0.0, start: note}
nodes:
  note: {type: tool, tool_ref: notes.write, next: end}
"""
GOODS: Final = """
workflow: {id: goods, version: 1.0.0, start: goods}
nodes:
  goods: {type: wait, event: goods, next: end}
"""
BRIEF: Final = """
workflow: {id: brief, version: 1.0.0, start: rest}
nodes:
  rest: {type: wait, for: 200ms, next: end}
"""
# What the run's own stream tells, step by step; in between it tells nothing.
STEPS: Final = {
    "start": ["execution.started", "node.approval_required pay", "execution.parked"],
    "approve": ["node.scheduled pay", "execution.resumed"],
    "lease": ["node.started pay"],
    "complete": ["node.completed pay"],
    "advance": ["node.approval_required check", "execution.parked"],
    "check": ["node.completed check", "execution.resumed"],
    "rest": ["node.scheduled rest", "execution.parked"],
    "time": ["node.completed rest", "execution.completed"],
}
# The places are those of one write door, whatever stands behind it: PostgreSQL is shown on either side of the commit.
# Runs pass the same door as approvals, which test_failpoints kills at every place of it: here one death before the
# commit and those after it, with all that a transaction of a run writes. `make crash` arms every place.
PLACES: Final = [
    ("sqlite", "write.before_commit"),
    ("sqlite", "write.after_commit"),
    ("sqlite", "reply.before_send"),
    ("postgres", "write.before_commit"),
    ("postgres", "write.after_commit"),
]


def told(*steps: str) -> list[str]:
    return [type_ for step in steps for type_ in STEPS[step]]


def dies(server: RunningServer) -> None:
    assert server.wait() == -signal.SIGKILL


@pytest.mark.parametrize(("databases", "place"), PLACES, indirect=["databases"])
def test_every_step_of_a_run_is_there_whole_or_not_at_all(client: Client, place: str) -> None:
    server, stands = client.server, WRITES[place]
    client.register(FLOW)
    server.kill()
    server.start({"SIGNOFF_FAILPOINT": place})
    done: list[str] = []

    def dies_then_answers(request: Callable[[], httpx.Response], step: str, then: int) -> Any:
        """With the server started anew so that it dies at the `then`-th pass; the repetition is the first."""
        client.dies_of(request)
        server.start({"SIGNOFF_FAILPOINT": f"{place}:{then}"})
        if done:
            assert client.history(run)[: len(told(*done, step))] == told(*done, *([step] if stands else []))
        reply = request()
        assert reply.status_code in (200, 201), reply.text
        done.append(step)
        return reply.json()

    run = ""
    # A start and an ask that were answered before are looked up, and pass no write.
    then = 1 if place == "write.after_commit" else 2
    run = dies_then_answers(lambda: client.begin("pay", amount="7.00"), "start", then)["id"]
    assert client.history(run) == told("start")
    decided = dies_then_answers(lambda: client.approve(run, "pay"), "approve", 2)
    assert decided["decision"] == "approved"
    (item,) = dies_then_answers(lambda: client.lease("payments.submit", "r1", 20), "lease", then)["items"]
    assert (item["input"], item["attempt"], item["fence"]) == ({"amount": "7.00"}, 1, 1)
    # Where the report stands, the next to pass is the run itself, which goes on without a request.
    client.dies_of(lambda: client.settle(item, output={"paid": True}))
    if place != "reply.before_send":
        server.start({"SIGNOFF_FAILPOINT": f"{place}:{1 if stands else 2}"})
        if not stands:
            assert client.settle(item, output={"paid": True}).status_code == 200
        dies(server)
    # The run goes on (unless that stands), somebody decides, the run goes on, and its time is up.
    server.start({} if place == "reply.before_send" else {"SIGNOFF_FAILPOINT": f"{place}:{3 if stands else 4}"})
    assert client.run(run, "awaiting_approval")["nodes"][0]["status"] == "completed"
    if place == "reply.before_send":
        assert client.settle(item, output={"paid": True}).json() == {"id": item["id"], "status": "completed"}
    assert client.history(run) == told("start", "approve", "lease", "complete", "advance")
    assert client.approve(run, "check").status_code == 200
    if place != "reply.before_send":
        dies(server)
        server.start()
    assert client.approve(run, "check").status_code == 200
    assert client.run(run, "completed")["failure"] is None
    assert client.history(run) == told(*STEPS)
    assert client.ledger() == [
        "approval.requested",
        "approval.approved",
        "approval.redeemed",
        "approval.outcome_reported",
        "approval.requested",
        "approval.approved",
    ]


@pytest.mark.parametrize(
    ("databases", "place"),
    [("sqlite", "write.before_commit"), ("sqlite", "write.after_commit")],
    indirect=["databases"],
)
def test_a_word_to_a_run_is_there_whole_or_not_at_all(client: Client, place: str) -> None:
    server = client.server
    for source in (PLAIN, GOODS):
        client.register(source)
    lost, waiting, unwanted = (
        client.begin(flow, flow_key).json()["id"] for flow, flow_key in (("plain", "1"), ("goods", "2"), ("goods", "3"))
    )
    # What a worker lost when the run was over leaves a node that a person has to settle.
    item = client.take("notes.write", "r1")
    client.say(lost, "cancel")
    client.settle(item, "fail", outcome="unknown", message="lost")
    server.kill()
    server.start({"SIGNOFF_FAILPOINT": place})

    def dies_then_answers(run: str, what: str, **body: Any) -> str:
        client.dies_of(lambda: client.say(run, what, **body))
        server.start({"SIGNOFF_FAILPOINT": f"{place}:2"})
        reply = client.say(run, what, **body)
        assert reply.status_code == 200, reply.text
        status: str = reply.json()["status"]
        return status

    assert dies_then_answers(waiting, "signal", name="goods") == "completed"
    assert dies_then_answers(unwanted, "cancel", reason="no") == "cancelled"
    assert dies_then_answers(lost, "nodes/note/resolve", outcome="failed", reason="not there") == "cancelled"
    assert client.history(waiting)[-3:] == ["execution.signalled", "node.completed goods", "execution.completed"]
    assert client.history(unwanted)[-2:] == ["node.cancelled goods", "execution.cancelled"]
    assert client.history(lost)[-3:] == ["execution.cancelled", "node.outcome_unknown note", "node.resolved note"]


def test_work_claimed_before_the_death_is_due_again_after_it(client: Client, databases: Databases) -> None:
    """At once where a lock says that the claimer is dead, though a claim lasts half a minute there."""
    server = client.server
    client.register(PLAIN)
    run = client.begin("plain").json()["id"]
    server.kill()
    server.start({"SIGNOFF_FAILPOINT": "work.after_claim"})
    client.dies_of(lambda: client.lease("notes.write", "r1"))
    assert client_after(client).history(run) == ["execution.started", "node.scheduled note"]

    reply = client.lease("notes.write", "r1", wait=0 if databases.kind == "sqlite" else 20)

    (item,) = reply.json()["items"]
    assert (item["attempt"], item["fence"]) == (1, 1)
    assert client.lease("notes.write", "r1").json() == reply.json()
    assert client.settle(item).status_code == 200
    assert client.run(run, "completed")["nodes"][0]["attempt"] == 1


def client_after(client: Client) -> Client:
    """With its server started again."""
    client.server.start()
    return client


def test_a_heartbeat_before_the_death_holds_the_lease(client: Client) -> None:
    client.register(PLAIN)
    run = client.begin("plain").json()["id"]
    item = client.take("notes.write", "r1")
    client.server.kill()
    client.server.start({"SIGNOFF_FAILPOINT": "work.after_renew"})

    client.dies_of(lambda: client.heartbeat(item))

    (known,) = client_after(client).lease("notes.write", "r1").json()["items"]
    assert known["lease_until"] > item["lease_until"]
    assert client.heartbeat(item).json()["lease_until"] > known["lease_until"]
    assert client.settle(item).status_code == 200
    assert client.run(run, "completed")["failure"] is None


def test_what_time_does_to_runs_is_done_after_the_death(
    databases: Databases, database: str, tmp_path: Path, http: httpx.Client
) -> None:
    """A timer, and the leases of a gated tool and of another, which all fall due with nobody there."""
    code = BRIEF_LEASES + claims(databases) + DEV
    with RunningServer(tmp_path, database=database, code=code) as server:
        client = Client(server, http)
        for source in (FLOW, PLAIN, BRIEF):
            client.register(source)
        gated = client.begin("pay", "1", amount="1.00").json()["id"]
        client.approve(gated, "pay")
        plain = client.begin("plain", "2").json()["id"]
        server.kill()
        server.start({"SIGNOFF_FAILPOINT": "agenda.after_claim"})
        lost = client.take("payments.submit", "r1")
        brief = client.begin("brief", "3").json()["id"]
        again = client.take("notes.write", "r2")
        dies(server)

        server.start()

        assert client.run(brief, "completed")["failure"] is None
        assert client.run(gated, "outcome_unknown")["status"] == "parked"
        item = client.take("notes.write", "r3")
        assert (item["id"], item["fence"]) == (again["id"], again["fence"] + 1)
        assert client.settle(again).json()["code"] == "stale_fence"
        assert client.settle(item).status_code == 200
        assert client.run(plain, "completed")["nodes"][0]["attempt"] == 2
        # A report is taken until somebody has spoken.
        assert client.settle(lost, output={}).status_code == 200
        assert client.run(gated, "awaiting_approval")["nodes"][0]["status"] == "completed"
