"""A full disk: nothing is acknowledged that is not kept, reading goes on, and with room again so does everything."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.crash.verify import check_copy
from tests.faults.disk import Ballast, small_disk, unavailable
from tests.faults.gates import Gates, Seen, unkept
from tests.support import cluster
from tests.support.databases import KINDS, Databases, on_server
from tests.support.plain import Plain
from tests.support.postgres import Server
from tests.support.server import RunningServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
WRITERS, TIMES = 4, 4


@dataclass(frozen=True, slots=True)
class Stand:
    """A server whose database is on a small disk."""

    server: RunningServer
    disk: Path
    databases: Databases


@pytest.fixture(params=KINDS)
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    if (why := unavailable()) is not None:
        pytest.skip(why)
    if request.param == "sqlite":
        with small_disk(24) as disk, RunningServer(disk) as server:
            yield Stand(server, disk, request.getfixturevalue("sqlite"))
        return
    if cluster.programs() is None:
        missing("PostgreSQL's programs (initdb, pg_ctl, postgres) are not installed")
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(128))
        own = stack.enter_context(closing(cluster.make(disk)))
        databases = stack.enter_context(on_server(Server(own.url, own)))
        server = RunningServer(tmp_path, database=stack.enter_context(databases.empty()))
        yield Stand(stack.enter_context(server), disk, databases)


def test_nothing_is_acknowledged_that_is_not_kept_and_everything_goes_on_by_itself(stand: Stand) -> None:
    told = [one_by_one(stand), *race(stand)]
    assert all(each.refused["storage_full"] and each.acknowledged for each in told)
    seen = Seen([one for each in told for one in each.acknowledged])
    assert [one for each in told for one in each.wrong] == []
    assert unkept(stand.server, seen) == []
    assert stand.server.terminate() == 0
    assert check_copy(stand.databases, stand.server.database) == []


def one_by_one(stand: Stand) -> Seen:
    """Full, and empty again, as one caller and one reader meet it."""
    server, seen, ballast = stand.server, Seen(), Ballast(stand.disk)
    with closing(Gates(server, "one", seen, patience=1)) as gates, closing(Plain(server.url)) as reader:
        assert gates.go_through()
        for turn in range(1, 4):
            ballast.load()
            # What room there still is in the database's own files is used up first.
            while gates.go_through(size=20_000):
                pass
            assert seen.refused == {"storage_full": turn}
            for path in ("/v1/approvals", "/v1/events?limit=200", "/readyz"):
                assert reader.call("GET", path, server.reviewer_key).status == 200
            ballast.drop()
            assert gates.go_through(size=20_000)
    return seen


def race(stand: Stand) -> list[Seen]:
    """Writers at a disk that fills and empties."""
    server, over, seen = stand.server, threading.Event(), [Seen() for _ in range(WRITERS)]

    def write(number: int) -> None:
        with closing(Gates(server, f"w{number}", seen[number], patience=10_000)) as gates:
            while not over.is_set():
                gates.go_through(size=3_000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    ballast, last = Ballast(stand.disk), Seen()
    try:
        for _ in range(TIMES):
            before = sum(each.refused.total() for each in seen)
            ballast.load()
            with closing(Gates(server, "last", last, patience=1)) as gates:
                while sum(each.refused.total() for each in seen) < before + 2 * WRITERS:
                    gates.ask(20_000)
            ballast.drop()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    seen[0].acknowledged += last.acknowledged
    seen[0].wrong += last.wrong
    return seen
