"""The processes of a run that are killed again and again: payments programs, and workers."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.crash.caller import LEASE_SECONDS, RENEW_EVERY
from tests.crash.journal import Journal, Journals

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 90.0
WORKERS: Final = ("wim", "xenia")
# Heartbeats as much more frequent as the leases of the run are shorter; nothing else of the worker is changed.
_WORKER: Final = (
    "from signoff.worker import attempt\n"
    f"attempt.HEARTBEAT_EVERY = {RENEW_EVERY}\n"
    "from signoff.cli import main\n"
    "main()\n"
)
_OPTIONS: Final = ("worker", "--json", "--tools", str(ROOT / "tests/crash/tools.py"), "--concurrency", "4")
# The leases of production would outlive the run, and so would what a dead server had claimed, where a lock does not say
# that it is dead; nothing else of the server is changed. What reads a lease by its name is imported after.
SHORT_LEASES: Final = (
    "from signoff_server.core import approvals\n"
    f"approvals.LEASE = {LEASE_SECONDS * 1000}\n"
    "from signoff_server.core import executions\n"
    f"executions.LEASE = {LEASE_SECONDS * 1000}\n"
    "from signoff_server.store import agenda\n"
    f"agenda.CLAIM_MS = {LEASE_SECONDS * 1000}\n"
    "from signoff_server.commands import dev\n"
    "dev()\n"
)


class Failed(Exception):
    """The run cannot go on; the text says why."""


class CallerProcess:
    """One payments program, started again after each death."""

    def __init__(self, name: str, journals: Journals, env: dict[str, str]) -> None:
        self.name = name
        self._journals = journals
        self._env = {**os.environ, **env}
        self._orders: list[str] = []
        self._lock = threading.Lock()
        self.pids: set[int] = set()
        self.start()

    def start(self) -> None:
        with self._lock, (self._journals.folder / f"caller-{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.caller", self.name, str(self._journals.folder)],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            self._say(self._orders)

    def order(self, text: str, *, lasting: bool = False) -> None:
        """Tell the program; what lasts is told to its successors too, the newest of each kind."""
        with self._lock:
            if lasting:
                self._orders = [each for each in self._orders if each.split()[0] != text.split()[0]] + [text]
            self._say([text])

    def await_ready(self) -> None:
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise Failed(f"the caller {self.name} did not start: see its log")

    def begin_anew(self) -> None:
        """Kill it and start another."""
        self.process.kill()
        self.reap(PATIENCE)
        self.start()

    def doom(self, stage: str) -> None:
        self.order(f"die {stage}")

    def reap(self, seconds: float) -> int:
        code = self.process.wait(seconds)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        return code

    def __enter__(self) -> "CallerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.reap(PATIENCE)

    def _say(self, orders: list[str]) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError, ValueError):
            for order in orders:
                self.process.stdin.write(f"{order}\n")
            self.process.stdin.flush()


class WorkerProcess:
    """A `signoff worker`, started again after each death under another name: nobody ends its leases but time."""

    def __init__(self, name: str, journals: Journals, env: dict[str, str]) -> None:
        self.name = name
        self._journals = journals
        self._env = {**os.environ, **env, "CRASH_FOLDER": str(journals.folder)}
        self._doom = journals.folder / f"doom-{name}"
        self._reports = Journal(journals.reports)
        self._life = 0
        self._lock = threading.Lock()
        self.start()

    @property
    def alias(self) -> str:
        """What the server knows this life by."""
        return f"{self.name}.{self._life}"

    def start(self) -> None:
        self._doom.unlink(missing_ok=True)
        self._life += 1
        self._ready = threading.Event()
        with (self._journals.folder / f"worker-{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _WORKER, *_OPTIONS, "--name", self.alias],
                cwd=ROOT,
                env=self._env | {"CRASH_WORKER": self.alias},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._listener = threading.Thread(target=self._listen, args=(self.process, self._ready, self.alias))
        self._listener.start()

    def begin_anew(self, life: str | None = None) -> None:
        """Kill it and start another; only that life of it, where one is named."""
        with self._lock:
            if life in (None, self.alias):
                self.process.kill()
                self.reap(PATIENCE)
                self.start()

    def alive(self) -> set[str]:
        with self._lock:
            return {self.alias} if self.process.poll() is None else set()

    def await_ready(self) -> None:
        if not self._ready.wait(PATIENCE) or self.process.poll() is not None:
            raise Failed(f"the worker {self.name} did not start: see its log")

    def doom(self, stage: str) -> None:
        draft = self._doom.with_suffix(".draft")
        draft.write_text(stage)
        draft.replace(self._doom)

    def reap(self, seconds: float) -> int:
        code = self.process.wait(seconds)
        self._listener.join(seconds)
        return code

    def _listen(self, process: "subprocess.Popen[str]", ready: threading.Event, alias: str) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                facts = _whole(line)
                if facts.get("event") == "ready":
                    ready.set()
                elif facts:
                    self._reports.write("said", worker=alias, said=facts)
        # Whoever waits for it learns that it will not be.
        ready.set()

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.reap(PATIENCE)
        self._reports.close()


class Crew:
    """The workers of a run."""

    def __init__(self, workers: Sequence[WorkerProcess]) -> None:
        self._workers = workers

    def alive(self) -> set[str]:
        return {name for worker in self._workers for name in worker.alive()}

    def end(self, name: str) -> None:
        for worker in self._workers:
            worker.begin_anew(name)


def _whole(line: str) -> dict[str, Any]:
    """The facts of a line; nothing where its writer did not live to end it."""
    if not line.endswith("\n"):
        return {}
    found: dict[str, Any] = json.loads(line)
    return found
