"""What time does: expiry and ended leases, on a clock that the test moves."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import or_, select

from signoff_server.store import agenda
from signoff_server.store.tables import AGENDA
from tests.support.project import Project
from tests.web.test_waiting import held


def settled(project: Project, approval: str) -> dict[str, Any]:
    """The approval once the agenda has left nothing due."""
    while True:
        with project.server.database.engines.reader.connect() as connection:
            waiting = or_(AGENDA.c.due_at <= project.world.now(), AGENDA.c.claims > 0)
            if connection.execute(select(AGENDA.c.key).where(waiting)).first() is None:
                return project.get(approval)


def test_an_approval_expires_and_its_waiter_hears(project: Project) -> None:
    made = project.ask(expires_in=10)
    with ThreadPoolExecutor() as pool:
        waiter = held(project, made["id"], pool)
        project.world.advance(10)
        reply = waiter.result(10).json()
    assert (reply["status"], reply["decided_by"]) == ("expired", {"id": None, "name": None, "kind": "system"})
    events = project.call("app", "GET", f"/v1/approvals/{made['id']}/events").json()["data"]
    assert events[-1]["type"] == "approval.expired"
    assert events[-1]["actor"] == {"id": None, "kind": "system", "via": "system"}


def test_a_lease_that_ends_makes_the_outcome_unknown_until_somebody_speaks(project: Project) -> None:
    made = project.approved()
    project.redeem(made)
    project.world.advance(60)
    assert settled(project, made["id"])["redemption"]["outcome"] == "unknown"
    renew = project.call("app", "POST", f"/v1/approvals/{made['id']}/renew", json={"fence": 1})
    assert renew.json()["code"] == "stale_fence"
    assert project.redeem(made).json()["code"] == "outcome_unknown"
    body = {"fence": 1, "outcome": "succeeded"}
    late = project.call("app", "POST", f"/v1/approvals/{made['id']}/outcome", json=body)
    assert late.json()["redemption"]["outcome"] == "succeeded"


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_person_says_what_happened(project: Project, outcome: str) -> None:
    made = project.approved()
    project.redeem(made)
    project.world.advance(60)
    settled(project, made["id"])
    path, body = f"/v1/approvals/{made['id']}", {"outcome": outcome, "reason": "asked the bank"}
    resolved = project.call("alice", "POST", f"{path}/resolve", json=body)
    assert resolved.json()["redemption"]["outcome"] == outcome
    assert resolved.json()["redemption"]["detail"] == "asked the bank"
    report = project.call("app", "POST", f"{path}/outcome", json={"fence": 1, "outcome": "succeeded"})
    assert report.json()["code"] == "stale_fence"
    again = project.call("bob", "POST", f"{path}/resolve", json=body)
    assert again.json()["code"] == "nothing_to_resolve"
    assert project.redeem(made, "r2").json()["code"] == "already_redeemed"


def test_a_release_gives_it_free_once_more(project: Project) -> None:
    made = project.approved()
    project.redeem(made)
    project.world.advance(90_000)
    settled(project, made["id"])
    path, body = f"/v1/approvals/{made['id']}", {"outcome": "release", "reason": "it never began"}
    released = project.call("alice", "POST", f"{path}/resolve", json=body).json()
    assert released["redemption"] is None
    assert released["lapsed"] is False
    second = project.redeem(made, "r2")
    assert second.json()["fence"] == 2
    report = project.call("app", "POST", f"{path}/outcome", json={"fence": 1, "outcome": "failed"})
    assert report.json()["code"] == "stale_fence"
    project.world.advance(60)
    assert settled(project, made["id"])["redemption"] == {
        "fence": 2,
        "redeemed_at": "2026-09-22T15:13:20.000Z",
        "lease_until": None,
        "outcome": "unknown",
        "detail": None,
    }


def test_a_renewed_lease_stands(project: Project) -> None:
    made = project.approved()
    project.redeem(made)
    for _ in range(3):
        project.world.advance(59)
        reply = project.call("app", "POST", f"/v1/approvals/{made['id']}/renew", json={"fence": 1})
        assert reply.status_code == 200
    assert settled(project, made["id"])["redemption"]["outcome"] is None


def test_what_a_dead_process_had_claimed_is_due_at_once_again(project: Project) -> None:
    made = project.ask(expires_in=10)
    engine = project.server.database.engines.writer
    with engine.begin() as connection:
        later = project.world.now() + 10_000
        assert [due.subject for due in agenda.claim(connection, ["expire"], later, 10)] == [made["id"]]
        assert agenda.claim(connection, ["expire"], later, 10) == []
        agenda.release_claims(connection, later)
        assert [due.subject for due in agenda.claim(connection, ["expire"], later, 10)] == [made["id"]]


def test_nothing_waits_for_a_decided_approval(project: Project) -> None:
    project.decide(project.ask()["id"])
    project.decide(project.ask()["id"], "rejected")
    project.call("app", "POST", f"/v1/approvals/{project.ask()['id']}/cancel")
    with project.server.database.engines.reader.connect() as connection:
        assert agenda.next_due(connection, ["expire", "lease"]) is None
