"""Two workers and a zombie: whoever is stopped or killed in the midst of its tools, nothing happens twice by itself."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.crash.client import DEV, Client
from tests.support.server import RunningServer

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]  # a busy machine takes its time to start processes

FLOWS: Final = {
    "ungated": "notes.write",
    "idempotent": "payments.credit",
    "once": "payments.submit",
}
FLOW: Final = """
workflow: {{id: {id}, version: 1.0.0, start: act}}
nodes:
  act: {{type: tool, tool_ref: {tool}, input: {{run: {id}}}, next: end}}
policy:
  require_approval_for: ["payments.*"]
"""
# Each tells what it is at; one of a worker that HOLDs goes on when it is let.
TOOLS: Final = """
import os
from pathlib import Path
import signoff

HERE = Path(__file__).parent

def act(input: dict, context: signoff.ToolContext):
    tell("began", context)
    if os.environ.get("HOLD"):
        os.read(os.open(HERE / "go", os.O_RDONLY), 1)
    tell("effect", context)
    return {"key": context.execution_key}

def tell(what, context):
    with open(HERE / "told", "w") as told:
        told.write(f"{what} {context.execution_key} {context.attempt}\\n")

for name, idempotent in (("notes.write", False), ("payments.credit", True), ("payments.submit", False)):
    signoff.tool(name, idempotent=idempotent)(act)
"""
# Long enough for a heartbeat of a living worker on a busy machine.
_BRIEF: Final = "from signoff_server.core import executions\nexecutions.LEASE = 6_000\n"
# What ends within a test in spite of it was ended, and not waited for.
_LONG: Final = "from signoff_server.core import executions\nexecutions.LEASE = 600_000\n"
_WORKER: Final = (
    "from signoff.worker import attempt\nattempt.HEARTBEAT_EVERY = 0.5\nfrom signoff.cli import main\nmain()\n"
)


class Far:
    """The far side of the tools: what it was told, and the word that lets them go on."""

    def __init__(self, folder: Path) -> None:
        (folder / "tools.py").write_text(TOOLS)
        for name in ("told", "go"):
            os.mkfifo(folder / name)
        # Open at both ends: neither side waits for the other to come, or sees it leave.
        self._told = os.fdopen(os.open(folder / "told", os.O_RDWR), "rb", buffering=0)
        self._go = folder / "go"
        self.effects: Counter[str] = Counter()

    def hear(self, what: str, count: int) -> list[str]:
        """The execution keys of the next so many lines that say `what`."""
        keys: list[str] = []
        while len(keys) < count:
            said, key, _attempt = self._told.readline().decode().split()
            if said == "effect":
                self.effects[key] += 1
            if said == what:
                keys.append(key)
        return sorted(keys)

    @contextmanager
    def let_go(self, count: int) -> Iterator[None]:
        gate = os.open(self._go, os.O_RDWR)
        os.write(gate, b"." * count)
        yield
        os.close(gate)

    def close(self) -> None:
        self._told.close()


class Worker:
    """A `signoff worker` in a process of its own."""

    def __init__(self, server: RunningServer, folder: Path, name: str, *, holds: bool = False) -> None:
        env = {"SIGNOFF_URL": server.url, "SIGNOFF_WORKER_KEY": server.worker_key} | ({"HOLD": "1"} if holds else {})
        # One that holds what each flow gives it asks for no more: an ask that a stopped process has left open would be
        # handed what others are to take over.
        full = ["--concurrency", str(len(FLOWS))] if holds else []
        self.process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, "worker", "--json", "--name", name, *full],
            cwd=folder,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hear("ready")

    def hear(self, event: str, containing: str = "") -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event and containing in said.get("message", ""):
                return said
        raise AssertionError(f"it ended before it said {event} {containing}")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    made = Far(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("workers"), code=_BRIEF + DEV) as running:
        yield running


@pytest.fixture
def client(server: RunningServer, http: httpx.Client) -> Client:
    return Client(server, http)


def begin(client: Client, test: str) -> dict[str, str]:
    """A run of each flow, approved where that is asked for: their ids."""
    runs = {}
    for flow, tool in FLOWS.items():
        client.register(FLOW.format(id=flow, tool=tool))
        runs[flow] = client.begin(flow, f"{test}:{flow}").json()["id"]
        if flow != "ungated":
            assert client.approve(runs[flow], "act").status_code == 200
    return runs


def node(client: Client, run: str) -> tuple[str, int]:
    (found,) = client.run(run)["nodes"]
    return found["status"], found["attempt"]


def test_a_zombie_is_refused_and_the_far_side_has_seen_one_key(
    client: Client, server: RunningServer, far: Far, tmp_path: Path
) -> None:
    with Worker(server, tmp_path, "first", holds=True) as first, ExitStack() as stack:
        runs = begin(client, "zombie")
        keys = sorted(f"{run}/act/1" for run in runs.values())
        assert far.hear("began", 3) == keys
        first.process.send_signal(signal.SIGSTOP)
        stack.enter_context(Worker(server, tmp_path, "second"))

        taken_over = far.hear("effect", 2)
        for flow in ("ungated", "idempotent"):
            assert client.run(runs[flow], "completed")["status"] == "completed"
            assert node(client, runs[flow]) == ("completed", 2)
        assert client.run(runs["once"], "outcome_unknown")["status"] == "parked"
        assert taken_over == sorted(f"{runs[flow]}/act/1" for flow in ("ungated", "idempotent"))
        word = client.say(runs["once"], "nodes/act/resolve", outcome="succeeded", reason="it is there")
        assert word.json()["status"] == "completed"
        before = {run: client.history(run) for run in runs.values()}

        stack.enter_context(far.let_go(3))
        first.process.send_signal(signal.SIGCONT)

        for _ in runs:
            first.hear("warning", "(stale_fence)")
        assert far.hear("effect", 3) == keys
        # Each of them under one key; what is not idempotent, once.
        assert far.effects == {f"{runs[flow]}/act/1": 1 if flow == "once" else 2 for flow in runs}
        assert {run: client.history(run) for run in runs.values()} == before


def test_a_worker_killed_in_the_midst_leaves_to_others_what_may_be_done_again(
    client: Client, server: RunningServer, far: Far, tmp_path: Path
) -> None:
    with Worker(server, tmp_path, "first", holds=True) as first, ExitStack() as stack:
        runs = begin(client, "killed")
        far.hear("began", 3)
        first.process.kill()
        stack.enter_context(Worker(server, tmp_path, "second"))

        for flow in ("ungated", "idempotent"):
            assert client.run(runs[flow], "completed")["status"] == "completed"
            assert node(client, runs[flow]) == ("completed", 2)
        once = runs["once"]
        assert client.run(once, "outcome_unknown")["status"] == "parked"
        assert far.hear("effect", 2) == sorted(f"{runs[flow]}/act/1" for flow in ("ungated", "idempotent"))
        assert client.say(once, "nodes/act/resolve", outcome="retry", reason="not there").status_code == 200

        assert client.run(once, "completed")["status"] == "completed"
        assert node(client, once) == ("completed", 2)
        assert far.hear("effect", 1) == [f"{once}/act/1"]
        assert far.effects == {f"{run}/act/1": 1 for run in runs.values()}


def test_a_dead_dev_server_takes_its_worker_along_and_its_leases_end_when_it_is_back(
    far: Far, tmp_path: Path, http: httpx.Client
) -> None:
    with RunningServer(tmp_path, code=_LONG + DEV, env={"HOLD": "1"}, worker=True) as server:
        client = Client(server, http)
        runs = begin(client, "dev")
        keys = far.hear("began", 3)
        server.kill()
        # The lock is free when the worker is dead, and not before.
        with (tmp_path / ".signoff" / "worker.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

        server.start()

        again = far.hear("began", 2)
        assert again == sorted(f"{runs[flow]}/act/1" for flow in ("ungated", "idempotent"))
        assert set(again) < set(keys)
        assert client.run(runs["once"], "outcome_unknown")["status"] == "parked"
        with far.let_go(2):
            for flow in ("ungated", "idempotent"):
                assert client.run(runs[flow], "completed")["status"] == "completed"
                assert node(client, runs[flow]) == ("completed", 2)
            assert far.hear("effect", 2) == again
