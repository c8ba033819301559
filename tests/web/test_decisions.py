"""Many decisions at once: each is what it would have been alone, and together they cost little."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.project import Project
from tests.web.test_approvals import code

PATH = "/v1/approvals/decisions"


def decide(project: Project, *decisions: dict[str, Any], who: str = "alice", key: str | None = None) -> Any:
    return project.call(who, "POST", PATH, json={"decisions": list(decisions)}, key=key)


def results(reply: Any) -> list[dict[str, Any]]:
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["results"]
    return found


def yes(approval: str, **more: Any) -> dict[str, Any]:
    return {"id": approval, "decision": "approved", **more}


def no(approval: str, **more: Any) -> dict[str, Any]:
    return {"id": approval, "decision": "rejected", "reason": "not today", **more}


def test_each_is_decided_for_itself_and_in_the_order_asked(projects: tuple[Project, Project]) -> None:
    project, other = projects
    project.keys["alice-asks"] = issue(project, "alice")
    named = project.ask(reviewers=["user:bob"])
    asked = [
        yes(project.ask()["id"], reason="fine"),
        no(project.ask()["id"]),
        yes("apr_00000000000000000000000000"),
        yes(other.ask()["id"]),
        yes(""),
        yes(project.ids["app"]),
        yes(project.approved()["id"]),
        yes(project.ask("alice-asks")["id"]),
        yes(named["id"]),
        {"id": project.ask()["id"], "decision": "rejected"},
        yes(project.ask()["id"], seen="sha256:00"),
        yes(project.ask()["id"]),
    ]
    found = results(decide(project, *asked))
    assert [each["id"] for each in found] == [each["id"] for each in asked]
    assert [each["status"] for each in found] == [200, 200, 404, 404, 404, 404, 409, 403, 403, 422, 409, 200]
    codes = [each["body"].get("code") for each in found if each["status"] != 200]
    assert codes == [
        *("not_found",) * 4,
        *("already_decided", "self_decision", "reviewer_not_eligible", "invalid", "view_stale"),
    ]
    for each in found:
        if each["status"] == 200:
            assert each["body"] == project.get(each["id"])
    assert [found[at]["body"]["reason"] for at in (0, 1)] == ["fine", "not today"]


def issue(project: Project, who: str) -> str:
    body = {"principal": project.ids[who], "scopes": ["approvals:create"]}
    key: str = project.call("admin", "POST", "/v1/keys", json=body).json()["key"]
    return key


def test_a_refusal_is_the_one_of_the_single_call(project: Project) -> None:
    decided, unexplained = project.ask()["id"], project.ask()["id"]
    project.decide(decided, "rejected", who="bob")
    for asked in (yes(decided), yes("apr_x"), yes(f"apr_{'0' * 26}"), {"id": unexplained, "decision": "rejected"}):
        (each,) = results(decide(project, asked))
        alone = project.call(
            "alice", "POST", f"/v1/approvals/{asked['id']}/decision", json={"decision": asked["decision"]}
        )
        expected = alone.json() | {"request_id": each["body"]["request_id"]}
        assert (each["status"], each["body"]) == (alone.status_code, expected)
    (late,) = results(decide(project, yes(decided)))
    assert late["body"]["current"]["decided_by"] == {"id": project.ids["bob"], "kind": "human", "name": "bob"}


def test_two_hundred_take_few_commits_and_few_readings(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    database = project.server.database
    asked = [yes(project.ask(context={"x": "y" * 10_000})["id"]) for _ in range(200)]
    commits: list[int] = []
    readings: list[str] = []
    read = database.read

    async def look(function: Any, *args: Any) -> Any:
        readings.append(function.__name__)
        return await read(function, *args)

    monkeypatch.setattr(database, "on_group", lambda size, _seconds: commits.append(size))
    monkeypatch.setattr(database, "read", look)
    found = results(decide(project, *asked))
    assert {each["status"] for each in found} == {200}
    assert sum(commits) == 200
    assert len(commits) <= 10
    # Also where nothing of it is at hand: their contexts are too large to be kept.
    assert readings.count("_missing") == 1
    again = results(decide(project, *asked, who="bob"))
    assert {each["body"]["current"]["decided_by"]["name"] for each in again} == {"alice"}
    assert readings.count("names") == 1


def test_one_key_serves_each(project: Project) -> None:
    one, two, three = (project.ask()["id"] for _ in range(3))
    first = results(decide(project, yes(one), no(two), key="k"))
    again = results(decide(project, no(two), yes(one), no(three), key="k"))
    assert again[:2] == first[::-1]
    assert again[2]["status"] == 200
    # The key is each approval's own: alone it is the same.
    alone = project.call("alice", "POST", f"/v1/approvals/{one}/decision", json={"decision": "approved"}, key="k")
    assert alone.json() == first[0]["body"]
    (other,) = results(decide(project, no(one), key="k"))
    assert (other["status"], other["body"]["code"]) == (422, "idempotency_key_reuse")
    (nobodys,) = results(decide(project, yes(one), who="bob", key="k"))
    assert nobodys["body"]["code"] == "already_decided"


def test_of_two_lists_at_once_each_approval_is_decided_once(project: Project) -> None:
    ids = [project.ask()["id"] for _ in range(60)]
    with ThreadPoolExecutor() as pool:
        mine = pool.submit(decide, project, *(yes(each) for each in ids))
        yours = pool.submit(decide, project, *(no(each) for each in reversed(ids)), who="bob")
        told = [*results(mine.result(30)), *results(yours.result(30))]
    won = {each["id"]: each["body"] for each in told if each["status"] == 200}
    lost = {each["id"]: each["body"]["current"] for each in told if each["status"] == 409}
    assert won.keys() == lost.keys() == set(ids)
    for id_, body in won.items():
        assert project.get(id_) == body
        assert (lost[id_]["status"], lost[id_]["decided_by"]["name"]) == (body["status"], body["decided_by"]["name"])


@pytest.mark.parametrize(
    ("decisions", "pointer"),
    [
        ([], "/decisions"),
        ([yes(str(at)) for at in range(201)], "/decisions"),
        ({}, "/decisions"),
        ([yes("a"), yes("b"), yes("c", reason=5)], "/decisions/2/reason"),
        ([yes("a", reason="")], "/decisions/0/reason"),
        ([yes("a", reason="x" * 2_001)], "/decisions/0/reason"),
        ([yes("a"), {"id": "b", "decision": "maybe"}], "/decisions/1/decision"),
        ([yes("a", decided_by="prn_x")], "/decisions/0/decided_by"),
        ([{"decision": "approved"}], "/decisions/0/id"),
        ([yes("a"), "x"], "/decisions/1"),
        ([yes("a"), yes("b"), no("a")], "/decisions/2/id"),
    ],
)
def test_a_list_that_is_none(project: Project, decisions: Any, pointer: str) -> None:
    reply = project.call("alice", "POST", PATH, json={"decisions": decisions})
    assert code(reply) == (422, "invalid")
    assert reply.json()["errors"][0]["pointer"] == pointer


def test_a_bad_list_decides_nothing(project: Project) -> None:
    made = project.ask()
    assert code(decide(project, yes(made["id"]), no(made["id"]))) == (422, "invalid")
    assert code(decide(project, yes(made["id"]), yes("x" * 300_000))) == (413, "too_large")
    assert project.get(made["id"]) == made


def test_where_the_server_can_do_nothing_it_says_so_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    made = project.ask()
    with monkeypatch.context() as patch:
        patch.setattr(project.server.database, "_closing", True)
        reply = decide(project, yes(made["id"]), yes(f"apr_{'0' * 26}"))
        assert code(reply) == (503, "unavailable")
        assert int(reply.headers["Retry-After"]) >= 1
    assert project.get(made["id"]) == made
