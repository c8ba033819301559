"""What differs between databases: opening one, its settings, its errors. No other file names a database.

SQLite: one server process for a file, held by a lock beside it; WAL; every commit is synced (`synchronous=FULL`), and
the settings are read back, because a pragma that is not understood is silently ignored.
"""

import fcntl
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final, TextIO

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

_BUSY_TIMEOUT_MS: Final = 5_000
_SETTINGS: Final = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    "busy_timeout": _BUSY_TIMEOUT_MS,
    "trusted_schema": 0,
}


class DatabaseRefused(Exception):
    """The database cannot be used as it is; the text says what to do."""


class Fault(Enum):
    """What a database error means to whoever waits for the commit."""

    DATA = "one of the commands was at fault"
    FULL = "the disk is full"
    LOST = "nobody knows whether it was committed"


@dataclass
class Engines:
    """One engine to write with, one thread at a time, and one to read with."""

    writer: Engine
    reader: Engine
    lock: TextIO | None = field(default=None)

    def close(self) -> None:
        self.writer.dispose()
        self.reader.dispose()
        if self.lock is not None:
            self.lock.close()


def open_engines(database: str) -> Engines:
    """Open a database by URL (`sqlite:///PATH`) or file name. Raises `DatabaseRefused`."""
    path = sqlite_path(database)
    lock = _lock(path)
    try:
        engines = Engines(_engine(path, "BEGIN IMMEDIATE"), _engine(path, "BEGIN", read_only=True), lock)
        with engines.writer.connect() as connection:
            _verify(connection.connection.dbapi_connection)
    except Exception as error:
        lock.close()
        if isinstance(error, DBAPIError):
            raise DatabaseRefused(f"{path} cannot be opened: {error.orig}") from error
        raise
    return engines


def sqlite_path(database: str) -> Path:
    """The file that a database setting names. Raises `DatabaseRefused` for what this server cannot open."""
    if "://" not in database:
        return Path(database).absolute()
    try:
        url = make_url(database)
    except ArgumentError as error:
        raise DatabaseRefused("the database is a file name or sqlite:///PATH") from error
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise DatabaseRefused("the database is a file name or sqlite:///PATH (a file: memory would forget everything)")
    return Path(url.database).absolute()


def fault(error: DBAPIError) -> Fault:
    """What `error` means. What is not known to have failed cleanly counts as lost."""
    original = error.orig
    code = getattr(original, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL:
        return Fault.FULL
    if isinstance(error, IntegrityError) or isinstance(original, sqlite3.DataError | sqlite3.ProgrammingError):
        return Fault.DATA
    if isinstance(original, sqlite3.InterfaceError | OverflowError | TypeError):
        return Fault.DATA
    return Fault.LOST


def _lock(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = open(path.with_name(path.name + ".lock"), "a+", opener=_private)  # noqa: SIM115 - held while we run
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip()
        lock.close()
        who = f" (process {holder})" if holder else ""
        raise DatabaseRefused(f"another server{who} has {path} open; stop it, or use another database") from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _engine(path: Path, begin: str, *, read_only: bool = False) -> Engine:
    # The file may hold contexts that are nobody else's business.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, pool_size=8, max_overflow=0, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for name, value in _SETTINGS.items():
            connection.execute(f"PRAGMA {name} = {value}")
        if read_only:
            connection.execute("PRAGMA query_only = 1")

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _verify(connection: Any) -> None:
    for name, wanted in _SETTINGS.items():
        found = connection.execute(f"PRAGMA {name}").fetchone()[0]
        if found != wanted:
            raise DatabaseRefused(
                f"SQLite has {name} = {found}, and {wanted} is needed: is the file on a network disk?"
            )
