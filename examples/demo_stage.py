"""What the acts of the demo share: processes whose lines are shown as they come, the command line, and checks."""

import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SIGNOFF = Path(sys.executable).with_name("signoff")
PATIENCE = 60.0
# Nothing of the user's own configuration may lead this astray.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")}


class Program:
    """A process whose lines are shown as they come."""

    def __init__(self, folder: Path, who: str, *command: str | Path) -> None:
        self.who = who
        self.process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=CLEAN,
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def line(self, part: str) -> str:
        """The next line that has `part` in it."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            if line is None:
                raise SystemExit(f"it ended before it said {part!r}")
            if part in line:
                return line

    def end(self) -> int:
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing flushed."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        show(self.who, f"{self.process.pid} is dead (exit code {self.process.returncode})")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            show(self.who, line)
            self._lines.put(line)
        self._lines.put(None)


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"\nFAILED: {what}")


def show(who: str, line: str) -> None:
    if not line.startswith("{"):
        print(f"{who:>9} | {line.rstrip()}", flush=True)


class Stage:
    """A folder, and the processes that were started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What the server said when it was ready.
        self.ready: dict[str, Any] = {}
        self._started: list[Program] = []

    def server(self) -> Program:
        server = self.start("server", SIGNOFF, "dev", "--json")
        ready = self.ready = json.loads(server.line("{"))
        database = Path(ready["database"]).relative_to(self.folder)
        show("server", f"{ready['pid']} is ready at {ready['url']}, on {database}")
        return server

    def start(self, who: str, *command: str | Path) -> Program:
        program = Program(self.folder, who, *command)
        self._started.append(program)
        return program

    def signoff(self, *arguments: str, who: str = "reviewer") -> str:
        """The command, shown with what it says."""
        print(f"{who:>9} $ {spelled(*arguments)}", flush=True)
        said = self.output(*arguments)
        for line in said.splitlines():
            show("signoff", line)
        return said

    def output(self, *arguments: str) -> str:
        done = subprocess.run(
            [SIGNOFF, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            env=CLEAN,
        )
        check(done.returncode == 0, f"signoff {arguments[0]} succeeds {done.stderr.strip()}")
        return done.stdout

    def data(self, *arguments: str) -> Any:
        return json.loads(self.output(*arguments, "--json"))

    def end(self) -> None:
        for program in self._started:
            if program.process.poll() is None:
                program.process.terminate()
                program.process.wait(PATIENCE)


def spelled(*arguments: str) -> str:
    """As it would be typed."""
    return " ".join(["signoff", *(shlex.quote(argument) for argument in arguments)])


@contextmanager
def stage(name: str) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix=f"signoff-demo-{name}-") as folder:
        made = Stage(Path(folder).resolve())
        try:
            yield made
        finally:
            made.end()
