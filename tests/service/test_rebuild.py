"""What is derived can be made again equal, and a damaged ledger is noticed on the way."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Engine, delete, func, select, text, update

from signoff_server.core.reactions import LEASE_QUEUE
from signoff_server.service.rebuild import LedgerDamaged, rebuild
from signoff_server.store import agenda
from signoff_server.store.dialects import Engines, open_engines
from signoff_server.store.tables import EVENTS, PROJECTS
from tests.support.databases import Databases, only
from tests.support.project import Project, cast, serving
from tests.support.tables import derived
from tests.support.workflows import held, parked, settle, start

Damage = Callable[[Connection], Any]
YAML = {"Content-Type": "application/yaml"}
WAITS = """
workflow: {id: waits, version: 1.0.0, start: rest}
nodes:
  rest: {type: wait, event: go, timeout: 1h, next: end}
"""


def live(project: Project) -> None:
    """Something of everything."""
    runs(project)
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


def runs(project: Project) -> None:
    """A policy, a run at its gate, one at work, one that waits, one that is over, and a cancelled one."""
    put = project.call("admin", "PUT", "/v1/policy", content="blocked_tools: ['x.*']", headers=YAML)
    assert put.status_code == 200, put.text
    parked(project)
    settle(project, held(project), output={"done": True})
    held(project)
    for what in ("signal", "cancel"):
        execution = start(project, WAITS, key=what)["id"]
        body = {"name": "stop", "payload": {"n": 1}} if what == "signal" else {}
        reply = project.call("starter", "POST", f"/v1/executions/{execution}/{what}", json=body, key=f"{what} 2")
        assert reply.status_code == 200, reply.text


@pytest.fixture(scope="module")
def lived(databases: Databases) -> Any:
    """What two projects leave behind, lived once for all tests."""
    content, casts = cast(databases)
    with databases.ready(content) as database:
        with serving(database, casts) as both:
            for project in both:
                live(project)
        return databases.taken(database)


@pytest.fixture
def engines(databases: Databases, lived: Any) -> Iterator[Engines]:
    with databases.ready(lived) as database:
        made = open_engines(database)
        yield made
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
    # In each of two projects a redemption and a work item.
    assert sorted(one.subject[:3] for one in due) == ["apr", "apr", "wrk", "wrk"]
    assert {one.fence for one in due} == {1}


def edited(column: Column[bytes], old: bytes, new: bytes, where: Any) -> Damage:
    """Other bytes in a column, in every row that fits."""

    def damage(connection: Connection) -> None:
        table = column.table
        keys = list(table.primary_key)
        for *key, found in connection.execute(select(*keys, column).where(where)).all():
            same = [one == value for one, value in zip(keys, key, strict=True)]
            connection.execute(update(table).where(*same).values({column.name: found.replace(old, new)}))

    return damage


def said(statement: Any) -> Damage:
    return lambda connection: connection.execute(statement)


DAMAGES: dict[str, Damage] = {
    "another decision": edited(EVENTS.c.envelope, b"approved", b"rejected", EVENTS.c.type == "approval.approved"),
    "another surface": edited(EVENTS.c.envelope, b"api", b"cli", EVENTS.c.type == "approval.approved"),
    "another payload": edited(EVENTS.c.payload, b"Rent", b"Hire", EVENTS.c.type == "approval.requested"),
    "another leaf": said(update(EVENTS).where(EVENTS.c.seq == 3).values(leaf=bytes(32))),
    "one event less": said(delete(EVENTS).where(EVENTS.c.seq == 30)),
    "no last event": said(
        delete(EVENTS).where(EVENTS.c.seq == select(func.max(EVENTS.c.seq)).correlate(None).scalar_subquery())
    ),
    "a head that counts more": said(update(PROJECTS).values(head_seq=PROJECTS.c.head_seq + 1)),
    "another frontier": edited(PROJECTS.c.frontier, b"", b"\0", PROJECTS.c.head_seq > 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_noticed_and_nothing_changed(engines: Engines, damage: str) -> None:
    with engines.writer.begin() as connection:
        DAMAGES[damage](connection)
    before = derived(engines.reader)
    with pytest.raises(LedgerDamaged), engines.writer.begin() as connection:
        rebuild(connection, 0)
    assert derived(engines.reader) == before


@only("sqlite")
def test_bytes_that_have_become_text_are_damage(engines: Engines) -> None:
    with engines.writer.begin() as connection:
        connection.execute(text("UPDATE events SET envelope = CAST(envelope AS TEXT) WHERE seq = 30"))
    with pytest.raises(LedgerDamaged), engines.writer.begin() as connection:
        rebuild(connection, 0)


def test_snapshots_equal_a_replay_after_every_step(projects: tuple[Project, Project]) -> None:
    def equal(engine: Engine) -> None:
        before = derived(engine)
        copy = project.server.database.engines.writer
        with copy.connect() as connection, connection.begin() as transaction:
            rebuild(connection, project.world.now())
            transaction.commit()
        assert derived(engine) == before

    project, _ = projects
    reader = project.server.database.engines.reader
    made = project.ask()
    equal(reader)
    approved = project.decide(made["id"]).json()
    equal(reader)
    project.redeem(approved)
    equal(reader)
    project.call("app", "POST", f"/v1/approvals/{made['id']}/outcome", json={"fence": 1, "outcome": "failed"})
    equal(reader)
