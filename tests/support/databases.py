"""Databases for tests, the same from each kind: a test that asks for `databases` runs on every kind that there is."""

import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from signoff_server.store.dialects import open_engines
from signoff_server.store.migrations import upgrade
from signoff_server.store.tables import METADATA
from tests.support.postgres import Server

KINDS: Final = ("sqlite", "postgres")


def only(kind: str) -> pytest.MarkDecorator:
    """For a test of what the others do not have."""
    return pytest.mark.parametrize("databases", [kind], indirect=True)


class Databases(ABC):
    """Lends databases by the text that the setting `database` takes."""

    kind: ClassVar[str]

    @abstractmethod
    def empty(self) -> Any:
        """A context: a database with nothing in it, not even tables."""

    @abstractmethod
    def ready(self, content: Any = None) -> Any:
        """A context: a database with tables, and with the rows of `content`, of another that was `taken`."""

    @abstractmethod
    def taken(self, database: str) -> Any:
        """What is in a database that nobody has open, for `ready`."""

    @abstractmethod
    def stored(self, database: str) -> bytes:
        """All that is kept, to look in it for what should not be."""

    @abstractmethod
    def copy(self, database: str, folder: Path) -> str:
        """A copy of a database whose server was killed, as it is. Whatever of it is a file is in `folder`."""

    @abstractmethod
    def faults(self, database: str) -> list[str]:
        """What the database finds wrong with a copy of itself."""

    @abstractmethod
    def keep(self, database: str, folder: Path) -> None:
        """Leave its rows in a new folder, unless they are in files that stay."""

    @abstractmethod
    def drop(self, database: str) -> None:
        """Remove a copy."""


class Sqlite(Databases):
    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._tables: bytes | None = None

    @contextmanager
    def empty(self) -> Iterator[str]:
        yield str(self._path())

    @contextmanager
    def ready(self, content: bytes | None = None) -> Iterator[str]:
        path = self._path()
        path.touch(mode=0o600)
        path.write_bytes(self._with_tables() if content is None else content)
        yield str(path)

    def taken(self, database: str) -> bytes:
        assert not Path(f"{database}-wal").exists(), "somebody has it open"
        return Path(database).read_bytes()

    def stored(self, database: str) -> bytes:
        return b"".join(path.read_bytes() for path in Path(database).parent.iterdir())

    def copy(self, database: str, folder: Path) -> str:
        shutil.copytree(Path(database).parent, folder)
        return str(folder / Path(database).name)

    def faults(self, database: str) -> list[str]:
        with closing(sqlite3.connect(database)) as connection:
            found = [text for (text,) in connection.execute("PRAGMA integrity_check")]
        return [text for text in found if text != "ok"]

    def keep(self, database: str, folder: Path) -> None:
        """It is a file."""

    def drop(self, database: str) -> None:
        """The folder goes with the files of its test or run."""

    def _path(self) -> Path:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return folder / "signoff.db"

    def _with_tables(self) -> bytes:
        if self._tables is None:
            path = str(self._path())
            _migrate(path)
            self._tables = self.taken(path)
        return self._tables


class Postgres(Databases):
    """Emptied and filled again, databases serve one test after another: making one takes twenty times as long."""

    kind = "postgres"

    def __init__(self, server: Server) -> None:
        self.server = server
        self._free: list[str] = []
        self._names: dict[str, str] = {}

    @contextmanager
    def empty(self) -> Iterator[str]:
        name = self.server.create()
        try:
            yield self._lend(name)
        finally:
            self.server.drop(name)

    @contextmanager
    def ready(self, content: Mapping[str, bytes] | None = None) -> Iterator[str]:
        name = self._free.pop() if self._free else self._with_tables()
        try:
            self._fill(name, content or {})
            yield self._lend(name)
        finally:
            self.server.clear(name)
            self._free.append(name)

    def taken(self, database: str) -> Mapping[str, bytes]:
        content = {}
        with self.server.connect(self.name(database)) as connection:
            # Bytes that are letters stay letters.
            connection.execute("SET bytea_output = escape")
            for table in METADATA.sorted_tables:
                with connection.cursor().copy(f"COPY {table.name} TO STDOUT") as rows:
                    content[table.name] = b"".join(rows)
        return content

    def stored(self, database: str) -> bytes:
        return b"".join(self.taken(database).values())

    def copy(self, database: str, folder: Path) -> str:
        name = self.name(database)
        self.server.clear(name)
        return self._lend(self.server.create(name))

    def faults(self, database: str) -> list[str]:
        """Whoever is killed beside it, its pages are its own business."""
        return []

    def keep(self, database: str, folder: Path) -> None:
        folder.mkdir()
        for table, rows in self.taken(database).items():
            (folder / f"{table}.tsv").write_bytes(rows)

    def drop(self, database: str) -> None:
        self.server.drop(self.name(database))

    def address(self, name: str) -> str:
        """The setting of the database that the server knows by this name."""
        return self.server.url(name)

    def name(self, database: str) -> str:
        """By which the server knows a database that was lent."""
        return self._names[database]

    def _lend(self, name: str) -> str:
        url = self.address(name)
        self._names[url] = name
        return url

    def _with_tables(self) -> str:
        name = self.server.create()
        _migrate(self.server.url(name))
        return name

    def _fill(self, name: str, content: Mapping[str, bytes]) -> None:
        with self.server.connect(name) as connection:
            for table in reversed(METADATA.sorted_tables):
                connection.execute(f"DELETE FROM {table.name}")
            for table in METADATA.sorted_tables:
                with connection.cursor().copy(f"COPY {table.name} FROM STDIN") as rows:
                    rows.write(content.get(table.name, b""))

    def close(self) -> None:
        for name in self._free:
            self.server.drop(name)


@contextmanager
def on_server(server: Server) -> Iterator[Postgres]:
    """Until the end of the server's use."""
    with closing(server), closing(Postgres(server)) as made:
        yield made


def _migrate(database: str) -> None:
    engines = open_engines(database)
    try:
        upgrade(engines)
    finally:
        engines.close()
