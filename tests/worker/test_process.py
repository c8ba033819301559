"""`signoff worker` as a process: signals, restarts of its server, lifeline, lock, and beginning anew."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.worker.work_server import WorkServer, item, problem

COMMAND = [sys.executable, "-c", "from signoff.cli import main; main()", "worker"]
SECRET = "tok-s3cret-4711"
# Blocks until the test writes into the pipe.
BLOCKS = """
import signoff
print("loaded")

@signoff.tool("a.tool")
def blocks() -> str:
    with open("gate") as gate:
        return gate.read()
"""
ANSWERS = """
import signoff

@signoff.tool("{name}", idempotent=True)
async def answers(context: signoff.ToolContext) -> str:
    return context.execution_key
"""


class Process:
    """A worker that tells JSON lines."""

    def __init__(self, folder: Path, server: WorkServer, *arguments: str, **env: str) -> None:
        self.folder = folder
        self._log = (folder / "worker.log").open("ab")
        self.popen = subprocess.Popen(
            [*COMMAND, "--json", *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "SIGNOFF_URL": server.url, "SIGNOFF_WORKER_KEY": "sgo_work", **env},
        )

    def next(self, event: str) -> dict[str, Any]:
        """The next line about such an event."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
        raise AssertionError(f"it ended: {self.log()}")

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.popen.send_signal(number)

    def ended(self) -> int:
        return self.popen.wait(timeout=60)

    def log(self) -> str:
        return (self.folder / "worker.log").read_text()

    def open_gate(self, text: str = "through") -> None:
        """Let the tool that blocks go on."""
        (self.folder / "gate").write_text(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(timeout=60)
        for stream in (self.popen.stdin, self.popen.stdout, self._log):
            if stream is not None:
                stream.close()


@pytest.fixture
def server() -> Iterator[WorkServer]:
    with WorkServer() as made:
        yield made


@pytest.fixture
def blocked(tmp_path: Path, server: WorkServer) -> Iterator[Process]:
    """A worker whose tool is running, and blocks."""
    (tmp_path / "tools.py").write_text(BLOCKS)
    os.mkfifo(tmp_path / "gate")
    with Process(tmp_path, server, "--name", "dev", "--concurrency", "2") as process:
        process.next("ready")
        server.offer(item())
        server.until(lambda: len(server.sent("lease")) == 2)
        yield process


def test_it_leases_runs_and_reports(tmp_path: Path, server: WorkServer) -> None:
    (tmp_path / "tools.py").write_text(ANSWERS.format(name="payments.submit"))
    with Process(tmp_path, server) as process:
        ready = process.next("ready")
        assert (ready["url"], ready["tools"]) == (server.url, ["payments.submit"])
        server.offer(item(1, "payments.submit"), item(2, "payments.submit"))
        settled = [process.next("settled"), process.next("settled")]
        assert {each["execution"] for each in settled} == {"exe_1", "exe_2"}
        assert {each["outcome"] for each in settled} == {"completed"}
        assert all(each["milliseconds"] >= 0 for each in settled)
        process.signal()
        assert process.ended() == 0
    outputs = [body["output"] for body in server.sent("complete")]
    assert sorted(outputs) == ["exe_1/submit/1", "exe_2/submit/1"]
    first = server.sent("lease")[0]
    assert first["tools"] == [{"name": "payments.submit", "idempotent": True}]
    assert (first["max"], first["wait"], "worker" in first) == (10, 25, False)
    assert server.keys == {"Bearer sgo_work"}


def test_a_signal_lets_what_runs_end(blocked: Process, server: WorkServer) -> None:
    blocked.signal()
    assert blocked.next("ending")["running"] == 1
    blocked.open_gate()
    assert blocked.next("settled")["outcome"] == "completed"
    assert blocked.ended() == 0
    assert server.sent("complete") == [{"fence": 7, "output": "through"}]
    assert {body["worker"] for body in server.sent("lease")} == {"dev"}
    assert blocked.log().startswith("loaded"), "what tools print is kept out of the JSON"


def test_ctrl_c_is_such_a_signal_and_a_second_one_ends_at_once(blocked: Process, server: WorkServer) -> None:
    blocked.signal(signal.SIGINT)
    blocked.next("ending")
    blocked.signal(signal.SIGTERM)
    assert blocked.ended() == 128 + signal.SIGTERM
    assert not server.sent("fail")


def test_after_the_grace_it_is_unknown(tmp_path: Path, server: WorkServer) -> None:
    (tmp_path / "tools.py").write_text(BLOCKS)
    os.mkfifo(tmp_path / "gate")
    with Process(tmp_path, server, "--grace", "0") as process:
        server.offer(item())
        server.until(lambda: len(server.sent("lease")) == 2)
        process.signal()
        assert process.ended() == 0
    (report,) = server.sent("fail")
    assert (report["outcome"], report["fence"]) == ("unknown", 7)


def test_a_restart_of_the_server_is_no_error(blocked: Process, server: WorkServer) -> None:
    server.stop()
    blocked.open_gate()
    server.begin()
    assert blocked.next("settled")["outcome"] == "completed"
    server.offer(item(2))
    blocked.open_gate("again")
    assert blocked.next("settled")["execution"] == "exe_2"
    assert [body["output"] for body in server.sent("complete")] == ["through", "again"]


def test_a_report_is_repeated_until_it_is_answered(blocked: Process, server: WorkServer) -> None:
    portal = (200, {"welcome": "to this hotel"})
    server.answers["complete"] = [None, problem(500, "internal"), portal, problem(503, "unavailable")]
    blocked.open_gate()
    assert blocked.next("settled")["outcome"] == "completed"
    assert server.sent("complete") == [{"fence": 7, "output": "through"}] * 5


def test_an_ask_is_repeated_as_the_same_request(tmp_path: Path, server: WorkServer) -> None:
    (tmp_path / "tools.py").write_text(ANSWERS.format(name="a.tool"))
    server.answers["lease"] = [None, problem(503, "unavailable"), problem(500, "internal")]
    server.offer(item())
    with Process(tmp_path, server) as process:
        process.next("settled")
    requests = [body["request"] for body in server.sent("lease")]
    assert len(set(requests[:4])) == 1
    assert len(requests) < 5 or requests[4] != requests[0]


def test_an_old_fence_is_told_and_dropped(blocked: Process, server: WorkServer) -> None:
    server.answers["complete"] = [problem(409, "stale_fence")]
    blocked.open_gate()
    assert "stale_fence" in blocked.next("warning")["message"]
    server.offer(item(2))
    blocked.open_gate()
    assert blocked.next("settled")["execution"] == "exe_2"
    assert len(server.sent("complete")) == 2


def test_a_result_that_is_refused_is_unknown(blocked: Process, server: WorkServer) -> None:
    server.answers["complete"] = [problem(413, "too_large")]
    blocked.open_gate()
    assert blocked.next("settled")["outcome"] == "unknown"
    assert server.sent("fail")[0]["outcome"] == "unknown"


def test_a_key_that_is_not_taken_ends_it(tmp_path: Path, server: WorkServer) -> None:
    (tmp_path / "tools.py").write_text(ANSWERS.format(name="a.tool"))
    server.answers["lease"] = [problem(401, "unauthenticated")] * 2
    with Process(tmp_path, server) as process:
        assert process.ended() == 1
        assert "unauthenticated" in process.log()
        assert "sgo_work" not in process.log()


def test_secrets_are_kept_out_of_log_and_reports(tmp_path: Path, server: WorkServer) -> None:
    (tmp_path / "tools.yaml").write_text(
        "b.tool: {kind: http, method: POST, url: 'https://x/', headers: {A: 'Bearer ${env:BANK_TOKEN}'}}"
    )
    (tmp_path / "tools.py").write_text(
        "import logging, os, signoff\n"
        "@signoff.tool('a.tool')\n"
        "def tells(how: str) -> dict[str, str]:\n"
        "    logging.getLogger('bank').error('using %s', os.environ['BANK_TOKEN'])\n"
        "    if how == 'raise':\n"
        "        raise ValueError('no ' + os.environ['BANK_TOKEN'])\n"
        "    return {'token': os.environ['BANK_TOKEN'], 'key': os.environ['SIGNOFF_WORKER_KEY']}\n"
    )
    server.offer(item(1, input={"how": "raise"}), item(2, input={"how": "return"}))
    with Process(tmp_path, server, BANK_TOKEN=SECRET) as process:
        assert process.next("ready")["tools"] == ["a.tool", "b.tool"]
        assert process.next("log")["message"].endswith("using [redacted]")
        process.next("settled")
        server.until(lambda: server.sent("complete") and server.sent("fail"))
        process.signal()
        assert process.ended() == 0
        assert SECRET not in process.log()
    assert server.sent("fail")[0]["message"] == "ValueError: no [redacted]"
    assert server.sent("complete")[0]["output"] == {"token": "[redacted]", "key": "[redacted]"}


# ---------------------------------------------------------------- lifeline, lock, reload


def test_it_ends_with_its_lifeline(tmp_path: Path, server: WorkServer) -> None:
    (tmp_path / "tools.py").write_text(BLOCKS)
    os.mkfifo(tmp_path / "gate")
    server.offer(item())
    with Process(tmp_path, server, "--lifeline", "0") as process:
        process.next("ready")
        server.until(lambda: len(server.sent("lease")) == 2)
        assert process.popen.stdin is not None
        process.popen.stdin.close()
        assert process.ended() == 0


def test_the_lock_is_held_while_it_lives(tmp_path: Path, server: WorkServer) -> None:
    (tmp_path / "tools.py").write_text(ANSWERS.format(name="a.tool"))
    with Process(tmp_path, server, "--lock", "worker.lock") as first:
        first.next("ready")
        with Process(tmp_path, server, "--lock", "worker.lock") as second:
            assert second.ended() == 3
            assert "Another worker holds worker.lock" in second.log()
        first.popen.kill()
        first.ended()
        with Process(tmp_path, server, "--lock", "worker.lock") as third:
            third.next("ready")


def test_it_waits_for_its_tools_and_begins_anew_when_they_change(tmp_path: Path, server: WorkServer) -> None:
    arguments = ("--reload", "--name", "dev", "--lifeline", "0", "--lock", "worker.lock")
    tools = tmp_path / "tools.py"
    with Process(tmp_path, server, *arguments) as process:
        assert "There is no tools.py" in process.next("waiting")["message"]
        tools.write_text("def broken(:\n")
        assert "SyntaxError" in process.next("waiting")["message"]
        tools.write_text(ANSWERS.format(name="one.tool"))
        assert process.next("ready")["tools"] == ["one.tool"]
        tools.write_text(ANSWERS.format(name="another.tool"))
        assert process.next("ready")["tools"] == ["another.tool"]
        with Process(tmp_path, server, "--lock", "worker.lock") as second:
            assert second.ended() == 3
        server.offer(item(1, "another.tool"))
        process.next("settled")
        assert process.popen.stdin is not None
        process.popen.stdin.close()
        assert process.ended() == 0


def test_it_begins_anew_between_items(tmp_path: Path, server: WorkServer) -> None:
    (tmp_path / "tools.py").write_text(BLOCKS)
    os.mkfifo(tmp_path / "gate")
    with Process(tmp_path, server, "--reload", "--grace", "0") as process:
        process.next("ready")
        server.offer(item())
        server.until(lambda: len(server.sent("lease")) == 2)
        (tmp_path / "tools.py").write_text(BLOCKS + "\n# changed\n")
        process.next("ending")
        process.open_gate()
        assert process.next("settled")["outcome"] == "completed"
        process.next("ready")
        assert not server.sent("fail")


# ---------------------------------------------------------------- wrongly started


@pytest.mark.parametrize(
    ("files", "arguments", "code", "told"),
    [
        ({}, [], 2, "There is no tools.py and no tools.yaml here"),
        ({"tools.py": ANSWERS.format(name="a.b")}, ["--name", "a b"], 2, "a name is 1–128"),
        ({"tools.py": ANSWERS.format(name="a.b")}, ["--lifeline", "77"], 2, "--lifeline 77 is no open descriptor"),
        ({"tools.py": ANSWERS.format(name="a.b")}, ["--lock", "no/such/lock"], 2, "cannot be opened"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, server: WorkServer, files: dict[str, str], arguments: list[str], code: int, told: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with Process(tmp_path, server, *arguments) as process:
        assert process.ended() == code
        assert told in process.log()
        assert "Traceback" not in process.log()


def test_nothing_configured_says_what_to_set(tmp_path: Path, server: WorkServer) -> None:
    with Process(tmp_path, server, SIGNOFF_WORKER_KEY="", SIGNOFF_URL="") as process:
        assert process.ended() == 2
        assert "SIGNOFF_WORKER_KEY" in process.log()


def test_without_json_the_lines_are_for_people(tmp_path: Path, server: WorkServer) -> None:
    (tmp_path / "tools.py").write_text(ANSWERS.format(name="a.tool"))
    server.offer(item(input={}))
    env = {**os.environ, "SIGNOFF_URL": server.url, "SIGNOFF_WORKER_KEY": "sgo_work"}
    with subprocess.Popen(COMMAND, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as popen:
        assert popen.stderr is not None
        lines = iter(popen.stderr.readline, "")
        settled = next(line for line in lines if "attempt" in line)
        popen.terminate()
        assert popen.wait(timeout=60) == 0
    assert "INFO a.tool exe_1 attempt 1: completed, " in settled
