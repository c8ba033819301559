"""Random SIGKILLs of server, callers and workers:

    python -m tests.crash.run --kills N [--database KIND] [--seed S] [--keep DIR]

KIND is sqlite, postgres (whose connections are cut too), pgbouncer (the same through a pooler) or cluster (a PostgreSQL
of the run's own, which is crashed too).

Prints one line of JSON. Whatever was lost, doubled or otherwise wrong is told with the seed, the files of the run are
kept, and the exit code is 1. The seed decides who is killed, when, how, and what people answer; the machine decides
the rest.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.crash import flows
from tests.crash.caller import CALLERS, STAGES
from tests.crash.foreman import Foreman, Starter
from tests.crash.journal import Journal, Journals
from tests.crash.people import Decider, Ledger, Person, Resolver
from tests.crash.processes import PATIENCE, SHORT_LEASES, WORKERS, CallerProcess, Crew, WorkerProcess
from tests.crash.verify import Verdict, check_copy, verify
from tests.support import cluster
from tests.support.bouncer import pooled
from tests.support.databases import Databases, Postgres, Sqlite, on_server
from tests.support.postgres import Server, find
from tests.support.server import RunningServer

BACKLOG: Final = 16
JOBS_PER_KILL: Final = 8
# Runs of workflows that are kept open, and how many are started for each kill.
OPEN_RUNS: Final = 8
RUNS_PER_KILL: Final = 2
_DEATH: Final = 2.0
_SNAPSHOT_EVERY: Final = 4
# What the run is on, and who is killed there.
VICTIMS: Final = {
    "sqlite": ("server", "caller", "worker"),
    "postgres": ("server", "caller", "worker", "connections"),
    "pgbouncer": ("server", "caller", "worker", "connections"),
    "cluster": ("server", "caller", "worker", "connections", "database"),
}
# Where a server may be told to die, and after how many passes at the most.
POINTS: Final = {
    "write.before_begin": 12,
    "write.after_append": 12,
    "write.before_commit": 12,
    "write.after_commit": 12,
    "reply.before_send": 12,
    "watch.before_send": 6,
    "lease.after_renew": 2,
    "agenda.after_claim": 2,
    "work.after_claim": 4,
    "work.after_renew": 2,
}


class Run:
    """One run, from an empty folder and an empty database to its verdict."""

    def __init__(
        self, folder: Path, databases: Databases, kills: int, seed: int, victims: Sequence[str] | None = None
    ) -> None:
        self.folder = folder
        self.databases = databases
        self._victims = victims or VICTIMS[databases.kind]
        self.kills = dict.fromkeys((*VICTIMS["sqlite"], *self._victims), 0)
        self._wanted = kills
        self._seed = seed
        self._chance = random.Random(seed)
        self._journals = Journals(folder)
        self._killed = Journal(self._journals.kills)
        self._over = threading.Event()
        self._broken: list[BaseException] = []
        self._jobs = 0
        self._feeding = True
        self._armed: str | None = None
        self._copies: list[str] = []
        self._clean = False

    def __call__(self) -> Verdict:
        with ExitStack() as stack:
            self._database = stack.enter_context(self.databases.ready())
            stack.callback(self._put_away)
            self.server = stack.enter_context(RunningServer(self.folder, database=self._database, code=SHORT_LEASES))
            self._deciders = self._hire()
            env = {"SIGNOFF_URL": self.server.url, "SIGNOFF_API_KEY": self.server.app_key}
            self._starter = self._hire_starter(stack)
            self._callers = [stack.enter_context(CallerProcess(name, self._journals, env)) for name in CALLERS]
            env = {"SIGNOFF_URL": self.server.url, "SIGNOFF_WORKER_KEY": self.server.worker_key}
            self._workers = [stack.enter_context(WorkerProcess(name, self._journals, env)) for name in WORKERS]
            stack.callback(self._over.set)
            people = self._people(stack)
            while sum(self.kills.values()) < self._wanted:
                self._kill_somebody()
            unfinished = self._let_them_finish()
            self._over.set()
            for person in people:
                person.join(PATIENCE)
            self._check_people()
            verdict = verify(self.server, self._journals)
            verdict.wrong += unfinished
            self._copy()
            verdict.wrong += [fault for copy in self._copies for fault in check_copy(self.databases, copy)]
            self._clean = not verdict.violations
            return verdict

    # ------------------------------------------------------------ who takes part

    def _hire(self) -> dict[str, tuple[str, str]]:
        """Two humans with keys to decide: principal and key by name."""
        hired = {}
        with httpx.Client(base_url=self.server.url, headers=self.server.reviewer()) as admin:
            for name in ("dora", "emil"):
                made = admin.post("/v1/principals", json={"name": name, "kind": "human"}).json()["id"]
                key = admin.post("/v1/keys", json={"principal": made, "scopes": ["approvals:decide"]}).json()["key"]
                hired[name] = (made, key)
        return hired

    def _hire_starter(self, stack: ExitStack) -> Starter:
        journal = Journal(self._journals.starter)
        stack.callback(journal.close)
        url, key = self.server.url, self.server.app_key
        starter = Starter(url, key, self._person(key, stack), journal, self._seed)
        starter.register()
        return starter

    def _person(self, key: str, stack: ExitStack) -> Person:
        made = Person(self.server.url, key, self._over)
        stack.callback(made.close)
        return made

    def _people(self, stack: ExitStack) -> list[threading.Thread]:
        journal = Journal(self._journals.people)
        stack.callback(journal.close)

        reviewer, app = self.server.reviewer_key, self.server.app_key
        resolver = Resolver(self._person(reviewer, stack), self._journals, journal, self._alive, self._told)
        deciders = [
            Decider(name, principal, self._person(key, stack), journal, self._seed)
            for name, (principal, key) in self._deciders.items()
        ]
        self._foreman = Foreman(
            self._person(reviewer, stack),
            self._person(app, stack),
            self._journals,
            journal,
            Crew(self._workers),
            self._seed,
        )
        works = [resolver.run, self._foreman.run, self._starter.run, *(decider.run for decider in deciders)]
        threads = [threading.Thread(target=self._watched, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        return threads

    def _watched(self, work: Callable[[threading.Event], None]) -> None:
        try:
            work(self._over)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the run is judged
            self._broken.append(error)
            self._over.set()

    def _check_people(self) -> None:
        if self._broken:
            raise self._broken[0]

    def _alive(self) -> set[int]:
        return {caller.process.pid for caller in self._callers if caller.process.poll() is None}

    def _told(self, ledger: Ledger) -> None:
        """Keep some work open, in proportion to the kills; and have them try again what they had to leave."""
        wanted = BACKLOG + min(len(ledger.finished), sum(self.kills.values()) * JOBS_PER_KILL)
        if self._feeding and wanted > self._jobs:
            self._jobs = wanted
            for caller in self._callers:
                caller.order(f"jobs {wanted}", lasting=True)
        for caller in self._callers:
            caller.order("again")
        if self._feeding:
            self._want_runs()

    def _want_runs(self) -> None:
        """In proportion to the kills, and no more at once than the machine has time for."""
        enough = OPEN_RUNS + sum(self.kills.values()) * RUNS_PER_KILL
        self._starter.wanted = max(self._starter.wanted, min(enough, len(self._foreman.runs.over) + OPEN_RUNS))

    # ------------------------------------------------------------ the killer

    def _kill_somebody(self) -> None:
        self._check_people()
        match self._chance.choice(self._victims):
            case "server":
                self._kill_server()
            case "caller":
                self._kill(self._chance.choice(self._callers), STAGES)
            case "worker":
                self._kill(self._chance.choice(self._workers), flows.STAGES)
            case "connections":
                self._cut_connections()
            case "database":
                self._crash_database()

    def _kill_server(self) -> None:
        if self._armed is None or not self._dies(self.server.process, _DEATH):
            self._dies(self.server.process, self._chance.uniform(0.0, 0.7))
        self._bury_server()

    def _bury_server(self) -> None:
        by_itself = self.server.process.poll() is not None
        self.server.kill()
        self._count("server", point=self._armed if by_itself else None)
        if self.kills["server"] % _SNAPSHOT_EVERY == 0:
            self._copy()
        self._start_server(arm=True)

    def _copy(self) -> None:
        """Of the database as a kill or a stop left it."""
        folder = self.folder / f"copy-{len(self._copies) + 1}"
        self._copies.append(self.databases.copy(self._database, folder))

    def _put_away(self) -> None:
        """What has to be looked into stays with the files of the run."""
        if not self._clean:
            for at, database in enumerate((*self._copies, self._database)):
                self.databases.keep(database, self.folder / f"rows-{at + 1}")
        for copy in self._copies:
            self.databases.drop(copy)

    def _start_server(self, *, arm: bool) -> None:
        self._armed, env = None, {}
        if arm and self._chance.random() < 0.6:
            self._armed = self._chance.choice(sorted(POINTS))
            env["SIGNOFF_FAILPOINT"] = f"{self._armed}:{self._chance.randint(1, POINTS[self._armed])}"
        self.server.start(env)

    def _kill(self, victim: CallerProcess | WorkerProcess, stages: Sequence[str]) -> None:
        victim.await_ready()
        stage = self._chance.choice((*stages, None, None))
        process = victim.process
        if stage is not None:
            victim.doom(stage)
        self._pause_until_death(process, _DEATH if stage else self._chance.uniform(0.0, 0.7))
        by_itself = process.poll() is not None
        victim.begin_anew()
        who = "caller" if isinstance(victim, CallerProcess) else "worker"
        self._count(who, name=victim.name, point=stage if by_itself else None)

    def _cut_connections(self) -> None:
        """Some of those from the server to the database, in the midst of whatever they are at."""
        assert isinstance(self.databases, Postgres)
        self._pause_until_death(self.server.process, self._chance.uniform(0.0, 0.4))
        share = self._chance.choice((0.3, 1.0))
        cut = self.databases.server.cut(self.databases.name(self._database), share)
        self._count("connections", cut=cut)

    def _crash_database(self) -> None:
        assert isinstance(self.databases, Postgres)
        self._pause_until_death(self.server.process, self._chance.uniform(0.0, 0.7))
        self.databases.server.crash()
        self._count("database")

    def _pause_until_death(self, process: subprocess.Popen[Any], seconds: float) -> None:
        """Let time pass, with an eye on the server: where it dies at a point it was told, it comes back at once."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._dies(process, min(left, 0.1)):
            if self.server.process.poll() is not None:
                self._bury_server()

    def _dies(self, process: subprocess.Popen[Any], seconds: float) -> bool:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _count(self, who: str, **facts: Any) -> None:
        self.kills[who] += 1
        self._killed.write("killed", who=who, **facts)

    # ------------------------------------------------------------ the end

    def _let_them_finish(self) -> list[str]:
        """No more kills, and no more jobs; answers what went wrong with the callers' ends."""
        if self._armed is not None:
            # A death that is still to come would go uncounted.
            self.server.kill()
            self._start_server(arm=False)
        self._feeding = False
        for caller in self._callers:
            caller.order("end", lasting=True)
        deadline = time.monotonic() + PATIENCE
        waited = [text for caller in self._callers for text in self._end_of(caller, deadline)]
        return waited + self._end_of_runs(deadline)

    def _end_of_runs(self, deadline: float) -> list[str]:
        while self._foreman.unfinished(self._starter.wanted) and not self._over.wait(0.2):
            if time.monotonic() > deadline:
                return [f"{text} after {PATIENCE:.0f} s" for text in self._foreman.unfinished(self._starter.wanted)]
        return []

    def _end_of(self, caller: CallerProcess, deadline: float) -> list[str]:
        while not self._dies(caller.process, 0.2):
            self._check_people()
            if time.monotonic() > deadline:
                caller.process.kill()
                return [f"the caller {caller.name} still waited after {PATIENCE:.0f} s"]
        code = caller.process.returncode
        return [] if code == 0 else [f"the caller {caller.name} ended with {code}: see its log"]


def summary(run: Run, seed: int, verdict: Verdict | None, seconds: float) -> dict[str, Any]:
    """The one line that a run prints."""
    told: dict[str, Any] = {"seed": seed, "database": run.databases.kind, "kills": dict(run.kills)}
    if verdict is not None:
        told |= verdict.counts | {
            "lost": len(verdict.lost),
            "doubled": len(verdict.doubled),
            "wrong": len(verdict.wrong),
        }
    return told | {"seconds": round(seconds, 1)}


def crash(
    folder: Path, databases: Databases, kills: int, seed: int, victims: Sequence[str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """A run in an empty folder: its summary, and every violation in words."""
    run, started, verdict = Run(folder, databases, kills, seed, victims), time.monotonic(), None
    try:
        verdict = run()
        violations = verdict.violations
    except Exception as error:  # noqa: BLE001 - told with the seed, as every violation is
        violations = [f"the run broke down: {error!r}"]
    return summary(run, seed, verdict, time.monotonic() - started), violations


@contextmanager
def databases_of(kind: str, folder: Path) -> Iterator[Databases]:
    match kind:
        case "sqlite":
            (folder / "databases").mkdir()
            yield Sqlite(folder / "databases")
        case "cluster":
            with closing(cluster.make()) as own, on_server(Server(own.url, own)) as made:
                yield made
        case _:
            with on_server(find(folder)) as made, ExitStack() as stack:
                yield stack.enter_context(pooled(made.server)) if kind == "pgbouncer" else made


def main() -> int:
    parser = argparse.ArgumentParser(description="Random SIGKILLs of server, callers and workers.")
    parser.add_argument("--kills", type=int, default=20, help="how many SIGKILLs")
    parser.add_argument("--database", choices=VICTIMS, default="sqlite", help="what the server keeps its ledger in")
    parser.add_argument("--seed", type=int, default=None, help="repeat the choices of a run")
    parser.add_argument("--keep", type=Path, default=None, help="an empty folder for the run's files, which stay")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    folder = options.keep or Path(tempfile.mkdtemp(prefix="signoff-crash-"))
    folder.mkdir(parents=True, exist_ok=True)
    with databases_of(options.database, folder) as databases:
        told, violations = crash(folder, databases, options.kills, seed, VICTIMS[options.database])
    print(json.dumps(told))
    for violation in violations:
        print(f"seed {seed}: {violation}", file=sys.stderr)
    if violations:
        print(f"seed {seed}: the files of the run are in {folder}", file=sys.stderr)
        return 1
    if options.keep is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
