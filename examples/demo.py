"""The product at work, in a minute: `make demo`.

Real processes, real kills. Whatever stands behind a `|` was said by the server, the payments application or the
command line; the sentences between say what is being done. It ends with exit code 1 if anything was lost or doubled.
"""

import itertools
import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SIGNOFF = Path(sys.executable).with_name("signoff")
PATIENCE = 30.0
# Nothing of the user's own configuration may lead this astray.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")}


class Program:
    """A process whose lines are shown as they come."""

    def __init__(self, folder: Path, who: str, *command: str | Path) -> None:
        self.who = who
        self.process = subprocess.Popen(
            [str(part) for part in command], cwd=folder, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=CLEAN
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

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            show(self.who, line)
            self._lines.put(line)
        self._lines.put(None)


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


def show(who: str, line: str) -> None:
    if not line.startswith("{"):
        print(f"{who:>9} | {line.rstrip()}", flush=True)


class Demo:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Program] = []

    def run(self) -> None:
        say("1. A server, on an empty folder. Nothing is configured.")
        server = self.server()
        say("2. A payments application reads its invoices. Above 10000.00 it asks a person and waits.")
        application = self.application()
        first = self.pending(application)
        say("3. kill -9 the server while the application waits, and start it again.")
        server.kill()
        show("server", f"{server.process.pid} is dead (exit code {server.process.returncode})")
        self.server()
        say("4. The approval is where it was, and the application still waits. A reviewer looks, and approves.")
        self.signoff("approvals")
        self.signoff("approve", first, "--reason", "matches the purchase order")
        application.line("booked, approved by")
        say("5. The application went on to the next one. The reviewer rejects it.")
        second = self.pending(application)
        self.signoff("reject", second, "--reason", "the supplier is not on our list")
        application.line("NOT booked, rejected by")
        say("6. It waits for the third. kill -9 the application, and run it again: it attaches to the same approval.")
        third = self.pending(application)
        application.kill()
        show("payments", f"{application.process.pid} is dead (exit code {application.process.returncode})")
        again = self.application()
        attached = again.line("attached again to")
        check(third in attached, "it attached to the approval that it had asked for")
        self.signoff("approve", third)
        again.line("booked, approved by")
        check(again.end() == 0, "the application came to its end")
        say("7. What the application's own ledger holds, and what the server's events tell.")
        self.ledger({first, third}, second)
        self.signoff("events", "--type", "approval.*")
        self.events(first, second, third)
        say("Each approved transfer was booked once, the rejected one never, and no kill lost anything.")

    # ------------------------------------------------------------ what runs

    def server(self) -> Program:
        server = self.start("server", SIGNOFF, "dev", "--json")
        ready = json.loads(server.line("{"))
        show(
            "server",
            f"{ready['pid']} is ready at {ready['url']}, on {Path(ready['database']).relative_to(self.folder)}",
        )
        return server

    def application(self) -> Program:
        return self.start("payments", sys.executable, HERE / "wire_transfer.py")

    def start(self, who: str, *command: str | Path) -> Program:
        program = Program(self.folder, who, *command)
        self.started.append(program)
        return program

    def pending(self, application: Program) -> str:
        """The id that the application waits for, which the server lists too."""
        approval = application.line("apr_").rpartition(" ")[2].strip()
        listed = json.loads(self.output("approvals", "--json"))
        check(approval in json.dumps(listed), f"{approval} is in the inbox")
        return approval

    def signoff(self, *arguments: str) -> None:
        shown = " ".join(f'"{argument}"' if " " in argument else argument for argument in arguments)
        print(f"{'reviewer':>9} $ signoff {shown}", flush=True)
        for line in self.output(*arguments).splitlines():
            show("signoff", line)

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

    # ------------------------------------------------------------ what is checked

    def ledger(self, approved: set[str], rejected: str) -> None:
        database = sqlite3.connect(self.folder / "payments.db")
        rows = database.execute(
            "SELECT invoice, amount, currency, execution_key FROM transfers ORDER BY invoice"
        ).fetchall()
        database.close()
        for row in rows:
            show("payments", "{:<10} {:>10} {}  {}".format(*row))
        keys = [row[3] for row in rows]
        check(
            {key for key in keys if key.startswith("apr_")} == approved, "what was approved is booked, and nothing else"
        )
        check(len(keys) == len(set(keys)), "each of them once")
        check(rejected not in keys, "the rejected one never")

    def events(self, *approvals: str) -> None:
        events: list[dict[str, Any]] = json.loads(self.output("events", "--json"))["data"]
        for approval in approvals:
            types = [event["type"] for event in events if event["subject"] == approval]
            check(types.count("approval.requested") == 1, f"{approval} was asked for once")
            check(types.count("approval.redeemed") == types.count("approval.approved"), f"{approval} was used once")
        seqs = [event["seq"] for event in events]
        check(seqs == list(itertools.islice(itertools.count(seqs[0]), len(seqs))), "the events have no gap")


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"\nFAILED: {what}")


def main() -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="signoff-demo-") as folder:
        demo = Demo(Path(folder).resolve())
        try:
            demo.run()
        finally:
            for program in demo.started:
                if program.process.poll() is None:
                    program.process.terminate()
                    program.process.wait(PATIENCE)
    print(f"\nThat took {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
