"""How long it takes to begin: importing the SDK, the command line, and the server."""

import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Final, NamedTuple

from bench.report import Aim, Figure
from bench.run import Run

_COMMAND: Final = "from signoff.cli import main; main()"
# Where nobody listens: to be refused is to be told quickly.
_NOBODY: Final = {"SIGNOFF_URL": "http://127.0.0.1:9", "SIGNOFF_REVIEWER_KEY": "sgo_dev_none"}


class _Program(NamedTuple):
    """What is run by `python -c`, and what that is."""

    arguments: tuple[str, ...]
    note: str
    aims: tuple[Aim, ...] = ()


_BARE: Final = _Program(("pass",), "Python itself")
PROGRAMS: Final = {
    "import": _Program(("import signoff",), "`import signoff`; a name is loaded when it is first used"),
    "import_used": _Program(
        ("from signoff import ApprovalRejected, Signoff, require_approval",),
        "`from signoff import require_approval` with a client and an error",
    ),
    "version": _Program((_COMMAND, "version"), "`signoff version`", (Aim("cpu", 0.3),)),
    "approvals": _Program((_COMMAND, "approvals"), "`signoff approvals`, and nobody listens"),
}


class _Times:
    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def run(self, program: _Program) -> None:
        before, begun = _children(), time.monotonic()
        subprocess.run(
            [sys.executable, "-c", *program.arguments], env={**os.environ, **_NOBODY}, capture_output=True, check=False
        )
        self.wall.append(time.monotonic() - begun)
        self.cpu.append(_children() - before)

    @property
    def values(self) -> dict[str, float]:
        return {"cpu": statistics.median(self.cpu), "wall": statistics.median(self.wall)}


def measure(run: Run) -> None:
    times = run.count(11)
    bare, spent = _Times(), {name: _Times() for name in PROGRAMS}
    for _ in range(times):
        bare.run(_BARE)
        for name, program in PROGRAMS.items():
            spent[name].run(program)
    for name, program in PROGRAMS.items():
        run.report.add(_figure(name, spent[name].values, bare, f"{program.note}; {times} times", program.aims))
    run.report.add(
        _figure("server", {"wall": _server(run, times)}, bare, f"`signoff serve` until ready; {times} times")
    )


def _server(run: Run, times: int) -> float:
    """Seconds until a server on an empty database is ready."""
    with run.server() as server:
        took = [server.started_in]
        for _ in range(times - 1):
            server.restart()
            took.append(server.started_in)
    return statistics.median(took)


def _figure(name: str, values: dict[str, float], bare: _Times, note: str, aims: tuple[Aim, ...] = ()) -> Figure:
    return Figure(f"start.{name}", values, "s", limit=bare.values, limit_is=_BARE.note, aims=aims, note=note)


def _children() -> float:
    """Processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
