"""What one key may have at a time, and how fast it may create; other keys notice nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from signoff_server import limits
from signoff_server.core.refusals import Refusal
from signoff_server.settings import Settings
from signoff_server.web.quotas import Pace, Waits
from tests.support.databases import Databases
from tests.support.project import Project, running
from tests.support.world import StillWorld
from tests.web.test_approvals import code
from tests.web.test_waiting import held, socket

FEW = 3


@pytest.fixture
def brisk(databases: Databases) -> Iterator[Project]:
    """Two creations in a second."""
    with running(databases, creations_per_second=2) as (project, _):
        yield project


@pytest.fixture
def crowded(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three waits for each key."""
    monkeypatch.setattr(limits, "WAITS", FEW)
    return project


def create(project: Project, who: str = "app") -> Any:
    return project.call(who, "POST", "/v1/approvals", json={"name": "a"})


def watch_too_many(project: Project, ids: list[str]) -> int:
    """The code that the socket is closed with."""
    with socket(project) as watch:
        watch.send_json({"op": "watch", "ids": ids})
        with pytest.raises(WebSocketDisconnect) as closed:
            watch.receive_json()
    return closed.value.code


# ---------------------------------------------------------------- creations


def test_a_key_creates_at_its_pace(brisk: Project) -> None:
    assert [create(brisk).status_code for _ in range(2)] == [201, 201]
    refused = create(brisk)
    assert code(refused) == (429, "rate_limited")
    assert refused.headers["retry-after"] == "1"
    assert len(brisk.call("alice", "GET", "/v1/approvals").json()["data"]) == 2
    assert create(brisk, "agent").status_code == 201

    brisk.world.advance(0.5)
    assert create(brisk).status_code == 201
    assert code(create(brisk)) == (429, "rate_limited")
    # However long nothing was asked, a second's worth is all that gathers.
    brisk.world.advance(3_600)
    assert [create(brisk).status_code for _ in range(3)] == [201, 201, 429]


def test_only_creating_is_paced(brisk: Project) -> None:
    made = brisk.ask()
    for _ in range(5):
        assert brisk.call("app", "GET", f"/v1/approvals/{made['id']}").status_code == 200
        assert brisk.decide(made["id"]).status_code in (200, 409)


def test_no_pace_is_no_limit() -> None:
    pace = Pace(0, StillWorld())
    for _ in range(5_000):
        pace.check("key")


def test_the_pace_that_is_set_without_setting_it() -> None:
    rate = Settings().creations_per_second
    pace = Pace(rate, StillWorld())
    for _ in range(1_000):
        pace.check("key")
    with pytest.raises(Refusal):
        pace.check("key")


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    world = StillWorld()
    pace = Pace(2, world)
    pace.check("key")
    world.advance(-3_600)
    pace.check("key")
    world.advance(0.5)
    pace.check("key")
    with pytest.raises(Refusal):
        pace.check("key")


def test_refusals_do_not_put_off_the_next_creation() -> None:
    world = StillWorld()
    pace = Pace(1, world)
    pace.check("key")
    for _ in range(9):
        world.advance(0.1)
        with pytest.raises(Refusal):
            pace.check("key")
    world.advance(0.1)
    pace.check("key")


def test_so_many_keys_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PACED_KEYS", 2)
    pace = Pace(1, StillWorld())
    for key in ("a", "b"):
        pace.check(key)
    with pytest.raises(Refusal):
        pace.check("a")
    pace.check("c")
    pace.check("b")


# ---------------------------------------------------------------- waits


def test_waits_are_counted_over_all_sockets_and_held_requests(crowded: Project) -> None:
    ids = [crowded.ask()["id"] for _ in range(4)]
    with ThreadPoolExecutor() as pool, socket(crowded) as watch:
        watch.send_json({"op": "watch", "ids": ids[:2]})
        assert watch.receive_json()["count"] == 2
        future = held(crowded, ids[2], pool)

        refused = crowded.call("app", "GET", f"/v1/approvals/{ids[3]}?wait=1")
        assert code(refused) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert watch_too_many(crowded, ids[3:]) == 4429
        # What is there already is no new wait, and what does not wait does not count.
        watch.send_json({"op": "watch", "ids": ids[:2]})
        assert watch.receive_json()["count"] == 2
        assert crowded.call("app", "GET", f"/v1/approvals/{ids[3]}").status_code == 200
        # Another key has waits of its own.
        assert crowded.call("alice", "GET", f"/v1/approvals/{ids[3]}?wait=1").status_code == 200

        crowded.decide(ids[2])
        assert future.result(10).status_code == 200
        assert crowded.call("app", "GET", f"/v1/approvals/{ids[3]}?wait=1").status_code == 200


def test_what_is_no_longer_waited_for_makes_room(crowded: Project) -> None:
    ids = [crowded.ask()["id"] for _ in range(FEW)]
    for _ in range(2):
        with socket(crowded) as watch:
            watch.send_json({"op": "watch", "ids": ids})
            assert watch.receive_json()["count"] == FEW
            watch.send_json({"op": "unwatch", "ids": [ids[0], ids[0], "apr_" + "0" * 26]})
            watch.send_json({"op": "watch", "ids": [ids[0]]})
            assert watch.receive_json()["count"] == FEW
    crowded.decide(ids[0])
    with socket(crowded) as watch:
        watch.send_json({"op": "watch", "ids": ids})
        assert watch.receive_json()["count"] == FEW
        assert watch.receive_json()["op"] == "resolved"
        another = crowded.ask()["id"]
        watch.send_json({"op": "watch", "ids": [another]})
        assert watch.receive_json()["count"] == FEW


def test_a_socket_that_asked_for_too_much_gives_all_of_it_back(crowded: Project) -> None:
    ids = [crowded.ask()["id"] for _ in range(FEW + 1)]
    assert watch_too_many(crowded, ids) == 4429
    with socket(crowded) as watch:
        watch.send_json({"op": "watch", "ids": ids[1:]})
        assert watch.receive_json()["count"] == FEW


def test_twenty_thousand_waits_for_each_key() -> None:
    waits = Waits()
    assert waits.take("key", 20_000)
    assert not waits.take("key")
    assert waits.take("another")
    waits.give_back("key")
    assert waits.take("key")
