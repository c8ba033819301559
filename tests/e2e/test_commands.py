"""`dev`, `serve`, `setup` and `rebuild` as a user runs them."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.databases import Databases, only
from tests.support.server import RunningServer


def command(name: str, folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"from signoff_server.commands import {name}; {name}()", *arguments],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_dev_makes_a_project_and_keeps_it_over_restarts(database: str, tmp_path: Path) -> None:
    with RunningServer(tmp_path, database=database) as server:
        first = (server.url, server.project, server.app_key, server.reviewer_key)
        made = {"app": server.app_key, "reviewer": server.reviewer_key, "worker": server.worker_key}
        for name, key in ((f"{who}.json", key) for who, key in made.items()):
            path = tmp_path / ".signoff" / name
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            content = json.loads(path.read_text())
            assert (content["url"], content["project"], content["key"]) == (server.url, server.project, key)
        people = httpx.get(f"{server.url}/v1/principals", headers=server.reviewer()).json()["data"]
        assert {(one["kind"], one["role"], one["owner"]) for one in people} == {
            ("service", "member", None),
            ("human", "admin", None),
        }
        keys = httpx.get(f"{server.url}/v1/keys", headers=server.reviewer()).json()["data"]
        assert {tuple(key["scopes"]) for key in keys} == {
            ("approvals:create", "executions:write", "workflows:write"),
            ("admin", "approvals:decide", "audit:read"),
            ("work",),
        }
        assert server.terminate() == 0
        server.start()
        assert (server.url, server.project, server.app_key, server.reviewer_key) == first
        server.kill()
        server.start()
        assert (server.url, server.project, server.app_key, server.reviewer_key) == first
        events = httpx.get(f"{server.url}/v1/events", headers=server.reviewer()).json()["data"]
        assert [event["type"] for event in events] == [
            *(["principal.created", "key.issued"] * 3),
            "principal.changed",
        ]


@only("sqlite")
def test_dev_makes_new_keys_where_the_files_are_lost(dev_server: RunningServer) -> None:
    old = dev_server.app_key
    dev_server.terminate()
    (dev_server.folder / ".signoff" / "app.json").unlink()
    dev_server.start()
    assert dev_server.app_key != old
    people = httpx.get(f"{dev_server.url}/v1/principals", headers=dev_server.reviewer()).json()["data"]
    assert len(people) == 3


def test_a_second_dev_in_the_same_folder_is_refused(tmp_path: Path, free_port: int) -> None:
    with RunningServer(tmp_path) as first:
        assert Path(first.database) == Path(first.shown_database) == tmp_path / ".signoff" / "signoff.db"
        second = command("dev", tmp_path)
        assert second.returncode == 2
        assert "port" in second.stderr
        other = command("dev", tmp_path, "--port", str(free_port))
        assert other.returncode == 1
        assert f"process {first.pid}" in other.stderr
        assert httpx.get(f"{first.url}/readyz").status_code == 200


@only("sqlite")
def test_dev_signs_its_reviewer_in_by_a_fresh_link_each_time(dev_server: RunningServer) -> None:
    def enter(url: str) -> int:
        """How the first page answers whoever used the link."""
        page, _, token = url.partition("?token=")
        with httpx.Client() as browser:
            browser.post(page, data={"token": token})
            return browser.get(dev_server.url).status_code

    first = dev_server.sign_in_url
    assert enter(first) == 200
    assert enter(first) != 200
    signoff = [Path(sys.executable).with_name("signoff"), "open", "--no-browser"]
    told = subprocess.run(signoff, cwd=dev_server.folder, capture_output=True, text=True, check=True)
    assert enter(told.stdout.strip()) == 200
    dev_server.terminate()
    dev_server.start()
    assert dev_server.sign_in_url != first
    assert enter(dev_server.sign_in_url) == 200


@only("sqlite")
def test_a_restart_takes_its_port_or_refuses(dev_server: RunningServer) -> None:
    dev_server.terminate()
    port = int(dev_server.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        refused = command("dev", dev_server.folder)
    assert refused.returncode == 2
    assert f"port {port}" in refused.stderr
    dev_server.start()
    assert dev_server.url.endswith(f":{port}")


def test_setup_makes_the_first_admin_and_serve_serves_it(databases: Databases, empty: str, tmp_path: Path) -> None:
    made = command("setup", tmp_path, "--database", empty, "--name", "carol", "--json")
    assert made.returncode == 0, made.stderr
    admin = json.loads(made.stdout)
    assert admin["key"].startswith("sgo_live_")
    again = command("setup", tmp_path, "--database", empty, "--name", "Carol")
    assert again.returncode == 4
    process = serve(tmp_path, "--database", empty, "--port", "0")
    try:
        url = ready(process)["url"]
        listed = httpx.get(f"{url}/v1/principals", headers={"Authorization": f"Bearer {admin['key']}"}).json()["data"]
        assert [(one["name"], one["role"]) for one in listed] == [("carol", "admin")]
        assert httpx.get(f"{url}/readyz", headers={"Host": "rebound.example"}).status_code == 400
        busy = command("setup", tmp_path, "--database", empty, "--name", "dave", "--project", "other")
        if databases.kind == "sqlite":
            assert (busy.returncode, "another server" in busy.stderr) == (1, True)
        else:
            assert busy.returncode == 0, busy.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout is not None
        process.stdout.close()


def test_serve_reads_the_environment_and_says_what_is_wrong(tmp_path: Path) -> None:
    refused = command("serve", tmp_path, SIGNOFF_PORT="http")
    assert refused.returncode == 2
    assert "SIGNOFF_PORT" in refused.stderr
    refused = command("serve", tmp_path, "--port", "0", "--database", "mysql://h/d")
    assert refused.returncode == 1
    assert "sqlite:///PATH" in refused.stderr


def test_a_database_that_is_out_of_reach_ends_a_command_in_one_line(tmp_path: Path, free_port: int) -> None:
    url = f"postgresql://ann:correct-horse@127.0.0.1:{free_port}/signoff"
    for refused in (
        command("serve", tmp_path, "--port", "0", "--database", url),
        command("rebuild", tmp_path, SIGNOFF_DATABASE=url),
    ):
        assert refused.returncode == 1
        assert refused.stdout == ""
        (line,) = refused.stderr.splitlines()
        assert line.startswith(f"signoff: postgresql://ann:***@127.0.0.1:{free_port}/signoff cannot be opened")
        assert "correct-horse" not in line


def test_rebuild(databases: Databases, dev_server: RunningServer) -> None:
    if databases.kind == "sqlite":
        busy = command("rebuild", dev_server.folder, "--database", dev_server.database)
        assert busy.returncode == 1
    dev_server.terminate()
    done = command("rebuild", dev_server.folder, "--database", dev_server.database, "--json")
    assert json.loads(done.stdout) == [{"project": dev_server.project, "events": 7}]
    dev_server.start()
    assert httpx.get(f"{dev_server.url}/v1/approvals", headers=dev_server.reviewer()).status_code == 200


@only("sqlite")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stop_that_was_asked_for_is_no_failure(dev_server: RunningServer, name: str) -> None:
    os.kill(dev_server.pid, getattr(signal, name))
    assert dev_server.wait() == 0
    assert "Traceback" not in dev_server.log()


def serve(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    code = "from signoff_server.commands import serve; serve()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--json"], cwd=folder, stdout=subprocess.PIPE, text=True
    )


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line
