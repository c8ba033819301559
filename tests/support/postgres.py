"""A PostgreSQL server that tests may make databases on: one that is given, one that is there, or one of their own."""

import getpass
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from tests.support import cluster

GIVEN: Final = "SIGNOFF_TEST_POSTGRES"
REQUIRED: Final = "SIGNOFF_REQUIRE_POSTGRES"
_HERE: Final = "postgresql://{user}@127.0.0.1:5432/postgres?connect_timeout=5"
_MAY_CREATE: Final = "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
# Marks the advisory locks by which a run says that it lives; any number that nobody else takes.
_LIVES: Final = 0x73676E66
_PREFIX: Final = "signoff_test_"


class NotFound(Exception):
    """No PostgreSQL to test on; the text says how to give one."""


class Server:
    """Makes databases with names of its own, and removes those that a run left behind that is dead.

    A run holds an advisory lock with the number that stands in the names of its databases, for as long as it lives.
    """

    def __init__(self, url: str, own: cluster.Cluster | None = None, *, leave: bool = False) -> None:
        """`own` is the cluster that it is, where the tests have one of their own; closing this may `leave` it."""
        self.own = own
        self._leave = leave
        self.address = make_url(url)
        self._run = secrets.randbits(31)
        self._made = 0
        self._connect()
        here = self._one("SELECT oid FROM pg_database WHERE datname = current_database()")
        # Such locks are known in one database only: a run that meets in another one is another one's business.
        self._prefix = f"{_PREFIX}{here}_"
        self._sweep()

    def url(self, name: str) -> str:
        """What a `database` setting says for this database."""
        return self.address.set(database=name).render_as_string(hide_password=False)

    def create(self, template: str = "template0", encoding: str = "UTF8") -> str:
        """The name of a new database. Nobody may be connected to the template."""
        self._made += 1
        name = f"{self._prefix}{self._run}_{self._made}"
        making = "CREATE DATABASE {} TEMPLATE {} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'"
        self._do(making, names=(name, template, encoding))
        return name

    def drop(self, name: str) -> None:
        self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", names=(name,))

    def alter(self, name: str, setting: LiteralString) -> None:
        """`ALTER DATABASE name SET …`, for whoever connects from now on."""
        self._do("ALTER DATABASE {} SET " + setting, names=(name,))

    def cut(self, name: str, share: float = 1.0) -> int:
        """End the connections to a database, or each with this probability; answers how many."""
        return int(
            self._one(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND random() < %s",
                name,
                share,
            )
        )

    def clear(self, name: str) -> None:
        """Returns when nobody is connected to it any more, and whatever they were at has ended."""
        while self.cut(name):
            pass

    @contextmanager
    def connect(self, name: str) -> Iterator[psycopg.Connection[Any]]:
        """In one transaction, committed unless something is raised."""
        with psycopg.connect(_for_libpq(self.address.set(database=name))) as connection:
            yield connection

    def crash(self) -> None:
        """The server dies as by a pulled plug, and recovers."""
        assert self.own is not None
        self.own.stop("immediate")
        self.own.start()
        self._admin.close()
        self._connect()

    def close(self) -> None:
        self._admin.close()
        if self.own is not None and self._leave:
            self.own.leave()

    def _connect(self) -> None:
        self._admin = psycopg.connect(_for_libpq(self.address), autocommit=True)
        self._do("SELECT pg_advisory_lock(%s, %s)", _LIVES, self._run)

    def _sweep(self) -> None:
        found = self._admin.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [self._prefix])
        for (name,) in found.fetchall():
            run = int(name.removeprefix(self._prefix).partition("_")[0])
            if run != self._run and self._one("SELECT pg_try_advisory_lock(%s, %s)", _LIVES, run):
                self.drop(name)
                self._do("SELECT pg_advisory_unlock(%s, %s)", _LIVES, run)

    def _do(self, statement: LiteralString, *values: Any, names: tuple[str, ...] = ()) -> psycopg.Cursor[Any]:
        return self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)), values or None)

    def _one(self, statement: LiteralString, *values: Any) -> Any:
        row = self._do(statement, *values).fetchone()
        assert row is not None
        return row[0]


def find(meeting_point: Path) -> Server:
    """The server of this test session; processes that name one folder share one. Raises `NotFound`."""
    if given := os.environ.get(GIVEN):
        return Server(given)
    for user in dict.fromkeys((getpass.getuser(), "postgres", "root")):
        if (url := _usable(_HERE.format(user=user))) is not None:
            return Server(url)
    if cluster.programs() is None:
        raise NotFound(
            f"no PostgreSQL: set {GIVEN}=postgresql://USER@HOST/NAME to a server where databases may be made, start one"
            " on 127.0.0.1:5432 that trusts you, or install its programs (initdb, pg_ctl, postgres)"
        )
    try:
        shared = cluster.share(meeting_point)
        return Server(shared.url, shared, leave=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotFound(f"PostgreSQL is installed and does not start: {error}") from error


def _usable(url: str) -> str | None:
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            may = connection.execute(_MAY_CREATE).fetchone()
            safe = connection.execute("SELECT current_setting('fsync')").fetchone()
    except psycopg.OperationalError:
        return None
    return url if may == (True,) and safe == ("on",) else None


def _for_libpq(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
