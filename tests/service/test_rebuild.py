"""What is derived can be made again equal, and a damaged ledger is noticed on the way."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from signoff_server.core.reactions import LEASE_QUEUE
from signoff_server.service.rebuild import LedgerDamaged, rebuild
from signoff_server.store import agenda
from signoff_server.store.dialects import Engines, open_engines
from tests.support.project import Project, running
from tests.support.tables import derived


def live(project: Project) -> None:
    """Something of everything."""
    project.ask(key="k", context={"amount": "5"}, summary="Rent", reviewers=["user:alice"], expires_in=60)
    project.call("app", "POST", f"/v1/approvals/{project.ask()['id']}/cancel", key="c")
    project.decide(project.ask()["id"], "rejected")
    project.redeem(project.approved())
    done = project.approved(name="other")
    project.redeem(done)
    body = {"fence": 1, "outcome": "failed", "detail": "x"}
    project.call("app", "POST", f"/v1/approvals/{done['id']}/outcome", json=body)
    key = project.call("admin", "GET", "/v1/keys").json()["data"][0]["id"]
    project.call("admin", "DELETE", f"/v1/keys/{key}")
    project.call(
        "alice", "POST", f"/v1/approvals/{project.ask()['id']}/decision", json={"decision": "approved"}, key="d"
    )


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    with running(tmp_path) as both:
        for project in both:
            live(project)
    made = open_engines(str(tmp_path / "signoff.db"))
    yield made  # type: ignore[misc]
    made.close()


def test_everything_derived_is_made_again_equal(engines: Engines) -> None:
    before = derived(engines.reader)
    assert all(before.values())
    with engines.writer.begin() as connection:
        done = rebuild(connection, 0)
    assert derived(engines.reader) == before
    assert all(one.events > 30 for one in done)


def test_it_heals_what_was_changed_behind_its_back(engines: Engines) -> None:
    before = derived(engines.reader)
    with engines.writer.begin() as connection:
        connection.execute(text("UPDATE approvals SET status = 'approved'"))
        connection.execute(text("DELETE FROM once"))
        connection.execute(text("UPDATE agenda SET queue = 'x'"))
    assert derived(engines.reader) != before
    with engines.writer.begin() as connection:
        rebuild(connection, 0)
    assert derived(engines.reader) == before


def test_an_open_lease_begins_anew(engines: Engines) -> None:
    with engines.writer.begin() as connection:
        rebuild(connection, 1_000)
        due = agenda.claim(connection, [LEASE_QUEUE], 61_000, 10)
    assert len(due) == 2
    assert {one.fence for one in due} == {1}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET envelope = replace(envelope, 'approved', 'rejected') WHERE type = 'approval.approved'",
        "UPDATE events SET envelope = CAST(replace(envelope, 'api', 'cli') AS BLOB) WHERE type = 'approval.approved'",
        "UPDATE events SET payload = CAST(replace(payload, 'Rent', 'Hire') AS BLOB) WHERE type = 'approval.requested'",
        "UPDATE events SET leaf = zeroblob(32) WHERE seq = 3",
        "DELETE FROM events WHERE seq = 30",
        "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
        "UPDATE projects SET head_seq = head_seq + 1",
        "UPDATE projects SET frontier = zeroblob(length(frontier))",
    ],
)
def test_damage_is_noticed_and_nothing_changed(engines: Engines, damage: str) -> None:
    with engines.writer.begin() as connection:
        connection.execute(text("PRAGMA defer_foreign_keys = 1"))
        connection.exec_driver_sql(damage)
    before = derived(engines.reader)
    with pytest.raises(LedgerDamaged), engines.writer.begin() as connection:
        rebuild(connection, 0)
    assert derived(engines.reader) == before


def test_snapshots_equal_a_replay_after_every_step(tmp_path: Path) -> None:
    def equal(engine: Engine) -> None:
        before = derived(engine)
        copy = project.server.database.engines.writer
        with copy.connect() as connection, connection.begin() as transaction:
            rebuild(connection, project.world.now())
            transaction.commit()
        assert derived(engine) == before

    with running(tmp_path) as (project, _):
        reader = project.server.database.engines.reader
        made = project.ask()
        equal(reader)
        approved = project.decide(made["id"]).json()
        equal(reader)
        project.redeem(approved)
        equal(reader)
        project.call("app", "POST", f"/v1/approvals/{made['id']}/outcome", json={"fence": 1, "outcome": "failed"})
        equal(reader)
