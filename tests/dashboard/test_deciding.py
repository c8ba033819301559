"""Several together: each one is shown first, one word is said on all, and each has a result of its own."""

import re
from typing import Any

from tests.support.project import Project
from tests.support.visits import Visitor, leads_to, visitor, words


def shown(visiting: Visitor, *ids: str) -> Any:
    return visiting.get("/decide", params=[("id", each) for each in ids])


def form(html: str, decision: str, reason: str = "") -> dict[str, Any]:
    """The fields of that page, in their order."""
    key = re.search(r'name="key" value="(\w+)"', html)
    assert key is not None
    pairs = {name: re.findall(rf'name="{name}" value="([^"]*)"', html) for name in ("id", "seen")}
    return {**pairs, "key": key[1], "decision": decision, "reason": reason}


def results(html: str) -> list[str]:
    return [words(each) for each in re.findall(r"<li>(.*?)</li>", html.split("<main")[1], flags=re.DOTALL)]


def test_each_is_shown_with_its_facts_and_decided_with_one_word(project: Project) -> None:
    asked = [project.ask(context={"amount": at}, summary=f"claim {at}")["id"] for at in range(3)]
    alice = visitor(project, "alice")
    html = shown(alice, *asked).text
    for at in range(3):
        assert f"amount: {at}" in words(html)
        assert f'<div class="claim">claim {at}</div>' in html
    done = alice.post("/decide", form(html, "rejected", "closed for today"))
    assert done.status_code == 200
    assert "3 of 3 rejected" in words(done.text)
    for approval in asked:
        found = project.get(approval)
        assert (found["status"], found["reason"], found["decisions"][0]["via"]) == (
            "rejected",
            "closed for today",
            "dashboard",
        )


def test_each_has_a_result_of_its_own(project: Project) -> None:
    ids = [project.ask()["id"] for _ in range(4)]
    alice = visitor(project, "alice")
    fields = form(shown(alice, *ids).text, "approved")
    project.decide(ids[0], "rejected", "bob")
    project.call("app", "POST", f"/v1/approvals/{ids[1]}/cancel", json={})
    fields["seen"][2] = "sha256:00"
    done = alice.post("/decide", fields)
    assert "1 of 4 approved" in words(done.text)
    told = results(done.text)
    assert "bob was faster: rejected." in told[0]
    assert "It was cancelled." in told[1]
    assert "What you were shown is not what stands here now" in told[2]
    assert "approved by alice" in told[3]
    assert [project.get(each)["status"] for each in ids] == ["rejected", "cancelled", "pending", "approved"]


def test_what_is_not_theirs_is_shown_and_left_alone(projects: tuple[Project, Project]) -> None:
    project, other = projects
    mine, named, done = project.ask()["id"], project.ask(reviewers=["user:bob"])["id"], project.approved()["id"]
    alice = visitor(project, "alice")
    html = shown(alice, mine, named, done, other.ask()["id"]).text
    assert "Decide 1 together" in words(html)
    assert "This was asked of other reviewers by name." in words(html)
    assert "approved by alice ; it will be left alone" in words(html).replace("alice;", "alice ;")
    assert "not found" in words(html)
    assert form(html, "approved")["id"] == [mine]


def test_a_rejection_needs_a_reason_and_keeps_the_page(project: Project) -> None:
    ids = [project.ask()["id"] for _ in range(2)]
    alice = visitor(project, "alice")
    refused = alice.post("/decide", form(shown(alice, *ids).text, "rejected", " "))
    assert refused.status_code == 422
    assert "A rejection needs a reason" in words(refused.text)
    assert form(refused.text, "approved")["id"] == ids
    assert all(project.get(each)["status"] == "pending" for each in ids)


def test_a_form_that_is_sent_twice_is_answered_as_it_was(project: Project) -> None:
    ids = [project.ask()["id"] for _ in range(2)]
    alice = visitor(project, "alice")
    fields = form(shown(alice, *ids).text, "approved")
    for _ in range(2):
        assert "2 of 2 approved" in words(alice.post("/decide", fields).text)


def test_nothing_selected_leads_back_and_too_much_is_refused(project: Project) -> None:
    alice = visitor(project, "alice")
    assert leads_to(alice.get("/decide")) == "/"
    assert alice.post("/decide", {"decision": "approved"}).status_code == 422
    many = [f"apr_{at:026}" for at in range(51)]
    assert shown(alice, *many).status_code == 400
    assert shown(alice, "x").status_code == 404


def test_what_is_too_much_to_read_together_is_decided_alone(project: Project) -> None:
    ids = [project.ask(context={"text": f"{at}" * 25_000})["id"] for at in range(4)]
    alice = visitor(project, "alice")
    html = shown(alice, *ids).text
    assert form(html, "approved")["id"] == ids[:2]
    assert words(html).count("it is too much to read on one page") == 2
    assert "3333" not in html


def test_who_does_not_decide_has_no_such_page(project: Project) -> None:
    asked = project.ask()["id"]
    fields = form(shown(visitor(project, "alice"), asked).text, "approved")
    auditor = visitor(project, "auditor")
    assert shown(auditor, asked).status_code == 403
    assert auditor.post("/decide", fields).status_code == 403
    assert project.get(asked)["status"] == "pending"


def test_hostile_text_is_escaped(project: Project) -> None:
    bad = "<script>alert(1)</script>\u202e"
    asked = project.ask(context={bad: bad}, summary=bad, on_behalf_of=bad)
    html = shown(visitor(project, "alice"), asked["id"]).text
    assert "<script>alert" not in html
    assert "\u202e" not in html
