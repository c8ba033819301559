"""The schema that the migrations make is the one that the tables say, on every database."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text

from signoff_server.store.dialects import DatabaseRefused, Engines, open_engines
from signoff_server.store.migrations import HEAD, config, revision, upgrade
from tests.support.databases import Postgres, only

UPGRADE = """
import sys
from signoff_server.store.dialects import open_engines
from signoff_server.store.migrations import upgrade
engines = open_engines(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
upgrade(engines)
engines.close()
print("alembic" in sys.modules)
"""


@pytest.fixture
def engines(empty: str) -> Iterator[Engines]:
    made = open_engines(empty)
    yield made
    made.close()


def test_migrations_and_tables_agree(engines: Engines) -> None:
    upgrade(engines)
    with engines.writer.begin() as connection:
        command.check(config(connection))
        assert ScriptDirectory.from_config(config(connection)).get_current_head() == HEAD == revision(connection)


def test_an_upgrade_of_what_is_up_to_date_does_nothing(engines: Engines) -> None:
    upgrade(engines)
    upgrade(engines)


def test_a_schema_that_is_newer_is_refused(engines: Engines) -> None:
    upgrade(engines)
    with engines.writer.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseRefused, match="newer signoff"):
        upgrade(engines)


def test_an_upgrade_that_breaks_leaves_nothing_behind(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and version come in one transaction: a server that is killed over it finds the schema as it was."""

    def stop(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("alembic.command.upgrade", _after(command.upgrade, stop))
    with pytest.raises(ZeroDivisionError):
        upgrade(engines)
    with engines.reader.begin() as connection:
        assert revision(connection) is None
    monkeypatch.undo()
    upgrade(engines)


def _after(first: object, then: object) -> object:
    return lambda *given: (first(*given), then())  # type: ignore[operator]


@only("sqlite")
def test_alembic_is_only_imported_where_there_is_work(empty: str) -> None:
    told = [
        subprocess.run(
            [sys.executable, "-c", UPGRADE, empty], input="\n", capture_output=True, text=True, check=True
        ).stdout
        for _ in "12"
    ]
    assert told == ["open\nTrue\n", "open\nFalse\n"]


def test_of_servers_that_upgrade_at_once_one_does(postgres: Postgres) -> None:
    with postgres.empty() as database:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", UPGRADE, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        told = sorted(process.communicate(timeout=60)[0] for process in processes)
        assert [process.returncode for process in processes] == [0] * 2
        assert told == ["False\n", "True\n"]
