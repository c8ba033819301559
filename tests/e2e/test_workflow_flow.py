"""The two minutes of a new user, each command a process of its own, the server killed between any two of them."""

import csv
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.test_end_to_end import CODE, done, environment, signoff
from tests.support.server import RunningServer

# A busy machine takes its time for a dozen interpreters.
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """`signoff dev`, in a folder where nothing but `signoff init` was called."""
    made = signoff(tmp_path, "init")
    assert made.returncode == 0, made.stderr
    assert {"workflow.yaml", "tools.py"} <= {path.name for path in tmp_path.iterdir()}
    with RunningServer(tmp_path, worker=True) as running:
        yield running


def again(server: RunningServer) -> None:
    """SIGKILL, and `signoff dev` once more."""
    server.kill()
    server.start()


def said(server: RunningServer, *arguments: str) -> str:
    """What a command prints, which does what it was asked for."""
    result = signoff(server.folder, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def ended(server: RunningServer, run: str) -> dict[str, Any]:
    """The run once it is over."""
    seen = 0
    while True:
        path = f"{server.url}/v1/executions/{run}?wait=30&seen={seen}"
        found: dict[str, Any] = httpx.get(path, headers=server.app(), timeout=60).json()
        if found["ended_at"] is not None:
            return found
        seen = found["events"]


def payments(server: RunningServer) -> list[dict[str, str]]:
    path = server.folder / "payments.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def parked(server: RunningServer) -> str:
    """A run that was started, and waits for its approval, over two kills."""
    run = said(server, "run", "workflow.yaml", "--no-follow").strip()
    again(server)
    shown = said(server, "approvals", run)
    for what in ("submit_payment", "payments.submit", "pay_1001", "1840.00"):
        assert what in shown, shown
    again(server)
    return run


def test_a_payment_is_approved_and_made_once(server: RunningServer) -> None:
    again(server)
    run = parked(server)
    assert payments(server) == []
    approved = said(server, "approve", run, "--decision", "approved")
    assert "submit_payment" in approved

    found = ended(server, run)
    assert (found["status"], found["failure"]) == ("completed", None)
    (paid,) = payments(server)
    assert (paid["execution_key"], paid["amount"]) == (f"{run}/submit_payment/1", "1840.00")
    again(server)
    late = signoff(server.folder, "approve", run, "--decision", "approved")
    assert late.returncode == 4
    assert f"submit_payment of {run} was approved by" in late.stderr, late.stderr
    assert payments(server) == [paid]
    assert "completed" in said(server, "inspect", run)


def test_a_rejection_is_told_wherever_one_looks(server: RunningServer) -> None:
    run = parked(server)
    rejected = said(server, "approve", run, "--decision", "rejected", "--comment", "wrong payee")
    assert "rejected" in rejected
    assert "submit_payment" in rejected
    again(server)

    failure = ended(server, run)["failure"]
    assert (failure["code"], failure["node_id"], failure["comment"]) == (
        "approval_rejected",
        "submit_payment",
        "wrong payee",
    )
    for shown in (said(server, "inspect", run), said(server, "executions", "--status", "failed")):
        assert "approval_rejected" in shown, shown
        assert "submit_payment" in shown, shown
    assert "wrong payee" in said(server, "inspect", run)
    events = done(server.folder, "events", run)["data"]
    assert [event["type"] for event in events][-2:] == ["node.failed", "execution.failed"]
    assert events[-1]["facts"]["code"] == "approval_rejected"
    (listed,) = done(server.folder, "executions")["data"]
    assert listed["failure"] == failure
    assert payments(server) == []


def test_who_follows_is_told_of_a_rejection_by_the_exit_code(server: RunningServer) -> None:
    with following(server, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run = process.stdout.readline().split()[0]
        while "awaiting_approval" not in (line := process.stdout.readline()):
            assert line, process.stderr and process.stderr.read()
        said(server, "approve", run, "--decision", "rejected", "--comment", "wrong payee")
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    for what in ("approval_rejected", "submit_payment", "wrong payee"):
        assert what in told, told


def test_following_on_a_terminal_goes_on_through_a_restart(server: RunningServer) -> None:
    near, far = pty.openpty()
    with following(server, stdout=far, stderr=far) as process:
        os.close(far)
        shown = until(near, "awaiting_approval")
        again(server)
        (listed,) = done(server.folder, "executions")["data"]
        said(server, "approve", listed["id"], "--decision", "approved")
        shown += until(near, None)
    assert process.returncode == 0, shown
    assert f"{listed['id']} completed" in shown.replace("\r\n", " "), shown
    assert "Traceback" not in shown
    assert len(payments(server)) == 1


def following(server: RunningServer, **streams: Any) -> subprocess.Popen[Any]:
    command = [sys.executable, "-c", CODE, "run", "workflow.yaml"]
    return subprocess.Popen(command, cwd=server.folder, env=environment(COLUMNS="100", LINES="30"), **streams)


def until(terminal: int, wanted: str | None) -> str:
    """What is shown until this is; None is the end."""
    shown = ""
    while wanted is None or wanted not in shown:
        try:
            part = os.read(terminal, 65_536)
        except OSError:
            # This is how Linux tells that the other end of a terminal was closed.
            part = b""
        if not part:
            assert wanted is None, shown
            os.close(terminal)
            break
        shown += part.decode(errors="replace")
    return shown


def test_the_flow_leaves_no_process_and_no_key_in_sight(server: RunningServer) -> None:
    run = said(server, "run", "workflow.yaml", "--no-follow", "--json")
    text = json.dumps(done(server.folder, "inspect", json.loads(run)["id"]))
    assert server.app_key not in text + server.log()
    assert server.reviewer_key not in text + server.log()
