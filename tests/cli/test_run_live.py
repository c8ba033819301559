"""Following a run as people do: on a terminal, with Ctrl-C, through a server that goes away and comes back."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import workflow_samples as told
from tests.cli.conftest import APP_KEY, FakeServer
from tests.cli.test_end_to_end import CODE, environment, read_all

COMMAND = [sys.executable, "-c", CODE, "run", "payment-processor"]
ESCAPES = re.compile(r"\x1b\[[^A-Za-z]*[A-Za-z]")


@pytest.fixture
def configured(fake: FakeServer) -> dict[str, str]:
    states = [told.execution(events=5), told.execution("completed", told.node(), told.node("submit_payment"), events=9)]
    fake.tell("POST", "/v1/executions", told.execution("running", told.node(status="running"), events=2))
    fake.tell("GET", told.PATH, *states)
    return environment(SIGNOFF_URL=fake.url, SIGNOFF_API_KEY=APP_KEY, COLUMNS="90", LINES="20")


def test_a_terminal_is_drawn_in_place(configured: dict[str, str], tmp_path: Path) -> None:
    near, far = pty.openpty()
    with subprocess.Popen(COMMAND, cwd=tmp_path, env=configured, stdout=far, stderr=far) as process:
        os.close(far)
        shown = read_all(near)
    assert process.returncode == 0
    # One row up for each that was drawn, and all below it is wiped.
    assert ESCAPES.findall(shown) == ["\x1b[2A", "\x1b[J", "\x1b[4A", "\x1b[J"]
    last = shown.rpartition("\x1b[J")[2].splitlines()
    assert [line.split()[0] for line in last] == ["payment-processor", "fetch_details", "submit_payment", told.EXE]


def test_ctrl_c_is_said_to_end_the_following_alone(
    configured: dict[str, str], fake: FakeServer, tmp_path: Path
) -> None:
    fake.tell("GET", told.PATH, told.execution(events=5))
    pipe = subprocess.PIPE
    with subprocess.Popen(COMMAND, cwd=tmp_path, env=configured, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while "awaiting_approval" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert f"{told.EXE} goes on" in said
    assert "Traceback" not in said
    assert {asked.method for asked in fake.asked[1:]} == {"GET"}
