"""Opening a database: what makes an acknowledgement true is checked, and what is refused says what to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from signoff_server.app import open_server
from signoff_server.settings import Settings
from signoff_server.store.dialects import DatabaseRefused, open_engines, shown
from signoff_server.web.server import Server
from tests.support.cluster import Cluster
from tests.support.databases import Postgres, Sqlite
from tests.support.world import StillWorld

SECRET = "correct-horse-battery"


def refusal(database: str) -> str:
    with pytest.raises(DatabaseRefused) as refused:
        open_engines(database)
    told = str(refused.value)
    assert SECRET not in told
    assert "\n" not in told
    return told


@pytest.mark.parametrize("database", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "://", "oracle+x://h"])
def test_databases_that_are_none(database: str) -> None:
    told = refusal(database)
    assert "sqlite:///PATH" in told
    assert "postgresql://USER:PASSWORD@HOST/NAME" in told


# ---------------------------------------------------------------- a file


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[Server]:
    made = open_server(Settings(database=str(tmp_path / "signoff.db"), environment="test"), StillWorld())
    yield made
    made.database.close()


def test_one_server_for_a_file(file_server: Server) -> None:
    assert "another server" in refusal(file_server.settings.database)


def test_the_settings_that_make_an_acknowledgement_true(file_server: Server) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}
    for engine in (file_server.database.engines.writer, file_server.database.engines.reader):
        with engine.connect() as connection:
            found = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in wanted}
        assert found == wanted


def test_the_file_is_for_its_owner_only(file_server: Server, tmp_path: Path) -> None:
    for path in tmp_path.glob("signoff.db*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 1_000)
    assert "cannot be opened" in refusal(str(tmp_path / "x.db"))


def test_what_the_sqlite_fixture_hands_out_is_of_the_kind_that_is_served(sqlite: Sqlite) -> None:
    with sqlite.ready() as database:
        engines = open_engines(database)
        assert engines.lock is not None
        engines.close()


# ---------------------------------------------------------------- PostgreSQL


@pytest.fixture
def nothing(postgres: Postgres) -> Iterator[str]:
    with postgres.empty() as database:
        yield database


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_its_url_may_be_written_in_each_usual_way(nothing: str, scheme: str) -> None:
    engines = open_engines(f"{scheme}{nothing[nothing.index('://') :]}")
    with engines.writer.begin() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engines.close()


def test_two_servers_may_have_it_open(nothing: str) -> None:
    first, second = open_engines(nothing), open_engines(nothing)
    first.close()
    second.close()


def test_synchronous_commit_has_to_be_on(postgres: Postgres, nothing: str) -> None:
    postgres.server.alter(postgres.name(nothing), "synchronous_commit = off")
    assert "synchronous_commit = off" in refusal(nothing)
    postgres.server.alter(postgres.name(nothing), "synchronous_commit = local")
    open_engines(nothing).close()


def test_a_default_of_reading_only_does_not_stop_the_writer(postgres: Postgres, nothing: str) -> None:
    postgres.server.alter(postgres.name(nothing), "default_transaction_read_only = on")
    server = open_server(Settings(database=nothing, environment="test"), StillWorld())
    server.database.close()


def test_readers_cannot_write(nothing: str) -> None:
    engines = open_engines(nothing)
    with pytest.raises(Exception, match="read-only transaction"), engines.reader.begin() as connection:
        connection.execute(text("CREATE TABLE x (y int)"))
    engines.close()


def test_texts_have_to_be_unicode(postgres: Postgres) -> None:
    name = postgres.server.create(encoding="SQL_ASCII")
    try:
        assert "ENCODING 'UTF8'" in refusal(postgres.server.url(name))
    finally:
        postgres.server.drop(name)


def test_a_database_that_is_not_there(postgres: Postgres) -> None:
    told = refusal(postgres.server.url("signoff_test_nowhere"))
    assert "cannot be opened" in told
    assert "does not exist" in told


def test_a_server_that_is_not_there(free_port: int) -> None:
    told = refusal(f"postgresql://ann:{SECRET}@127.0.0.1:{free_port}/signoff")
    assert "cannot be opened" in told
    assert f"127.0.0.1:{free_port}" in told
    assert "refused" in told


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"postgresql://ann:{SECRET}@h/d", "postgresql://ann:***@h/d"),
        (f"postgres://ann:{SECRET}@h:5/d?sslpassword={SECRET}", "postgres://ann:***@h:5/d"),
        ("signoff.db", "signoff.db"),
    ],
)
def test_a_password_is_not_shown(url: str, told: str) -> None:
    assert shown(url) == told


@pytest.fixture(scope="module")
def guarded(own_cluster: Cluster) -> Cluster:
    """A cluster with a user who has a password."""
    with psycopg.connect(own_cluster.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE guarded LOGIN SUPERUSER PASSWORD '{SECRET}'")
        rules = own_cluster.folder / "data" / "pg_hba.conf"
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
        connection.execute("SELECT pg_reload_conf()")
    return own_cluster


def as_guarded(cluster: Cluster, password: str) -> str:
    return cluster.url.replace("postgres@", f"guarded:{password}@")


def test_a_wrong_password_and_the_right_one_are_kept_secret(guarded: Cluster) -> None:
    told = refusal(as_guarded(guarded, f"{SECRET}-not"))
    assert "password authentication failed" in told
    open_engines(as_guarded(guarded, SECRET)).close()


def settings(cluster: Cluster, **values: Any) -> None:
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        for name, value in values.items():
            connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        connection.execute("SELECT pg_reload_conf()")
    cluster.stop("fast")
    cluster.start()


def test_fsync_has_to_be_on(own_cluster: Cluster) -> None:
    settings(own_cluster, fsync="off")
    try:
        assert "fsync = off" in refusal(own_cluster.url)
    finally:
        settings(own_cluster, fsync="on")
    open_engines(own_cluster.url).close()


def test_a_standby_takes_no_writes(own_cluster: Cluster) -> None:
    own_cluster.stop("fast")
    standby = own_cluster.folder / "data" / "standby.signal"
    standby.touch()
    own_cluster.start()
    try:
        assert "standby" in refusal(own_cluster.url)
    finally:
        own_cluster.stop("fast")
        standby.unlink()
        own_cluster.start()
    open_engines(own_cluster.url).close()
