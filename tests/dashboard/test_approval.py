"""One approval: facts before claims, a decision on what was shown and nothing else, and what became of it."""

import re
from typing import Any

import pytest

from signoff.protocol import canonical
from tests.service.test_agenda import settled
from tests.support.project import Project
from tests.support.visits import Visitor, leads_to, visitor, words
from tests.support.workflows import parked


def page(project: Project, approval: str, who: str = "alice") -> str:
    reply = visitor(project, who).get(f"/approvals/{approval}")
    assert reply.status_code == 200, reply.text
    html: str = reply.text
    return html


def hidden(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found is not None
    return found[1]


def form(html: str, decision: str, reason: str = "") -> dict[str, str]:
    """The fields of the form on a page, filled in."""
    return {"seen": hidden(html, "seen"), "key": hidden(html, "key"), "decision": decision, "reason": reason}


def send(visiting: Visitor, approval: str, decision: str, reason: str = "") -> Any:
    fields = form(visiting.get(f"/approvals/{approval}").text, decision, reason)
    return visiting.post(f"/approvals/{approval}/decision", fields)


# ------------------------------------------------------------ what is shown


def test_the_facts_are_there_and_the_claim_says_that_it_is_one(project: Project) -> None:
    asked = project.ask(
        "agent",
        context={"amount": "50000.00", "lines": [{"net": 41000.5}, {"net": 1}], "paid": False, "note": None},
        arguments={"iban": "DE89", "memo": "", "tags": [], "more": {}},
        summary="Trust me.",
        on_behalf_of="carol",
        reviewers=["user:alice", "user:bob"],
        metadata={"ticket": "FIN-7"},
    )
    html = page(project, asked["id"])
    told = words(html)
    for text in (
        "amount: 50000.00",
        "lines: list of 2 [0]: object of 1 net: 41000.5 [1]: object of 1 net: 1",
        "paid: false",
        "note: null",
        "iban: DE89",
        "memo: empty text",
        "tags: empty list",
        "more: empty object",
        "Asked by agent agent",
        "On behalf of carol",
        "an application (sdk)",
        "Rule that asked none",
        "Who may decide alice, bob (human)",
        "ticket: FIN-7",
        asked["binding"],
        f"Execution key {asked['execution_key']}",
    ):
        assert text in told, text
    assert '<div class="claim">Trust me.</div>' in html
    assert html.index("Arguments") < html.index("Trust me.")


def test_a_url_of_the_api_leads_to_the_page(project: Project) -> None:
    asked = project.ask()
    assert asked["url"] == f"{project.server.url}/approvals/{asked['id']}"
    assert visitor(project, "alice").get(f"/approvals/{asked['id']}").status_code == 200


def test_what_is_long_is_folded_and_says_how_much_it_is(project: Project) -> None:
    asked = project.ask(context={"text": "y" * 900, "list": list(range(50))})
    told = words(page(project, asked["id"]))
    assert "900 characters, folded" in told
    assert "y" * 900 in told
    assert "30 more of 50" in told
    assert "[49]: 49" in told


def test_what_would_be_thousands_of_places_stands_as_json(project: Project) -> None:
    told = words(page(project, project.ask(context={"few": [1], "many": [7] * 5_000})["id"]))
    assert "few: list of 1" in told
    assert "15000 characters of JSON, folded" in told
    assert "7, 7, 7" in told


def test_nesting_as_deep_as_it_may_be(project: Project) -> None:
    deep: Any = "bottom"
    for _ in range(30):
        deep = {"in": deep}
    assert "bottom" in words(page(project, project.ask(context={"deep": deep})["id"]))


def test_raw_json_stands_beside_it_or_on_a_page_of_its_own(project: Project) -> None:
    small = page(project, project.ask(context={"a": "\u202e"})["id"])
    assert "Raw JSON" in words(small)
    assert "\u202e" not in small
    large = project.ask(context={"a": "x" * 20_000})
    assert f'href="/approvals/{large["id"]}/raw"' in page(project, large["id"])
    raw = visitor(project, "auditor").get(f"/approvals/{large['id']}/raw")
    assert "x" * 20_000 in words(raw.text)


def test_hostile_text_neither_acts_nor_hides(project: Project) -> None:
    bad = '"><script>alert(1)</script><img src=x onerror=y><b hx-get=/> \u202e раypal {{ 7*7 }}'
    asked = project.ask(
        context={bad: [bad]}, arguments={bad: bad}, summary=bad, on_behalf_of=bad, metadata={bad[-64:]: bad}
    )
    html = page(project, asked["id"])
    for tag in ("<script>alert", "<img src=x", "<b hx"):
        assert tag not in html
    assert "\u202e" not in html
    assert "{{ 7*7 }}" in html
    assert html.count("\\u202e") >= 8


def test_differences_to_the_last_approved_one_are_marked(project: Project) -> None:
    first = project.ask(context={"to": "ACME", "amount": 10, "old": {"x": 1}, "same": True})
    assert "first request of this name" in words(page(project, first["id"]))
    project.decide(first["id"])
    project.decide(project.ask(context={"to": "evil"})["id"], "rejected")
    second = project.ask(context={"to": "ACNE", "amount": 10.0, "same": True, "extra": [1]})
    told = words(page(project, second["id"]))
    assert "to: ACNE was ACME" in told
    assert "amount: 10.0 was 10" in told
    assert "[0]: 1 new" in told
    assert "same: true new" not in told
    assert "context/old/x was 1" in told
    assert "4 different" in told
    same = project.ask(context={"to": "ACME", "amount": 10, "old": {"x": 1}, "same": True})
    assert "The same as the last approved request of this name" in words(page(project, same["id"]))
    # What came later is nothing to compare with.
    assert "first request of this name" in words(page(project, first["id"]))


def test_another_requester_than_last_time_is_marked(project: Project) -> None:
    project.approved()
    told = words(page(project, project.ask("agent", on_behalf_of="carol")["id"]))
    assert "Asked by agent agent was app" in told
    assert "On behalf of carol new" in told
    assert "Asked by app service Source" in words(page(project, project.ask()["id"]))


def test_whether_somebody_waits_is_told(project: Project) -> None:
    asked = project.ask()
    assert "Nobody waits on this server right now" in words(page(project, asked["id"]))
    with project.server.hub.listening((asked["id"],), lambda _: None):
        assert "Somebody waits for the answer on this server" in words(page(project, asked["id"]))


def test_an_approval_of_a_run_leads_to_it(project: Project) -> None:
    run = parked(project)
    approval = asked_by(project, run)
    html = page(project, approval)
    assert f'href="/runs/{run["id"]}"' in html
    assert "node pay , tool payments.submit" in words(html).replace("pay, tool", "pay , tool")
    assert "The run stands at this node" in words(html)
    assert leads_to(send(visitor(project, "alice"), approval, "approved")) == f"/approvals/{approval}"
    assert project.get(approval)["status"] == "approved"


def test_a_run_is_compared_by_what_it_would_do_and_not_by_its_id(project: Project) -> None:
    first = asked_by(project, parked(project, given={"amount": "1.00"}))
    project.decide(first)
    assert "The same as the last approved" in words(page(project, asked_by(project, parked(project))))
    other = asked_by(project, parked(project, given={"amount": "2.00"}))
    told = words(page(project, other))
    assert "amount: 2.00 was 1.00" in told
    assert "1 different" in told


def asked_by(project: Project, run: dict[str, Any]) -> str:
    """The approval that a run waits for."""
    (one,) = project.call("alice", "GET", f"/v1/executions/{run['id']}/approvals").json()["pending"]
    return str(one["approval_id"])


# ------------------------------------------------------------ deciding


@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_a_decision_is_recorded_as_the_reviewers_own(project: Project, decision: str) -> None:
    asked = project.ask()
    reply = send(visitor(project, "alice"), asked["id"], decision, "line one\r\nline two")
    assert leads_to(reply) == f"/approvals/{asked['id']}"
    found = project.get(asked["id"])
    assert (found["status"], found["decided_by"]["name"]) == (decision, "alice")
    assert (found["reason"], found["decisions"][0]["via"]) == ("line one\nline two", "dashboard")
    told = words(page(project, asked["id"]))
    assert f"{decision} by alice 0 s ago" in told
    assert f"{decision.capitalize()} by alice via dashboard" in told


def test_a_rejection_needs_a_reason_and_an_approval_does_not(project: Project) -> None:
    asked = project.ask()
    refused = send(visitor(project, "alice"), asked["id"], "rejected", "  ")
    assert refused.status_code == 422
    assert "A rejection needs a reason" in words(refused.text)
    assert leads_to(send(visitor(project, "alice"), asked["id"], "approved"))
    assert project.get(asked["id"])["reason"] is None


def test_a_refused_form_keeps_what_was_written(project: Project) -> None:
    asked = project.ask()
    refused = send(visitor(project, "alice"), asked["id"], "rejected", "<b>" + "x" * 2_000)
    assert refused.status_code == 422
    assert "&lt;b&gt;" + "x" * 2_000 + "</textarea>" in refused.text


def test_what_was_not_shown_is_not_decided(project: Project) -> None:
    asked, other = project.ask(), project.ask(context={"amount": 1})
    alice = visitor(project, "alice")
    fields = form(alice.get(f"/approvals/{other['id']}").text, "approved")
    for seen in (fields["seen"], "", "sha256:" + "0" * 64, asked["binding"]):
        refused = alice.post(f"/approvals/{asked['id']}/decision", fields | {"seen": seen})
        assert refused.status_code == 409
        assert "What you were shown is not what stands here now" in words(refused.text)
    assert project.get(asked["id"])["status"] == "pending"


def test_the_second_reviewer_is_told_who_was_faster(project: Project) -> None:
    asked = project.ask()
    alice, bob = visitor(project, "alice"), visitor(project, "bob")
    fields = form(alice.get(f"/approvals/{asked['id']}").text, "rejected", "no")
    assert leads_to(send(bob, asked["id"], "approved"))
    late = alice.post(f"/approvals/{asked['id']}/decision", fields)
    assert late.status_code == 409
    assert "bob was faster: it is approved. Nothing of yours was recorded." in words(late.text)
    assert f'href="/approvals/{asked["id"]}"' in late.text
    assert 'id="approve"' not in late.text


def test_a_form_that_is_sent_twice_is_answered_as_it_was(project: Project) -> None:
    asked = project.ask()
    alice = visitor(project, "alice")
    fields = form(alice.get(f"/approvals/{asked['id']}").text, "approved", "ok")
    for _ in range(2):
        assert leads_to(alice.post(f"/approvals/{asked['id']}/decision", fields))
    # From the same page, gone back to: another word is none any more.
    changed = alice.post(f"/approvals/{asked['id']}/decision", fields | {"decision": "rejected"})
    assert changed.status_code == 409
    assert len(project.call("alice", "GET", f"/v1/approvals/{asked['id']}/events").json()["data"]) == 2


def test_what_expired_or_was_withdrawn_is_not_decided(project: Project) -> None:
    alice = visitor(project, "alice")
    late, withdrawn = project.ask(expires_in=60), project.ask()
    forms = {one["id"]: form(alice.get(f"/approvals/{one['id']}").text, "approved") for one in (late, withdrawn)}
    project.world.advance(61)
    project.call("app", "POST", f"/v1/approvals/{withdrawn['id']}/cancel", json={"reason": "not needed"})
    for one in (late, withdrawn):
        assert alice.post(f"/approvals/{one['id']}/decision", forms[one["id"]]).status_code == 409
        assert 'id="approve"' not in page(project, one["id"])
    assert "cancelled by app" in words(page(project, withdrawn["id"]))
    assert "Nobody decided in time" in words(page(project, late["id"]))


@pytest.mark.parametrize(
    ("who", "asked", "told"),
    [
        ("auditor", {}, "Your role reads; reviewers decide."),
        ("alice", {"on_behalf_of": "alice"}, "You asked for this, answer for who asked, or are who it was asked for."),
        ("alice", {"reviewers": ["user:bob"]}, "This was asked of other reviewers by name."),
    ],
)
def test_who_may_not_decide_sees_why_and_is_refused(
    project: Project, who: str, asked: dict[str, Any], told: str
) -> None:
    approval = project.ask(**asked)
    html = page(project, approval["id"], who)
    assert f"You cannot decide this. {told}" in words(html)
    assert 'id="approve"' not in html
    seen = hidden(page(project, approval["id"], "bob"), "seen")
    reply = visitor(project, who).post(
        f"/approvals/{approval['id']}/decision", {"seen": seen, "decision": "approved", "reason": ""}
    )
    assert reply.status_code == 403
    assert project.get(approval["id"])["status"] == "pending"


def test_a_get_never_decides_and_neither_does_a_form_of_another_session(project: Project) -> None:
    asked = project.ask()
    alice = visitor(project, "alice")
    fields = form(alice.get(f"/approvals/{asked['id']}").text, "approved")
    path = f"/approvals/{asked['id']}/decision"
    assert alice.get(path, params=fields).status_code in (404, 405)
    assert alice.post(path, fields, csrf="x").status_code == 403
    assert alice.post(path, fields, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert project.get(asked["id"])["status"] == "pending"


def test_what_is_nobodys_is_not_found(projects: tuple[Project, Project]) -> None:
    project, other = projects
    alice = visitor(project, "alice")
    for approval in (other.ask()["id"], "apr_00000000000000000000000000", project.ids["app"], "x"):
        for path in ("", "/standing", "/raw"):
            assert alice.get(f"/approvals/{approval}{path}").status_code == 404
        for path in ("/decision", "/resolve"):
            fields = {"decision": "approved", "outcome": "failed", "reason": "x"}
            assert alice.post(f"/approvals/{approval}{path}", fields).status_code == 404


# ------------------------------------------------------------ what became of it


def test_its_use_and_the_outcome_are_told(project: Project) -> None:
    approval = project.approved()
    assert "Not used yet" in words(page(project, approval["id"]))
    fence = project.redeem(approval).json()["fence"]
    assert "In use since" in words(page(project, approval["id"]))
    body = {"fence": fence, "outcome": "failed", "detail": "the bank said <no>"}
    assert project.call("app", "POST", f"/v1/approvals/{approval['id']}/outcome", json=body).status_code == 200
    told = words(page(project, approval["id"]))
    assert "Used 0 s ago; it failed" in told
    assert "the bank said <no>" in told
    assert "Reported as failed by app" in told


def test_what_was_not_used_in_time_has_lapsed(project: Project) -> None:
    approval = project.approved()
    project.world.advance(25 * 3_600)
    assert "it lapsed 1 h ago" in words(page(project, approval["id"]))


@pytest.fixture
def unknown(project: Project) -> str:
    """An approval that was used, and whose user was never heard of again."""
    approval = project.approved()
    project.redeem(approval)
    project.world.advance(61)
    assert settled(project, approval["id"])["redemption"]["outcome"] == "unknown"
    return str(approval["id"])


def test_an_unknown_outcome_is_resolved_by_a_person_with_a_reason(project: Project, unknown: str) -> None:
    alice = visitor(project, "alice")
    html = alice.get(f"/approvals/{unknown}").text
    assert "Nobody knows what came of it" in words(html)
    fields = {"key": hidden(html, "key"), "outcome": "succeeded", "reason": ""}
    assert alice.post(f"/approvals/{unknown}/resolve", fields).status_code == 422
    assert visitor(project, "auditor").post(f"/approvals/{unknown}/resolve", fields).status_code == 403
    fields["reason"] = "It is on the bank statement."
    for _ in range(2):
        assert leads_to(alice.post(f"/approvals/{unknown}/resolve", fields)) == f"/approvals/{unknown}"
    told = words(page(project, unknown))
    assert "it succeeded (by a person's word)" in told
    assert "It is on the bank statement." in told
    assert "Resolved as succeeded by alice via dashboard" in told
    late = visitor(project, "bob").post(f"/approvals/{unknown}/resolve", {"outcome": "failed", "reason": "no"})
    assert late.status_code == 409


def test_an_auditor_sees_no_form(project: Project, unknown: str) -> None:
    html = page(project, unknown, "auditor")
    assert "Nobody knows what came of it" in words(html)
    assert "/resolve" not in html


def test_the_part_that_lives_is_served_alone(project: Project) -> None:
    asked = project.ask()
    alice = visitor(project, "alice")
    assert f'hx-get="/approvals/{asked["id"]}/standing"' in alice.get(f"/approvals/{asked['id']}").text
    part = alice.get(f"/approvals/{asked['id']}/standing", headers={"HX-Request": "true"}).text
    assert part.lstrip().startswith('<section id="standing"')
    assert 'data-status="pending"' in part


def test_what_was_shown_is_what_the_binding_was_made_over(project: Project) -> None:
    """The facts on the page are those of the bound bytes: whoever has them makes the same binding."""
    asked = project.ask(context={"a": 1}, arguments={"b": 2})
    members = {name: asked[name] for name in ("project", "name", "context", "arguments", "nonce")}
    assert canonical.binding(**members) in page(project, asked["id"])
