"""System calls on the database's files that fail in turn: nothing false is acknowledged, and nothing is lost."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.crash.verify import check_copy
from tests.faults import strace
from tests.faults.gates import Gates, Seen, unkept
from tests.support.cluster import Cluster
from tests.support.databases import Postgres, Sqlite, on_server
from tests.support.plain import Plain
from tests.support.postgres import Server
from tests.support.server import RunningServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


class Rule(NamedTuple):
    """Which calls fail on which of the database's files, in how many gates, and what their callers are told.

    `when=1+97` is the first, the 98th, and so on: a commit takes some forty writes, so that each of them is met.
    """

    calls: tuple[str, ...]
    files: tuple[str, ...]
    gates: int
    told: str | None


RULES = {
    "syncing the log": Rule(("fdatasync:error=EIO:when=1+3",), ("-wal",), 12, "unavailable"),
    "writing the log": Rule(("pwrite64:error=EIO:when=1+97",), ("-wal",), 12, "unavailable"),
    "no room for the log": Rule(("pwrite64:error=ENOSPC:when=1+97",), ("-wal",), 12, "storage_full"),
    "the log takes nothing": Rule(("pwrite64:retval=0:when=1+97",), ("-wal",), 12, "storage_full"),
    "reading": Rule(("pread64:error=EIO:when=5+7",), ("", "-wal"), 12, "unavailable"),
    # SQLite keeps it to itself when copying the log into the file fails: the log is kept and copied later.
    "syncing the file": Rule(("fdatasync:error=EIO",), ("",), 25, None),
    "writing the file": Rule(("pwrite64:error=EIO:when=1+17",), ("",), 25, None),
    "no room for the file": Rule(("pwrite64:error=ENOSPC:when=1+17",), ("",), 25, None),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    if (why := strace.unavailable()) is not None:
        pytest.skip(why)
    with RunningServer(tmp_path_factory.mktemp("failing")) as running:
        yield running


@pytest.mark.parametrize("name", RULES)
def test_calls_that_fail_in_turn(name: str, server: RunningServer, tmp_path: Path, sqlite: Sqlite) -> None:
    rule, seen = RULES[name], Seen()
    with closing(Gates(server, name.replace(" ", "-"), seen)) as gates:
        with strace.failing(server.pid, *rule.calls, only=[server.database + file for file in rule.files]) as failed:
            for _ in range(rule.gates):
                assert gates.go_through(30_000), seen
                if name == "reading":
                    gates.look()
        assert gates.go_through()
    assert failed.calls >= 2
    assert seen.wrong == []
    assert set(seen.refused) == ({rule.told} if rule.told else set())
    assert unkept(server, seen) == []
    # As if it were killed now: nobody writes.
    copy = shutil.copytree(Path(server.database).parent, tmp_path / "copy")
    assert check_copy(sqlite, str(copy / Path(server.database).name)) == []


def test_whoever_was_refused_and_asks_again_after_a_death_gets_one_approval(tmp_path: Path, sqlite: Sqlite) -> None:
    """A commit whose sync failed may come back with the log when the process dies before the next one."""
    if (why := strace.unavailable()) is not None:
        pytest.skip(why)
    with RunningServer(tmp_path) as server, closing(Plain(server.url)) as client:
        path, app, reviewer = "/v1/approvals", server.app_key, server.reviewer_key
        pending = client.call("POST", path, app, {"name": "a"}).body["id"]
        wanted = {"name": "b"}
        for body, to, key in ((wanted, path, app), ({"decision": "approved"}, f"{path}/{pending}/decision", reviewer)):
            with strace.failing(server.pid, "fdatasync:error=EIO", only=[f"{server.database}-wal"]) as failed:
                refused = client.call("POST", to, key, body, **{"Idempotency-Key": "k"})
            assert (refused.status, refused.body["code"], failed.calls > 0) == (503, "unavailable", True)
            server.kill()
            server.start()
            client.close()
            for _ in range(2):
                again = client.call("POST", to, key, body, **{"Idempotency-Key": "k"})
                assert again.status in (200, 201)
        events = client.call("GET", "/v1/events?limit=200&type=approval.*", reviewer).body["data"]
        assert sorted(event["type"] for event in events) == [
            "approval.approved",
            "approval.requested",
            "approval.requested",
        ]
        server.kill()
        assert check_copy(sqlite, server.database) == []


def test_postgres_that_cannot_sync_its_log(own_cluster: Cluster, tmp_path: Path) -> None:
    """It gives up what it was at and recovers; its callers are told to ask again, and nothing is lost or doubled."""
    if (why := strace.unavailable()) is not None:
        pytest.skip(why)
    with ExitStack() as stack:
        databases = stack.enter_context(on_server(Server(own_cluster.url, own_cluster)))
        database = stack.enter_context(databases.empty())
        # The connection by which the database is dropped dies with the others, and this opens it anew.
        stack.callback(databases.server.crash)
        server = stack.enter_context(RunningServer(tmp_path, database=database))
        seen = Seen()
        gates = stack.enter_context(closing(Gates(server, "one", seen, patience=2_000)))
        for _ in range(3):
            assert gates.go_through()
            failing = ExitStack()
            for backend in writers(databases):
                failing.enter_context(strace.failing(backend, "fdatasync:error=EIO:when=1"))
            assert gates.go_through(), seen
            failing.close()
        assert seen.wrong == []
        assert set(seen.refused) == {"unavailable"}
        assert unkept(server, seen) == []
        server.terminate()
        assert check_copy(databases, server.database) == []


def writers(databases: Postgres) -> list[int]:
    """The processes of PostgreSQL that work for a server's writers."""
    asked = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    with databases.server.connect("postgres") as connection:
        return [pid for (pid,) in connection.execute(asked)]
