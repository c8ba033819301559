"""What a server does while nothing happens: processor time and SQL, beside a server with nothing in it."""

import secrets
import time
from pathlib import Path
from typing import Final, NamedTuple

from bench.counting import SERVE_COUNTED, Counts, place, read
from bench.machine import cpu_seconds, usage
from bench.report import Aim, Figure, used_by
from bench.run import Run
from bench.server import Server

_QUIET: Final = 0.02


class Counted(NamedTuple):
    """A server that counts the SQL that it runs, and the file with its counts."""

    server: Server
    file: Path


def counted(run: Run) -> Counted:
    """On an empty database."""
    file = run.folder / f"{secrets.token_hex(4)}.counts"
    return Counted(run.server(code=SERVE_COUNTED, env=place(file)), file)


def counted_on(run: Run, database: str, like: Server) -> Counted:
    """On a database that was copied from that of another, with its keys."""
    file = run.folder / f"{secrets.token_hex(4)}.counts"
    return Counted(run.serve(database, like, code=SERVE_COUNTED, env=place(file)), file)


def at_rest(name: str, full: Counted, idle: Counted, seconds: int, note: str, **others: int) -> Figure:
    """A server that is full of what waits, and one that is empty, in the same seconds; `others` are processes."""
    before, idle_before = read(full.file), read(idle.file)
    with usage(server=full.server.pid, idle_server=idle.server.pid, **others) as used:
        time.sleep(seconds)
    ran, idle_ran = _since(full.file, before), _since(idle.file, idle_before)
    share = {who: cpu / used.seconds * 100 for who, cpu in used.cpu.items()}

    def rates(counts: Counts) -> dict[str, float]:
        return {f"{what}_per_second": count / used.seconds for what, count in counts._asdict().items()}

    return Figure(
        name,
        {"server": share["server"], **{who: share[who] for who in others}, **rates(ran)},
        "% of a core",
        limit={"server": share["idle_server"], **rates(idle_ran)},
        limit_is="a server with nobody waiting and nothing pending",
        aims=(
            Aim("server", 0.5),
            Aim("statements_per_second", 1.2, ratio=True),
            Aim("steps_per_second", 1.2, ratio=True),
        ),
        note=f"{note}, over {used.seconds:.0f} s; SQL statements and steps of the database's machine are counted in "
        "both servers, reads and transactions alike",
        **used_by(used),
    )


def _since(file: Path, before: Counts) -> Counts:
    return read(file).since(before)


def until_quiet(*pids: int) -> None:
    """Until the processes do next to nothing: reading what stands and taking it in goes on after the waits are held."""
    before, spent = sum(map(cpu_seconds, pids)), 1.0
    while spent > _QUIET:
        time.sleep(0.5)
        now = sum(map(cpu_seconds, pids))
        before, spent = now, now - before
