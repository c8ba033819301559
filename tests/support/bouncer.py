"""PgBouncer between a server and PostgreSQL: it hands out a connection for one transaction, then to somebody else."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy.engine import URL

from tests.support import cluster
from tests.support.databases import Postgres
from tests.support.postgres import Server

CONNECTIONS: Final = 2
_PATIENCE: Final = 10.0
_PORT: Final = 6432
_SETTINGS: Final = """
[databases]
* = {target}
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
"""
# Its input ends when the tests do, however they do, and it ends with that.
_ATTENDED: Final = '"$0" -q "$1" & read -r _; kill -KILL $!; wait $!'


def program() -> str | None:
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")


class Pooled(Postgres):
    """Databases that are reached through a pooler, except by the tests themselves."""

    kind = "pgbouncer"

    def __init__(self, server: Server, folder: Path) -> None:
        super().__init__(server)
        self._folder = folder

    def address(self, name: str) -> str:
        return f"postgresql://anybody@/{name}?host={self._folder}&port={_PORT}"


@contextmanager
def pooled(server: Server) -> Iterator[Pooled]:
    """Raises RuntimeError where it does not start."""
    with tempfile.TemporaryDirectory(prefix="signoff-bouncer-") as name:
        folder = Path(name)
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(target=_target(server.address), folder=folder, port=_PORT, connections=CONNECTIONS)
        )
        if (user := cluster.owner()) is not None:
            shutil.chown(folder, user)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["sh", "-c", _ATTENDED, str(program()), str(settings)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                **cluster.unprivileged(),
            )
        databases = Pooled(server, folder)
        try:
            _await(process, databases, folder)
            yield databases
        finally:
            databases.close()
            process.communicate(timeout=_PATIENCE)


def _await(process: subprocess.Popen[bytes], databases: Pooled, folder: Path) -> None:
    """Returns when it takes connections."""
    for _ in range(int(_PATIENCE / 0.05)):
        try:
            psycopg.connect(databases.address(databases.server.address.database or "postgres")).close()
            return
        except psycopg.OperationalError:
            pass
        try:
            process.wait(0.05)
            break
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError(f"pgbouncer does not start: {(folder / 'log').read_text()}")


def _target(url: URL) -> str:
    host = url.host or url.query.get("host")
    parts = {"host": host, "port": url.port, "user": url.username, "password": url.password}
    return " ".join(f"{name}='{value}'" for name, value in parts.items() if value is not None)
