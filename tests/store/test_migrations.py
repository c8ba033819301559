"""The schema that the migrations make is the one that the tables say."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from signoff_server.store.dialects import DatabaseRefused, open_engines
from signoff_server.store.migrations import HEAD, config, revision, upgrade


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    engines = open_engines(str(tmp_path / "a.db"))
    upgrade(engines)
    with engines.writer.begin() as connection:
        command.check(config(connection))
        assert ScriptDirectory.from_config(config(connection)).get_current_head() == HEAD == revision(connection)
    engines.close()


def test_an_upgrade_of_what_is_up_to_date_does_nothing(tmp_path: Path) -> None:
    engines = open_engines(str(tmp_path / "a.db"))
    upgrade(engines)
    upgrade(engines)
    engines.close()


def test_a_schema_that_is_newer_is_refused(tmp_path: Path) -> None:
    engines = open_engines(str(tmp_path / "a.db"))
    upgrade(engines)
    engines.close()
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    engines = open_engines(str(tmp_path / "a.db"))
    with pytest.raises(DatabaseRefused, match="newer signoff"):
        upgrade(engines)
    engines.close()


def test_alembic_is_only_imported_where_there_is_work(tmp_path: Path) -> None:
    code = (
        "import sys; from signoff_server.store.dialects import open_engines;"
        "from signoff_server.store.migrations import upgrade;"
        f"engines = open_engines({str(tmp_path / 'a.db')!r}); upgrade(engines); print('alembic' in sys.modules)"
    )
    told = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "12"
    ]
    assert told == ["True\n", "False\n"]
