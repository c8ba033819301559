"""Empty databases to measure on, and what the database itself takes for a commit that is on disk."""

import secrets
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from tests.support.postgres import Server

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
    open meanwhile; `settle` does what its housekeeping does after a while; `close` removes what was made."""

    name: str

    def make(self) -> str: ...

    def copy(self, database: str) -> str: ...

    def settle(self, database: str) -> None: ...

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

    def settle(self, database: str) -> None:
        """There is no housekeeping."""

    def commits(self) -> Commits:
        connection = sqlite3.connect(self._folder / f"{secrets.token_hex(4)}.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("PRAGMA synchronous = full")
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB)")
        return Commits(connection, "INSERT INTO rows VALUES (?, ?)")

    def close(self) -> None:
        """The folder goes with its maker."""


class Cluster:
    """PostgreSQL: databases beside others of a server, dropped at the end."""

    name = "postgresql"

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._made: dict[str, str] = {}

    def make(self) -> str:
        return self._keep(self._server.create())

    def copy(self, database: str) -> str:
        return self._keep(self._server.create(self._made[database]))

    def settle(self, database: str) -> None:
        connection = _connect(database)
        connection.execute("VACUUM ANALYZE")
        connection.close()

    def commits(self) -> Commits:
        connection = _connect(self.make())
        connection.execute("CREATE TABLE rows (id bigint PRIMARY KEY, body bytea)")
        return Commits(connection, "INSERT INTO rows VALUES (%s, %s)")

    def close(self) -> None:
        for name in self._made.values():
            self._server.drop(name)
        self._server.close()

    def _keep(self, name: str) -> str:
        url = self._server.url(name)
        self._made[url] = name
        return url


def _connect(url: str) -> Any:
    import psycopg

    return psycopg.connect(url, autocommit=True)


def databases(asked: str | None, folder: Path) -> Databases:
    """Files in `folder`; or databases of the server at a URL, or of the one that the tests use (`postgres`)."""
    if asked is None:
        return Files(folder)
    # Only here: whoever measures on files needs no driver of another database.
    from tests.support.postgres import Server, find

    return Cluster(find(folder) if asked == "postgres" else Server(asked))
