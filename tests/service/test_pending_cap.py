"""How many approvals one requester may have pending: exact under load, given back when one is closed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.databases import Databases
from tests.support.project import Project, running

CAP = 5


@pytest.fixture
def project(databases: Databases) -> Iterator[Project]:
    with running(databases, pending_cap=CAP) as (one, _):
        yield one


def ask(project: Project, who: str = "app", key: str | None = None) -> Any:
    return project.call(who, "POST", "/v1/approvals", json={"name": "payments.wire"}, key=key)


def fill(project: Project) -> list[str]:
    asked = [ask(project, key=f"k{at}") for at in range(CAP)]
    assert [reply.status_code for reply in asked] == [201] * CAP
    return [reply.json()["id"] for reply in asked]


def test_one_more_is_refused_and_nothing_is_stored(project: Project) -> None:
    fill(project)
    before = project.call("auditor", "GET", "/v1/events").json()
    refused = ask(project)
    assert (refused.status_code, refused.json()["code"]) == (429, "pending_cap")
    assert int(refused.headers["Retry-After"]) > 0
    assert project.call("auditor", "GET", "/v1/events").json() == before


def test_attaching_by_a_key_is_no_creation(project: Project) -> None:
    (first, *_) = fill(project)
    attached = ask(project, key="k0")
    assert (attached.status_code, attached.json()["id"]) == (200, first)


def test_others_are_not_concerned(project: Project) -> None:
    fill(project)
    assert ask(project, "other-app").status_code == 201


def test_every_way_to_close_one_makes_room_for_one(project: Project) -> None:
    approved, rejected, cancelled, *_ = fill(project)
    for close in (
        lambda: project.decide(approved),
        lambda: project.decide(rejected, "rejected"),
        lambda: project.call("app", "POST", f"/v1/approvals/{cancelled}/cancel"),
    ):
        assert ask(project).status_code == 429
        assert close().status_code == 200
        assert ask(project).status_code == 201
    # What follows on a decision closes nothing more.
    assert project.redeem(project.get(approved)).status_code == 200
    assert ask(project).status_code == 429


def test_what_expires_makes_room(project: Project) -> None:
    brief = project.ask(expires_in=5)["id"]
    for _ in range(CAP - 1):
        ask(project)
    assert ask(project).status_code == 429
    with ThreadPoolExecutor() as pool:
        waiter = pool.submit(project.call, "app", "GET", f"/v1/approvals/{brief}?wait=30")
        project.world.advance(5)
        assert waiter.result(20).json()["status"] == "expired"
    assert ask(project).status_code == 201


def test_many_at_once_do_not_slip_through(project: Project) -> None:
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: ask(project).status_code, range(40)))
    assert sorted(statuses) == [201] * CAP + [429] * (40 - CAP)


def test_no_limit_is_a_setting(databases: Databases) -> None:
    with running(databases, pending_cap=0) as (project, _):
        assert {ask(project).status_code for _ in range(CAP + 1)} == {201}
