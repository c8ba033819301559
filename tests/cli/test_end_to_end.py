"""The command line as people run it: processes, a real server, a folder with nothing configured."""

import json
import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import RunningServer

CODE = "from signoff.cli import main; main()"
# What a list may cost is 0.3 s; the rest is room for machines that are slow or busy.
CPU_SECONDS = 0.6


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("cli")) as running:
        yield running


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")}
    return kept | {"COLUMNS": "160", "PYTHONUNBUFFERED": "1"} | changes


def signoff(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, *arguments]
    env = environment(**changes)
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def done(folder: Path, *arguments: str) -> Any:
    result = signoff(folder, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def ask(server: RunningServer, name: str = "payments.wire_transfer", **body: Any) -> dict[str, Any]:
    body = {"context": {"amount": "50000.00", "note": "a\u202eb\x1b[2J"}} | body
    reply = httpx.post(f"{server.url}/v1/approvals", json={"name": name, **body}, headers=server.app())
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


def test_an_approval_is_listed_shown_and_approved_once(server: RunningServer) -> None:
    approval = ask(server)
    listed = signoff(server.folder, "approvals", "--name", "payments.*")
    assert approval["id"] in listed.stdout
    assert 'amount=50000.00 note="a\\u202eb\\u001b[2J"'.replace('"', "") in listed.stdout
    shown = signoff(server.folder, "show", approval["id"])
    assert "note: a\\u202eb\\u001b[2J" in shown.stdout
    assert approval["binding"] in shown.stdout
    approved = done(server.folder, "approve", approval["id"], "--reason", "checked")
    assert (approved["status"], approved["reason"]) == ("approved", "checked")
    assert approved["decisions"][0]["via"] == "cli"
    late = signoff(server.folder, "reject", approval["id"], "--reason", "late")
    assert late.returncode == 4
    assert f"{approval['id']} was approved by {approved['decided_by']['name']} (human, via cli) at " in late.stderr
    assert len(late.stderr.splitlines()) == 1
    assert approval["id"] not in signoff(server.folder, "approvals").stdout
    assert done(server.folder, "show", approval["id"]) == approved


def test_rejecting_and_cancelling(server: RunningServer) -> None:
    rejected, cancelled = ask(server), ask(server)
    assert done(server.folder, "reject", rejected["id"], "--reason", "no")["status"] == "rejected"
    assert done(server.folder, "cancel", cancelled["id"])["status"] == "cancelled"
    assert signoff(server.folder, "approve", cancelled["id"]).returncode == 4
    every = done(server.folder, "approvals", "--status", "all")["data"]
    assert {each["id"]: each["status"] for each in every}[cancelled["id"]] == "cancelled"


def test_resolving_an_outcome_that_is_not_unknown(server: RunningServer) -> None:
    approval = ask(server)
    refused = signoff(server.folder, "resolve", approval["id"], "--outcome", "succeeded", "--reason", "x")
    assert refused.returncode == 4
    assert "nothing_to_resolve" in refused.stderr


def test_the_requester_cannot_decide_with_the_application_s_key(server: RunningServer, tmp_path: Path) -> None:
    approval = ask(server)
    changes = {"SIGNOFF_URL": server.url, "SIGNOFF_REVIEWER_KEY": server.app_key}
    refused = signoff(tmp_path, "approve", approval["id"], **changes)
    assert refused.returncode == 1
    assert "forbidden" in refused.stderr
    named = signoff(tmp_path, "approve", approval["id"], SIGNOFF_URL=server.url, SIGNOFF_API_KEY=server.reviewer_key)
    assert named.returncode == 2


def test_events_tell_what_happened_oldest_first(server: RunningServer) -> None:
    approval = ask(server)
    done(server.folder, "approve", approval["id"])
    types = [event["type"] for event in done(server.folder, "events", approval["id"])["data"]]
    assert types == ["approval.requested", "approval.approved"]
    told = done(server.folder, "events", "--type", "approval.approved")["data"]
    assert {event["type"] for event in told} == {"approval.approved"}
    assert "approval.approved" in signoff(server.folder, "events", approval["id"]).stdout
    assert signoff(server.folder, "events", "apr_nowhere").returncode == 1


def test_a_key_is_issued_used_and_revoked(server: RunningServer, tmp_path: Path) -> None:
    bob = done(server.folder, "principals", "create", "bob", "--kind", "human")
    assert signoff(server.folder, "principals", "create", "BOB", "--kind", "human").returncode == 4
    issued = done(server.folder, "keys", "issue", "bob", "--scope", "approvals:decide", "--expires-in", "1h")
    assert issued["principal"]["id"] == bob["id"]
    as_bob = {"SIGNOFF_URL": server.url, "SIGNOFF_REVIEWER_KEY": issued["key"]}
    approval = ask(server)
    assert signoff(tmp_path, "approve", approval["id"], **as_bob).returncode == 0
    forbidden = signoff(tmp_path, "keys", **as_bob)
    assert (forbidden.returncode, forbidden.stdout) == (1, "")
    assert issued["id"] in signoff(server.folder, "keys").stdout
    both = signoff(server.folder, "keys", "issue", "bob", "--scope", "approvals:decide", "--scope", "approvals:create")
    assert both.returncode == 1
    assert done(server.folder, "keys", "revoke", issued["id"]) == {"id": issued["id"], "revoked": True}
    states = {key["id"]: key["revoked_at"] for key in done(server.folder, "keys")["data"]}
    assert states[issued["id"]] is not None


def test_watching_and_following_are_live(server: RunningServer) -> None:
    approval = ask(server)
    watch = start(server.folder, "approvals", "--watch", "--json", "--name", "files.*")
    follow = start(server.folder, "events", approval["id"], "--follow", "--json")
    try:
        # The first event has come: what follows happens while it looks.
        assert next_line(follow)["type"] == "approval.requested"
        ready = ask(server, "files.ready")
        first = next_line(watch)
        assert (first["change"], first["approval"]["id"]) in [("listed", ready["id"]), ("requested", ready["id"])]
        new = ask(server, "files.delete")
        requested = next_line(watch)
        assert (requested["change"], requested["approval"]["id"]) == ("requested", new["id"])
        done(server.folder, "approve", new["id"])
        decided = next_line(watch)
        assert (decided["change"], decided["approval"]["status"]) == ("approved", "approved")
        done(server.folder, "approve", approval["id"])
        assert next_line(follow)["type"] == "approval.approved"
    finally:
        assert [interrupt(watch), interrupt(follow)] == [0, 0]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CODE, *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True)


def next_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def interrupt(process: subprocess.Popen[str]) -> int:
    """Ctrl-C; answers the exit code."""
    process.send_signal(signal.SIGINT)
    with process:
        return process.wait(timeout=30)


def test_on_a_terminal_a_long_value_cannot_pose_as_a_line(server: RunningServer) -> None:
    approval = ask(server, context={"note": "x" * 72 + "decisions" + "y" * 60})
    near, far = pty.openpty()
    command = [sys.executable, "-c", CODE, "show", approval["id"]]
    with subprocess.Popen(command, cwd=server.folder, env=environment(COLUMNS="80"), stdout=far, stderr=far) as process:
        os.close(far)
        shown = read_all(near)
    assert process.returncode == 0
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if "decisions" in line and line.startswith("    ↳ ")]
    assert "\x1b" not in shown


def read_all(descriptor: int) -> str:
    parts = []
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        try:
            while part := stream.read(65_536):
                parts.append(part)
        except OSError:
            # This is how Linux tells that the other end of a terminal was closed.
            pass
    return b"".join(parts).decode()


def test_a_list_is_cheap(server: RunningServer, tmp_path: Path) -> None:
    for _ in range(20):
        ask(server)
    # As installed: compiled once, by the first run.
    env = environment(PYTHONPYCACHEPREFIX=str(tmp_path))
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", CODE, "approvals"]
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=server.folder, env=env, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < CPU_SECONDS, spent


def test_a_server_that_was_killed_is_unreachable_and_nothing_is_lost(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        approval = ask(server)
        server.kill()
        for arguments in (["approvals"], ["approve", approval["id"]], ["events"], ["keys"], ["cancel", approval["id"]]):
            away = signoff(tmp_path, *arguments)
            assert (away.returncode, away.stdout) == (3, "")
            assert server.url in away.stderr
            assert len(away.stderr.splitlines()) == 1
        server.start()
        assert done(tmp_path, "approve", approval["id"])["status"] == "approved"
