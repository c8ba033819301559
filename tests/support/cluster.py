"""A PostgreSQL of the tests' own, where its programs are installed and no server is given: in a folder that nobody
else sees into, reached by a socket in it.

It does not outlive its users. Each holds a shared lock on a file in the folder. A process in the background waits
until it has that lock for itself, which it gets however the users died, and then stops the server and removes the
folder: `python -m tests.support.cluster FOLDER` makes the cluster, and leaves that process behind.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO

ROOT: Final = Path(__file__).parents[2]
_PATIENCE: Final = 60
_PLACES: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
)
_PROGRAMS: Final = ("initdb", "pg_ctl", "postgres")
_SETTINGS: Final = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 200
"""


def programs() -> Path | None:
    """The folder with PostgreSQL's programs, of the newest version; None where there is none."""
    found = shutil.which("initdb")
    folders = [] if found is None else [Path(found).resolve().parent]
    for place in _PLACES:
        folders += sorted(Path("/").glob(place.lstrip("/")), key=_version, reverse=True)
    return next((each for each in folders if all((each / name).exists() for name in _PROGRAMS)), None)


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in "".join(c if c.isdigit() else " " for c in str(folder)).split())


class Cluster:
    """One that runs. `close` ends it, and so does the last of its users who leaves or ends."""

    def __init__(self, folder: Path) -> None:
        """Use the cluster in `folder`. Raises OSError where it is about to end, or has ended."""
        self.folder = folder
        self._users: TextIO = (folder / "users").open()
        try:
            fcntl.flock(self._users, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            self._users.close()
            raise

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is as good as pulling the plug of the server: what it had not written is gone."""
        pg_ctl(self.folder, "stop", "-m", mode)

    def start(self) -> None:
        pg_ctl(self.folder, "start")

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.stop()
        self.leave()

    def leave(self) -> None:
        self._users.close()


def make(place: Path | None = None) -> Cluster:
    """A new cluster, in the folder `place`. Raises OSError or CalledProcessError where it does not come to be."""
    folder = Path(tempfile.mkdtemp(prefix="signoff-postgres-", dir=place))
    try:
        (folder / "users").touch()
        if (user := owner()) is not None:
            shutil.chown(folder, user)
        cluster = Cluster(folder)
        command = [sys.executable, "-m", "tests.support.cluster", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=2 * _PATIENCE)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return cluster


def share(meeting_point: Path) -> Cluster:
    """The cluster of all processes that name the same folder to meet in; made by the first of them."""
    with _alone(meeting_point / "postgres.lock"):
        note = meeting_point / "postgres"
        with suppress(OSError):
            return Cluster(Path(note.read_text()))
        cluster = make()
        note.write_text(str(cluster.folder))
        return cluster


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


def pg_ctl(folder: Path, *arguments: str) -> None:
    log = str(folder / "server.log")
    _run(folder, "pg_ctl", "-D", str(folder / "data"), "-w", "-t", str(_PATIENCE), "-l", log, *arguments)


def owner() -> str | None:
    """As whom the server runs: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def unprivileged() -> dict[str, Any]:
    """What to give to `subprocess`, so that a program runs that refuses to be run by root."""
    user = owner()
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _run(folder: Path, program: str, *arguments: str) -> None:
    found = programs()
    assert found is not None
    subprocess.run(
        [found / program, *arguments],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=2 * _PATIENCE,
        **unprivileged(),
    )


def _begin(folder: Path) -> None:
    data = folder / "data"
    _run(folder, "initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(_SETTINGS.format(folder=folder))
    pg_ctl(folder, "start")


def _end(folder: Path) -> None:
    """Once nobody uses it."""
    with (folder / "users").open() as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        with suppress(subprocess.CalledProcessError):
            pg_ctl(folder, "stop", "-m", "immediate")
        shutil.rmtree(folder)


def main(folder: Path) -> None:
    _begin(folder)
    if os.fork() == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        _end(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
