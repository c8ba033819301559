"""What was seen to happen, kept outside the server: one line a fact, on disk before the program goes on."""

import json
import os
import time
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Journal:
    """Appends lines to a file; several processes may share it, since a line is one write."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, what: str, **facts: Any) -> None:
        line = {"what": what, "pid": os.getpid(), "at": time.monotonic_ns(), **facts}
        os.write(self._file, json.dumps(line).encode() + b"\n")
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> list[Line]:
    """The lines of a journal so far, empty where nobody has begun it."""
    if not path.exists():
        return []
    # A line that its writer did not live to end was never acted upon.
    return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


class Journals:
    """The journals of one run, by who writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def caller(self, name: str) -> Path:
        return self.folder / f"caller-{name}.jsonl"

    @property
    def bank(self) -> Path:
        """What the far side was told to pay."""
        return self.folder / "bank.jsonl"

    @property
    def tools(self) -> Path:
        """What the tools of workflows did."""
        return self.folder / "tools.jsonl"

    @property
    def starter(self) -> Path:
        """Which runs were acknowledged as started."""
        return self.folder / "starter.jsonl"

    @property
    def reports(self) -> Path:
        """What workers said had been taken from them."""
        return self.folder / "reports.jsonl"

    @property
    def people(self) -> Path:
        """What deciders and the resolver were told had been done."""
        return self.folder / "people.jsonl"

    @property
    def kills(self) -> Path:
        return self.folder / "kills.jsonl"

    def callers(self) -> list[Line]:
        """Every line of every caller, in the order of their writing."""
        lines = [
            line | {"name": path.stem.removeprefix("caller-")}
            for path in self.folder.glob("caller-*.jsonl")
            for line in read(path)
        ]
        return sorted(lines, key=lambda line: int(line["at"]))
