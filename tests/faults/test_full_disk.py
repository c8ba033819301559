"""A full disk: nothing is acknowledged that is not kept, reading goes on, and with room again so does everything."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.verify import check_copy
from tests.faults.disk import Ballast, small_disk, unavailable
from tests.faults.gates import Gates, Seen, unkept
from tests.support.databases import Sqlite
from tests.support.plain import Plain
from tests.support.server import RunningServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
WRITERS, TIMES = 4, 5


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    if (why := unavailable()) is not None:
        pytest.skip(why)
    with small_disk(tmp_path / "disk", 24) as mounted:
        yield mounted


@pytest.fixture
def server(disk: Path) -> Iterator[RunningServer]:
    with RunningServer(disk) as running:
        yield running


def judge(server: RunningServer, seen: Seen, sqlite: Sqlite) -> None:
    """What was acknowledged is there, before and after the server ends, and what is derived follows from it."""
    assert seen.wrong == []
    assert unkept(server, seen) == []
    assert server.terminate() == 0
    assert check_copy(sqlite, server.database) == []


def test_it_refuses_and_goes_on_by_itself(server: RunningServer, disk: Path, sqlite: Sqlite) -> None:
    seen, ballast = Seen(), Ballast(disk)
    with closing(Gates(server, "one", seen, patience=1)) as gates, closing(Plain(server.url)) as reader:
        assert gates.go_through()
        for turn in range(1, 4):
            ballast.load()
            # What room the log still has is used up first.
            while gates.go_through(size=20_000):
                pass
            assert seen.refused["storage_full"] == turn
            for path, key in (("/v1/approvals", server.reviewer_key), ("/v1/events?limit=200", server.reviewer_key)):
                assert reader.call("GET", path, key).status == 200
            assert reader.call("GET", "/readyz", "").status == 200
            ballast.drop()
            assert gates.go_through(size=20_000)
    assert set(seen.refused) == {"storage_full"}
    judge(server, seen, sqlite)


def test_writers_race_with_a_disk_that_fills_and_empties(server: RunningServer, disk: Path, sqlite: Sqlite) -> None:
    over, seen = threading.Event(), [Seen() for _ in range(WRITERS)]

    def write(number: int) -> None:
        with closing(Gates(server, f"w{number}", seen[number], patience=10_000)) as gates:
            while not over.is_set():
                gates.go_through(size=3_000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    ballast, watched = Ballast(disk), Seen()
    try:
        for _ in range(TIMES):
            before = sum(each.refused.total() for each in seen)
            ballast.load()
            with closing(Gates(server, "full", watched, patience=1)) as gates:
                while sum(each.refused.total() for each in seen) < before + 2 * WRITERS:
                    gates.ask(20_000)
            ballast.drop()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    whole = Seen([one for each in (*seen, watched) for one in each.acknowledged])
    whole.wrong = [one for each in (*seen, watched) for one in each.wrong]
    assert all(each.refused["storage_full"] and each.acknowledged for each in seen)
    judge(server, whole, sqlite)
