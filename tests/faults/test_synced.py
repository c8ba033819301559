"""Acknowledged means on disk: the log is synced before the first byte of each reply, seen from outside by strace."""

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults import strace
from tests.faults.durable import Reply, replies, unproven
from tests.faults.strace import Call
from tests.support.cluster import Cluster
from tests.support.databases import on_server
from tests.support.plain import Plain
from tests.support.postgres import Server
from tests.support.server import DEV, RunningServer

pytestmark = pytest.mark.faults
ONE_BY_ONE, AT_ONCE = 4, 32


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Call], dict[tuple[str, str], str]]:
    """The calls of a server in whose project some gates were passed, and the ids of what was recorded there."""
    if (why := strace.unavailable()) is not None:
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("synced")
    record = folder / "calls"
    with RunningServer(folder, code=strace.recording(str(record), DEV)) as server:
        events = gates(server)
        server.process.terminate()
        assert server.process.stdout is not None
        server.process.stdout.read()
    with record.open() as lines:
        return strace.read(lines), events


@pytest.fixture(scope="module")
def seen_on_postgres(
    own_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Call], dict[tuple[str, str], str]]:
    """As `seen`, with the processes of a PostgreSQL."""
    if (why := strace.unavailable()) is not None:
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("synced")
    record, postmaster = folder / "calls", own_cluster.folder / "data" / "postmaster.pid"
    with ExitStack() as stack:
        databases = stack.enter_context(on_server(Server(own_cluster.url, own_cluster)))
        database = stack.enter_context(databases.empty())
        server = stack.enter_context(RunningServer(folder, database=database))
        connection = stack.enter_context(databases.server.connect("postgres"))
        others = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity")]
        stack.enter_context(strace.attached(record, server.pid, int(postmaster.read_text().split()[0]), *others))
        events = gates(server)
    with record.open() as lines:
        return strace.read(lines), events


def gates(server: RunningServer) -> dict[tuple[str, str], str]:
    """Some gates one by one and some at once; the ids of what was recorded."""
    with httpx.Client(base_url=server.url, limits=httpx.Limits(max_connections=AT_ONCE)) as client:
        for _ in range(ONE_BY_ONE):
            gate(server, client)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(lambda _: gate(server, client), range(AT_ONCE)))
        events = client.get("/v1/events", params={"limit": 200}, headers=server.reviewer()).json()["data"]
    return {(event["subject"], event["type"]): event["id"] for event in events}


def gate(server: RunningServer, client: httpx.Client) -> None:
    """Asked, approved, redeemed and reported."""

    def post(headers: dict[str, str], path: str, body: dict[str, Any]) -> Any:
        reply = client.post(f"/v1/approvals{path}", json=body, headers=headers)
        assert reply.is_success, reply.text
        return reply.json()

    asked = post(server.app(), "", {"name": "payments.wire", "context": {"to": "x" * 2_000}})
    post(server.reviewer(), f"/{asked['id']}/decision", {"decision": "approved"})
    post(server.app(), f"/{asked['id']}/redeem", {"binding": asked["binding"], "redeemer": "r"})
    post(server.app(), f"/{asked['id']}/outcome", {"fence": 1, "outcome": "succeeded"})


def told(seen: tuple[list[Call], dict[tuple[str, str], str]]) -> list[tuple[Reply, str]]:
    """Every reply that acknowledges something, with the id of the event that was recorded for it."""
    calls, events = seen
    found = ((reply, tells(reply.body)) for reply in replies(calls))
    return [(reply, events[(subject, kind)]) for reply, (subject, kind) in found if subject]


def tells(body: dict[str, Any]) -> tuple[str, str]:
    approval = body.get("approval", body)
    if "fence" in body:
        kind = "approval.redeemed"
    elif approval.get("status") == "pending":
        kind = "approval.requested"
    elif approval.get("redemption") is None:
        kind = "approval.approved"
    else:
        kind = "approval.outcome_reported"
    return approval.get("id", ""), kind


def test_the_log_is_synced_before_the_first_byte_of_each_reply(seen: Any) -> None:
    acknowledged = told(seen)
    assert len(acknowledged) == 4 * (ONE_BY_ONE + AT_ONCE)
    assert len({event for _, event in acknowledged}) == len(acknowledged)
    assert unproven(seen[0], acknowledged) == []


def test_the_log_of_postgres_is_synced_before_the_first_byte_of_each_reply(seen_on_postgres: Any) -> None:
    acknowledged, calls = told(seen_on_postgres), seen_on_postgres[0]
    assert len(acknowledged) == 4 * (ONE_BY_ONE + AT_ONCE)
    assert unproven(calls, acknowledged, postgres=True) == []
    unsynced = [call for call in calls if call.name != "fdatasync"]
    assert len(unproven(unsynced, acknowledged, postgres=True)) == len(acknowledged)


def test_commits_are_gathered(seen: Any) -> None:
    """What was proven holds for commits of one command and of many."""
    syncs = [call for call in seen[0] if call.name == "fdatasync" and call.file.endswith("-wal")]
    assert 4 * ONE_BY_ONE < len(syncs) < 4 * (ONE_BY_ONE + AT_ONCE)


def test_without_a_sync_nothing_would_be_proven(seen: Any) -> None:
    acknowledged = told(seen)
    unsynced = [call for call in seen[0] if call.name != "fdatasync"]
    failed = [replace(call, result=-1) if call.name == "fdatasync" else call for call in seen[0]]
    for calls in (unsynced, failed):
        assert len(unproven(calls, acknowledged)) == len(acknowledged)


def test_what_a_dead_server_left_unsynced_is_synced_before_it_is_answered_for(tmp_path: Path) -> None:
    """A commit whose sync failed can be read by the next server, and the system may hold it for written."""
    if (why := strace.unavailable()) is not None:
        pytest.skip(why)
    path, asked = "/v1/approvals", {"name": "payments.wire"}
    with RunningServer(tmp_path) as server, closing(Plain(server.url)) as client:
        with strace.failing(server.pid, "fdatasync:error=EIO", only=[f"{server.database}-wal"]):
            refused = client.call("POST", path, server.app_key, asked, **{"Idempotency-Key": "k"})
        assert refused.status == 503
        server.kill()
    record = tmp_path / "calls"
    with RunningServer(tmp_path, code=strace.recording(str(record), DEV)) as server:
        with closing(Plain(server.url)) as client:
            again = client.call("POST", path, server.app_key, asked, **{"Idempotency-Key": "k"})
            events = client.call("GET", f"{path}/{again.body['id']}/events", server.app_key).body["data"]
        server.process.terminate()
        assert server.process.stdout is not None
        server.process.stdout.read()
    assert again.status == 200
    with record.open() as lines:
        calls = strace.read(lines)
    (sent,) = [reply.sent for reply in replies(calls) if reply.body.get("id") == again.body["id"]]
    assert copied(calls, events[0]["id"]) < sent.begun


def copied(calls: list[Call], event: str) -> float:
    """When an event had come from the log into the file, and the file was synced."""
    of_file = [call for call in calls if call.file.endswith(".db")]
    wrote = [call.ended or math.inf for call in of_file if event.encode() in call.data]
    synced = [call.ended for call in of_file if call.name == "fdatasync" and call.result == 0]
    return min((end for end in synced if end is not None and wrote and end > max(wrote)), default=math.inf)
