"""Empty databases to measure on, and what the database itself takes for a commit that is on disk."""

import importlib
import secrets
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Protocol

# About what one event weighs in the ledger.
ROW: Final = b"x" * 1_200


class Commits:
    """A table of its own beside the server's: the same disk, the same guarantees, none of the server's code."""

    def __init__(self, connection: Any, insert: str) -> None:
        self._connection = connection
        self._insert = insert
        self._next = 0

    def one(self) -> float:
        """Seconds for one row in one transaction."""
        return self.group(1)

    def group(self, size: int) -> float:
        """Seconds for so many rows in one transaction."""
        rows = [(self._next + at, ROW) for at in range(size)]
        self._next += size
        cursor, begun = self._connection.cursor(), time.monotonic()
        cursor.execute("BEGIN")
        cursor.executemany(self._insert, rows)
        cursor.execute("COMMIT")
        return time.monotonic() - begun

    def close(self) -> None:
        self._connection.close()


class Databases(Protocol):
    """`make` answers the setting of a new, empty database, `copy` of one with the same content, which nobody may have
    open meanwhile; `close` removes what was made."""

    name: str

    def make(self) -> str: ...

    def copy(self, database: str) -> str: ...

    def commits(self) -> Commits: ...

    def close(self) -> None: ...


class Files:
    """SQLite, each database a file in `folder`."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> str:
        return str(self._folder / f"{secrets.token_hex(4)}.db")

    def copy(self, database: str) -> str:
        made = self.make()
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(made)) as target:
            source.backup(target)
        return made

    def commits(self) -> Commits:
        connection = sqlite3.connect(self._folder / f"{secrets.token_hex(4)}.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("PRAGMA synchronous = full")
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB)")
        return Commits(connection, "INSERT INTO rows VALUES (?, ?)")

    def close(self) -> None:
        """The folder goes with its maker."""


class Cluster:
    """PostgreSQL at `url`, which names a database that may be connected to; others are made beside it and dropped."""

    name = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: list[str] = []

    def make(self) -> str:
        return self._make("template1")

    def copy(self, database: str) -> str:
        return self._make(self._name(database))

    def commits(self) -> Commits:
        connection = _connect(self.make())
        connection.execute("CREATE TABLE rows (id bigint PRIMARY KEY, body bytea)")
        return Commits(connection, "INSERT INTO rows VALUES (%s, %s)")

    def close(self) -> None:
        for made in self._made:
            self._administer(f"DROP DATABASE {made} WITH (FORCE)")

    def _make(self, template: str) -> str:
        made = f"signoff_bench_{secrets.token_hex(4)}"
        self._administer(f"CREATE DATABASE {made} TEMPLATE {template}")
        self._made.append(made)
        return self._at(made)

    def _name(self, database: str) -> str:
        return database.partition("?")[0].rpartition("/")[2]

    def _administer(self, statement: str) -> None:
        connection = _connect(self._url)
        connection.execute(statement)
        connection.close()

    def _at(self, name: str) -> str:
        address, _, options = self._url.partition("?")
        return f"{address.rpartition('/')[0]}/{name}{f'?{options}' if options else ''}"


def databases(url: str | None, folder: Path) -> Databases:
    """Those at a `postgresql://` URL; files in `folder` without one."""
    if url is None:
        return Files(folder)
    return Cluster(url)


def _connect(url: str) -> Any:
    # Only here, and only where the figures of PostgreSQL are asked for.
    return importlib.import_module("psycopg").connect(url, autocommit=True)
