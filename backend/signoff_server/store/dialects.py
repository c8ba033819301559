"""What differs between databases: opening one, its settings, its errors. No other file names a database.

SQLite: one server process for a file, held by a lock beside it; WAL; every commit is synced (`synchronous=FULL`), and
the settings are read back, because a pragma that is not understood is silently ignored.

PostgreSQL: any number of server processes; several writers, each with a project of its own. Reads see one snapshot
(`REPEATABLE READ`), writes take their turn at the head row (`READ COMMITTED`). Nothing is left in a session between two
transactions, so a pooler that hands out a connection for a transaction (PgBouncer) may stand between.
"""

import fcntl
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, TextIO

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError

ACCEPTED: Final = "a file name, sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
READERS: Final = 4
_WRITERS: Final = 4
_BUSY_TIMEOUT_MS: Final = 5_000
_SETTINGS: Final = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    "busy_timeout": _BUSY_TIMEOUT_MS,
    "trusted_schema": 0,
}
_POSTGRES: Final = ("postgresql", "postgres", "postgresql+psycopg")
# Of libpq: how soon a connection that is dead without a word counts as dead. Seconds, and milliseconds.
_LIFE_SIGNS: Final = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}
_UNHEARD_MS: Final = 15_000
_OLDEST: Final = 130_000
# Any number will do, as long as every signoff takes the same.
_SCHEMA_LOCK: Final = 0x7369676E6F6666


class DatabaseRefused(Exception):
    """The database cannot be used as it is; the text says what to do."""


class Fault(Enum):
    """What a database error means to whoever waits for the commit."""

    DATA = "one of the commands was at fault"
    FULL = "the disk is full"
    LOST = "nobody knows whether it was committed"


@dataclass
class Engines:
    """One engine to write with, `writers` threads at a time, and one to read with.

    With `lock` no other server process has this database open.
    """

    writer: Engine
    reader: Engine
    writers: int = 1
    lock: TextIO | None = None

    def close(self) -> None:
        self.writer.dispose()
        self.reader.dispose()
        if self.lock is not None:
            self.lock.close()


def open_engines(database: str) -> Engines:
    """Open a database by URL or file name (`ACCEPTED`). Raises `DatabaseRefused`."""
    if "://" not in database:
        return _open_file(Path(database).absolute())
    try:
        url = make_url(database)
    except ArgumentError as error:
        raise DatabaseRefused(f"the database is {ACCEPTED}") from error
    if url.drivername in _POSTGRES:
        return _open_postgres(url.set(drivername="postgresql+psycopg"))
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise DatabaseRefused(f"the database is {ACCEPTED} (a file: memory would forget everything)")
    return _open_file(Path(url.database).absolute())


def shown(database: str) -> str:
    """A database setting as it may be printed: without its password."""
    try:
        return _shown(make_url(database))
    except ArgumentError:
        return database


def lock_schema(connection: Connection) -> None:
    """Until the transaction ends, nobody else changes the schema."""
    # The write lock of a SQLite transaction keeps everybody out from its beginning.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SCHEMA_LOCK})


def fault(error: DBAPIError) -> Fault:
    """What `error` means. What is not known to have failed cleanly counts as lost."""
    original = error.orig
    if getattr(original, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return Fault.FULL
    # disk_full of PostgreSQL
    if getattr(original, "sqlstate", None) == "53100":
        return Fault.FULL
    if isinstance(error, IntegrityError | DataError | ProgrammingError):
        return Fault.DATA
    if isinstance(original, sqlite3.InterfaceError | OverflowError | TypeError):
        return Fault.DATA
    return Fault.LOST


def _shown(url: URL) -> str:
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


# ---------------------------------------------------------------- SQLite


def _open_file(path: Path) -> Engines:
    lock = _lock(path)
    try:
        engines = Engines(_engine(path, "BEGIN IMMEDIATE"), _engine(path, "BEGIN", read_only=True), lock=lock)
        with engines.writer.connect() as connection:
            _verify(connection.connection.dbapi_connection)
            _settle(connection.connection.dbapi_connection)
    except Exception as error:
        lock.close()
        if isinstance(error, DBAPIError | sqlite3.Error):
            raise DatabaseRefused(f"{path} cannot be opened: {getattr(error, 'orig', error)}") from error
        raise
    return engines


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
    try:
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), str(os.getpid()).encode())
    except OSError as error:
        lock.close()
        raise DatabaseRefused(f"{path.parent} cannot be written to: {error.strerror}") from error
    return lock


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _engine(path: Path, begin: str, *, read_only: bool = False) -> Engine:
    # The file may hold contexts that are nobody else's business.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    url = URL.create("sqlite", database=str(path))
    connecting = {"check_same_thread": False}
    engine = create_engine(url, pool_size=8, max_overflow=0, hide_parameters=True, connect_args=connecting)

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for name, value in _SETTINGS.items():
            connection.execute(f"PRAGMA {name} = {value}")
        if read_only:
            connection.execute("PRAGMA query_only = 1")

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        connection.connection.driver_connection.execute(begin)

    return engine


def _verify(connection: Any) -> None:
    for name, wanted in _SETTINGS.items():
        found = connection.execute(f"PRAGMA {name}").fetchone()[0]
        if found != wanted:
            raise DatabaseRefused(
                f"SQLite has {name} = {found}, and {wanted} is needed: is the file on a network disk?"
            )


def _settle(connection: Any) -> None:
    """Whoever died while syncing the log left commits in it that can be read and may not be on disk. Copied into the
    file and synced there, they may be answered for.
    """
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


# ---------------------------------------------------------------- PostgreSQL


def _open_postgres(url: URL) -> Engines:
    try:
        engines = Engines(_pool(url, _WRITERS), _pool(url, READERS, read_only=True), writers=_WRITERS)
    except ModuleNotFoundError as error:
        raise DatabaseRefused("PostgreSQL needs a driver: pip install 'signoff[postgres]'") from error
    try:
        # A standby lets nobody begin to write, not even to ask whether it is one.
        with engines.reader.connect() as connection:
            _verify_postgres(connection)
    except DBAPIError as error:
        engines.close()
        told = " ".join(str(error.orig).split())
        raise DatabaseRefused(f"{_shown(url)} cannot be opened: {told}") from error
    except DatabaseRefused:
        engines.close()
        raise
    return engines


def _pool(url: URL, size: int, *, read_only: bool = False) -> Engine:
    engine = create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,
        use_native_hstore=False,
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        # Prepared statements live in a session, which a pooler may take away between two transactions.
        connect_args={
            **_LIFE_SIGNS,
            "tcp_user_timeout": _UNHEARD_MS,
            "prepare_threshold": None,
            "client_encoding": "utf8",
        },
    )

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.read_only = read_only

    return engine


def _verify_postgres(connection: Connection) -> None:
    """Refuse what would acknowledge without having kept. Raises `DatabaseRefused`."""

    def setting(name: str) -> str:
        return str(connection.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one())

    for name in ("fsync", "synchronous_commit"):
        if setting(name) == "off":
            raise DatabaseRefused(f"PostgreSQL has {name} = off and may lose what it acknowledged: turn it on")
    if int(setting("server_version_num")) < _OLDEST:
        raise DatabaseRefused(f"PostgreSQL {setting('server_version')} is too old: 13 or newer is needed")
    if setting("server_encoding") != "UTF8":
        raise DatabaseRefused("the database's encoding is not UTF8: make one with ENCODING 'UTF8' TEMPLATE template0")
    if connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one():
        raise DatabaseRefused("the database takes no writes: is it a standby? Give the address of the primary")
