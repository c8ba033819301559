"""History: everything that was decided, with who, when, why and how, and what came of it."""

import re

import pytest

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


def test_history_begins_with_a_word_and_refuses_what_cannot_be(project: Project) -> None:
    alice = visitor(project, "alice")
    assert "Nothing was decided yet." in words(alice.get("/history").text)
    for query in ("status=pending", "from=x", "at=x"):
        assert alice.get(f"/history?{query}").status_code == 400
