"""The writer: groups, refusals inside them, and commits that fail in every way."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from signoff.protocol.proof import frontier_of, leaf_hash, payload_digest, root
from signoff_server.app import open_server
from signoff_server.core.events import SYSTEM, Event
from signoff_server.core.refusals import Refusal
from signoff_server.service.execute import Unit
from signoff_server.settings import Settings
from signoff_server.store import codec, ledger
from signoff_server.web.server import Server
from tests.support.databases import Databases, Postgres, only
from tests.support.world import StillWorld


@pytest.fixture
def server(database: str) -> Iterator[Server]:
    made = open_server(Settings(database=database, environment="test"), StillWorld())
    yield made
    made.database.close()


def new_principal(server: Server, name: str) -> Callable[[Unit], int]:
    """A plan that makes a principal without asking whether the name is free."""
    payload = codec.seal({"name": name}, server.world.random(32))

    def plan(unit: Unit) -> int:
        facts = {"kind": "human", "role": "member", "owner": None}
        unit.record(server.world.new_id("prn"), SYSTEM, [Event("principal.created", facts, payload)])
        return unit.changes[-1].event.seq

    return plan


def refused(_unit: Unit) -> int:
    raise Refusal("not_found", "no")


def broken(_unit: Unit) -> int:
    raise ZeroDivisionError


def late_refusal(server: Server) -> Callable[[Unit], int]:
    """Records first and is refused then."""
    record = new_principal(server, "never")

    def plan(unit: Unit) -> int:
        record(unit)
        raise Refusal("not_found", "no")

    return plan


async def together(server: Server, project: str, plans: list[Callable[[Unit], int]]) -> list[Any]:
    """Run plans as one group: the writer cannot take them before the last is queued."""
    execute = server.principals._execute
    with server.database._gathered:
        waiting = [asyncio.ensure_future(execute(project, plan)) for plan in plans]
        await asyncio.sleep(0)
    return await asyncio.gather(*waiting, return_exceptions=True)


def envelopes(server: Server, project: str) -> list[tuple[bytes, bytes | None, bytes | None, bytes]]:
    return asyncio.run(server.database.read(ledger.whole, project, 0))


def test_a_group_is_one_commit_and_its_seq_has_no_gaps(server: Server) -> None:
    async def run() -> tuple[str, list[Any], list[int]]:
        project = await server.principals.project("one")
        sizes: list[int] = []
        server.database.on_group = lambda size, _: sizes.append(size)
        plans = [new_principal(server, f"p{number}") for number in range(3)]
        results = await together(server, project, [plans[0], refused, late_refusal(server), plans[1], broken, plans[2]])
        return project, results, sizes

    project, results, sizes = asyncio.run(run())
    assert sizes == [6]
    assert [results[0], results[3], results[5]] == [1, 2, 3]
    assert [type(results[at]) for at in (1, 2, 4)] == [Refusal, Refusal, ZeroDivisionError]
    assert [codec.decode(row[0]).seq for row in envelopes(server, project)] == [1, 2, 3]


def test_head_frontier_leaves_and_digests_fit_the_events(server: Server) -> None:
    async def run() -> str:
        project = await server.principals.project("one")
        for number in range(11):
            await server.principals.create(project, SYSTEM, name=f"p{number}", kind="human", role="member", owner=None)
        return project

    project = asyncio.run(run())
    rows = envelopes(server, project)
    with server.database.engines.writer.begin() as connection:
        head = ledger.lock_head(connection, project)
    assert head.seq == len(rows) == 11
    assert root(list(head.frontier)) == root(frontier_of(leaf_hash(row[0]) for row in rows))
    for envelope, payload, nonce, leaf in rows:
        assert payload is not None
        assert nonce is not None
        assert len(nonce) == 32
        assert leaf == leaf_hash(envelope)
        assert codec.decode(envelope).payload_digest == payload_digest(nonce, payload)


def test_time_never_runs_backwards(server: Server) -> None:
    async def run() -> str:
        project = await server.principals.project("one")
        await server.principals.create(project, SYSTEM, name="a", kind="human", role="member", owner=None)
        assert isinstance(server.world, StillWorld)
        server.world.advance(-3600)
        await server.principals.create(project, SYSTEM, name="b", kind="human", role="member", owner=None)
        return project

    project = asyncio.run(run())
    first, second = (codec.decode(row[0]).at for row in envelopes(server, project))
    assert second >= first


def test_one_at_fault_does_not_take_the_others_down(server: Server) -> None:
    """Two of one name in a group: neither sees the other, and the database's own constraint says no."""

    async def run() -> list[Any]:
        project = await server.principals.project("one")
        plans = [new_principal(server, name) for name in ("a", "b", "a", "c")]
        return await together(server, project, plans)

    results = asyncio.run(run())
    assert [results[0], results[1], results[3]] == [1, 2, 3]
    assert isinstance(results[2], RuntimeError)


def test_a_name_wanted_twice_at_once_goes_to_one(server: Server) -> None:
    async def run() -> list[Any]:
        project = await server.principals.project("one")
        creating = [
            server.principals.create(project, SYSTEM, name=name, kind="human", role="member", owner=None)
            for name in ("ann", "Ann", "ANN")
        ]
        return await asyncio.gather(*creating, return_exceptions=True)

    results = asyncio.run(run())
    refusals = [result.code for result in results if isinstance(result, Refusal)]
    assert refusals == ["name_taken", "name_taken"]


def break_off(databases: Databases, server: Server, connection: Any) -> None:
    """Raises what the driver raises where the connection is lost."""
    if isinstance(databases, Postgres):
        databases.server.clear(databases.name(server.settings.database))
        connection.execute("SELECT 1")
        # A pooler has another one for whoever is in no transaction.
        lost = connection.dbapi_connection
        lost.close()
        lost.execute("SELECT 1")
    raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.parametrize("after", [True, False], ids=["after it was done", "before it was done"])
def test_a_commit_whose_end_is_not_known_is_looked_up(
    databases: Databases, server: Server, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    dialect = server.database.engines.writer.dialect
    commit = dialect.do_commit
    failures = [True]

    def fail_once(connection: Any) -> None:
        if failures.pop() if failures else False:
            if after:
                commit(connection)
            break_off(databases, server, connection)
        commit(connection)

    async def run() -> tuple[str, list[Any]]:
        project = await server.principals.project("one")
        monkeypatch.setattr(dialect, "do_commit", fail_once)
        return project, await together(server, project, [new_principal(server, "a"), refused])

    project, results = asyncio.run(run())
    if after:
        assert results[0] == 1
        assert results[1].code == "not_found"
    else:
        assert [result.code for result in results] == ["unavailable", "unavailable"]
    assert len(envelopes(server, project)) == (1 if after else 0)


@only("postgres")
def test_connections_that_died_while_idle_are_replaced_unnoticed(postgres: Postgres, server: Server) -> None:
    async def run() -> list[Any]:
        project = await server.principals.project("one")
        told: list[Any] = []
        for number in range(3):
            postgres.server.clear(postgres.name(server.settings.database))
            told.append(await server.principals._execute(project, new_principal(server, f"p{number}")))
            postgres.server.clear(postgres.name(server.settings.database))
            told.append((await server.database.read(ledger.projects))[project])
        return told

    assert asyncio.run(run()) == [1, 1, 2, 2, 3, 3]


_FILL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON events EXECUTE FUNCTION full_disk()
"""


@contextmanager
def full_disk(databases: Databases, server: Server) -> Iterator[None]:
    """In here the database says that it finds no more room."""
    if isinstance(databases, Postgres):
        with databases.server.connect(databases.name(server.settings.database)) as connection:
            connection.execute(_FILL)
        yield
        with databases.server.connect(databases.name(server.settings.database)) as connection:
            connection.execute("DROP FUNCTION full_disk CASCADE")
        return
    # One writer connection is pooled and used again, so the limit holds for the writer.
    for pages in (1, 1_000_000):
        with server.database.engines.writer.connect() as connection:
            connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        if pages == 1:
            yield


def test_a_full_disk_is_told_and_over_when_it_is_over(databases: Databases) -> None:
    with databases.empty() as database:
        server = open_server(Settings(database=database, environment="test"), StillWorld())
        big = codec.seal({"name": "x", "blob": "y" * 100_000}, b"n" * 32)

        def plan(unit: Unit) -> int:
            facts = {"kind": "human", "role": "member", "owner": None}
            unit.record(server.world.new_id("prn"), SYSTEM, [Event("principal.created", facts, big)])
            return 1

        async def run() -> tuple[str, list[Any], int]:
            project = await server.principals.project("one")
            with full_disk(databases, server):
                full = await together(server, project, [plan])
            return project, full, await server.principals._execute(project, plan)

        project, full, later = asyncio.run(run())
        assert full[0].code == "storage_full"
        assert later == 1
        assert len(envelopes(server, project)) == 1
        server.database.close()


def test_a_stopping_writer_takes_nothing_more(database: str) -> None:
    made = open_server(Settings(database=database, environment="test"), StillWorld())
    made.database.close()

    async def run() -> None:
        with pytest.raises(Refusal) as refusal:
            await made.database.write(lambda _: None)
        assert refusal.value.code == "unavailable"

    asyncio.run(run())


def test_a_project_wanted_twice_at_once_is_made_once(server: Server) -> None:
    async def run() -> list[str]:
        return await asyncio.gather(*(server.principals.project("one") for _ in range(8)))

    assert len(set(asyncio.run(run()))) == 1


def test_projects_do_not_wait_for_one_another(server: Server) -> None:
    async def run() -> dict[str, int]:
        projects = [await server.principals.project(f"p{at}") for at in range(6)]
        plans = [(project, new_principal(server, f"n{at}")) for at in range(20) for project in projects]
        results = await asyncio.gather(*(server.principals._execute(project, plan) for project, plan in plans))
        assert [results[at :: len(projects)] for at in range(len(projects))] == [list(range(1, 21))] * len(projects)
        return await server.database.read(ledger.projects)

    assert set(asyncio.run(run()).values()) == {20}
