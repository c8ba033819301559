"""History: everything that was decided, with who, when, why and how, and what came of it."""

import re

import pytest

from signoff_server.dashboard import history
from tests.support.project import Project
from tests.support.visits import visitor, words


def test_history_says_who_decided_why_and_how_and_what_came_of_it(project: Project) -> None:
    used = project.approved(name="mail.send")
    fence = project.redeem(used).json()["fence"]
    project.call("app", "POST", f"/v1/approvals/{used['id']}/outcome", json={"fence": fence, "outcome": "failed"})
    project.decide(project.ask(name="db.drop")["id"], "rejected", "bob", reason="not <now>")
    project.ask(name="still.open")
    told = words(visitor(project, "auditor").get("/history").text)
    assert re.search(r"db\.drop rejected by bob via api · .* asked by app, .* “not <now>”", told)
    assert re.search(r"mail\.send approved failed by alice", told)
    assert "still.open" not in told


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("status=rejected", "db.drop", "mail.send"),
        ("name=mail.*", "mail.send", "db.drop"),
        ("by=agent", "Nothing that was decided fits.", "mail.send"),
        ("decider=Bob", "db.drop", "mail.send"),
        ("decider=nobody", "Nothing that was decided fits.", "mail.send"),
        ("q=drop", "db.drop", "mail.send"),
        ("to=2001-01-01", "Nothing that was decided fits.", "mail.send"),
    ],
)
def test_history_is_filtered_by_its_address(project: Project, query: str, there: str, gone: str) -> None:
    project.approved(name="mail.send")
    project.decide(project.ask(name="db.drop")["id"], "rejected", "bob")
    told = words(visitor(project, "alice").get(f"/history?{query}").text).partition("Show all")[2]
    assert there in told
    assert gone not in told


@pytest.mark.parametrize("query", ["", "&decider=alice"])
def test_history_is_paged(project: Project, query: str) -> None:
    made = [project.approved(name=f"n{at}")["id"] for at in range(60)]
    alice = visitor(project, "alice")
    first = alice.get(f"/history?status=approved{query}").text
    older = re.search(r'href="([^"]+)">Older', first)
    assert older is not None
    second = alice.get(older[1].replace("&amp;", "&")).text
    shown = [id_ for page in (first, second) for id_ in re.findall(r'data-href="/approvals/(apr_\w+)"', page)]
    assert shown == made[::-1]


@pytest.mark.parametrize("query", ["name=old", "q=old", "by=agent", "by=agent&decider=bob"])
def test_a_search_looks_at_so_many_and_goes_on_at_the_next_page(
    project: Project, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(history, "_SPAN", 3)
    old = project.ask("agent", name="old")["id"]
    project.decide(old, "rejected", "bob")
    for _ in range(7):
        project.approved(name="new")
    alice, pages, path = visitor(project, "alice"), [], f"/history?{query}"
    while len(pages) < 5:
        pages.append(alice.get(path).text)
        older = re.search(r'href="([^"]+)">Older', pages[-1])
        if older is None:
            break
        path = older[1].replace("&amp;", "&")
    assert ["there may be older ones" in words(page) for page in pages] == [True, True, False]
    assert f'data-href="/approvals/{old}"' in pages[-1]
    assert old in alice.get(f"/history.csv?{query}").text


def test_history_begins_with_a_word_and_refuses_what_cannot_be(project: Project) -> None:
    alice = visitor(project, "alice")
    assert "Nothing was decided yet." in words(alice.get("/history").text)
    for query in ("status=pending", "from=x", "at=x"):
        assert alice.get(f"/history?{query}").status_code == 400


def test_history_shows_what_others_wrote_and_nothing_of_it_acts(project: Project) -> None:
    asked = project.ask(name="x.y", context={"to": "<script>"})
    project.decide(asked["id"], "rejected", reason="<script>alert(1)</script>\u202e\u200b")
    auditor = visitor(project, "auditor")
    page = auditor.get("/history").text.partition("<main")[2]
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not {"\u202e", "\u200b"} & set(page)
    asked_for = auditor.get("/history", params={"q": '"><script>'}).text.partition("<main")[2]
    assert "<script" not in asked_for


def test_history_tells_of_what_nobody_decided_and_what_was_withdrawn(project: Project) -> None:
    late, withdrawn = project.ask(name="late", expires_in=60), project.ask(name="withdrawn")
    project.call("app", "POST", f"/v1/approvals/{withdrawn['id']}/cancel", json={})
    project.world.advance(61)
    project.get(late["id"])
    told = words(visitor(project, "bob").get("/history").text)
    assert "withdrawn cancelled by app" in told


def test_nobody_reads_history_without_signing_in_nor_another_projects(projects: tuple[Project, Project]) -> None:
    ours, theirs = projects
    theirs.decide(theirs.ask(name="their.secret")["id"])
    assert visitor(ours, None).get("/history").status_code == 303
    alice = visitor(ours, "alice")
    for path in (
        "/history",
        "/events",
        "/activity",
        "/history.csv",
        "/history.ndjson",
        "/events.csv",
        "/events.ndjson",
    ):
        assert "their.secret" not in alice.get(path).text
