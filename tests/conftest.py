"""Fixtures that more than one folder asks for."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support import bouncer, cluster
from tests.support import postgres as finding
from tests.support.databases import KINDS, Databases, Postgres, Sqlite, on_server
from tests.support.project import Project, running
from tests.support.server import RunningServer


def missing(what: str, required: str = finding.REQUIRED) -> NoReturn:
    """Skips what needs it; fails where the variable `required` says that it must not be missing."""
    if os.environ.get(required) == "1":
        pytest.fail(f"{required}=1 and {what}")
    pytest.skip(what)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Databases on a PostgreSQL server; without one the test is skipped, or fails where that is not allowed."""
    ours = tmp_path_factory.getbasetemp()
    try:
        server = finding.find(ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours)
    except finding.NotFound as reason:
        missing(str(reason))
    with on_server(server) as made:
        yield made


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[cluster.Cluster]:
    """A PostgreSQL that the tests of a module may stop, start and misconfigure."""
    if cluster.programs() is None:
        missing("PostgreSQL's programs (initdb, pg_ctl, postgres) are not installed")
    own = cluster.make()
    yield own
    own.close()


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres) -> Iterator[Postgres]:
    """PostgreSQL through a pooler that hands out connections for a transaction."""
    if bouncer.program() is None:
        missing("PgBouncer is not installed")
    with bouncer.pooled(postgres.server) as made:
        yield made


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Sqlite:
    return Sqlite(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="module", params=KINDS)
def databases(request: pytest.FixtureRequest) -> Databases:
    """Each kind of database in turn: whoever asks for it, or for what stands on it, runs on all of them."""
    found: Databases = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def database(databases: Databases) -> Iterator[str]:
    """The setting of a database with tables and nothing in them."""
    with databases.ready() as ready:
        yield ready


@pytest.fixture
def empty(databases: Databases) -> Iterator[str]:
    """The setting of a database with nothing in it."""
    with databases.empty() as nothing:
        yield nothing


@pytest.fixture
def projects(databases: Databases) -> Iterator[tuple[Project, Project]]:
    with running(databases) as both:
        yield both


@pytest.fixture
def project(projects: tuple[Project, Project]) -> Project:
    return projects[0]


@pytest.fixture
def dev_server(database: str, tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path, database=database) as server:
        yield server


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
