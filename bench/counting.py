"""`signoff serve` with a count of the SQL that it runs, for whoever asks whether a wait costs any.

The counts lie in a file of two numbers that another process reads: statements, and steps of SQLite's virtual
machine (in tens; 0 on a database that tells none).
"""

import mmap
import os
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

_FILE: Final = "SIGNOFF_BENCH_COUNTS"
_FORM: Final = struct.Struct("=qq")
_STEPS: Final = 10
SERVE_COUNTED: Final = "from bench.counting import main; main()"


class Counts(NamedTuple):
    statements: int
    steps: int

    def since(self, before: "Counts") -> "Counts":
        return Counts(self.statements - before.statements, self.steps - before.steps)


def place(file: Path) -> dict[str, str]:
    """A file for the counts, as the environment of the server that is to keep them."""
    file.write_bytes(_FORM.pack(0, 0))
    return {_FILE: str(file)}


def read(file: Path) -> Counts:
    statements, tens = _FORM.unpack(file.read_bytes())
    return Counts(statements, tens * _STEPS)


class _Counter:
    def __init__(self, file: str) -> None:
        with open(file, "r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _FORM.size)
        self._counts = [0, 0]
        self._lock = threading.Lock()

    def count(self, at: int) -> None:
        with self._lock:
            self._counts[at] += 1
            _FORM.pack_into(self._shared, 0, *self._counts)

    def connect(self, connection: Any, _record: object) -> None:
        """At the driver, which every statement passes, however it is run."""
        if hasattr(connection, "set_trace_callback"):
            connection.set_trace_callback(lambda _statement: self.count(0))
            connection.set_progress_handler(lambda: self.count(1), _STEPS)
        else:
            connection.cursor_factory = _counted(connection.cursor_factory, lambda: self.count(0))


def _counted(cursor: type[Any], count: Callable[[], None]) -> type[Any]:
    """The driver's cursor, which counts what it executes. Beginning and ending a transaction passes it by."""

    class Counted(cursor):  # type: ignore[misc]
        def execute(self, *args: Any, **options: Any) -> Any:
            count()
            return super().execute(*args, **options)

    return Counted


def main() -> None:
    from sqlalchemy import Pool, event

    from signoff_server.commands import serve

    event.listen(Pool, "connect", _Counter(os.environ[_FILE]).connect)
    sys.exit(serve())
