"""The contract of approvals, call by call."""

import base64
from typing import Any

import pytest

from signoff.protocol import canonical
from tests.support.project import Project

DAY = 86_400


def code(reply: Any) -> tuple[int, str]:
    """Status and code of a problem, whose form is checked on the way."""
    body = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:signoff:problem:{body['code']}"
    assert body["status"] == reply.status_code
    assert body["request_id"].startswith("req_")
    assert body["title"]
    assert body["detail"]
    return reply.status_code, body["code"]


def test_a_new_approval_shows_all_that_was_asked(project: Project) -> None:
    asked = {
        "name": "payments.wire",
        "context": {"amount": "50000.00"},
        "arguments": {"to": "DE89"},
        "summary": "rent",
        "expires_in": 60,
        "reviewers": ["user:alice", "user:BOB"],
        "metadata": {"team": "treasury"},
        "on_behalf_of": "Carol",
    }
    reply = project.call("app", "POST", "/v1/approvals", json=asked)
    made = reply.json()
    assert reply.status_code == 201
    assert reply.headers["location"] == f"/v1/approvals/{made['id']}"
    assert reply.headers["cache-control"] == "no-store"
    assert {key: made[key] for key in ("name", "context", "arguments", "summary", "metadata", "on_behalf_of")} == {
        key: asked[key] for key in ("name", "context", "arguments", "summary", "metadata", "on_behalf_of")
    }
    assert made["requested_by"] == {"id": project.ids["app"], "name": "app", "kind": "service"}
    assert made["requirement"] == {
        "rule": None,
        "approvals": 1,
        "kinds": ["human"],
        "reviewers": ["user:alice", "user:bob"],
        "on_expiry": "expire",
    }
    assert (made["status"], made["lapsed"], made["redemption"], made["decisions"]) == ("pending", False, None, [])
    assert made["source"] == {"kind": "sdk", "execution_id": None, "node_id": None, "tool": None}
    assert made["execution_key"] == made["id"]
    assert made["project"] == project.id
    assert made["created_at"] == "2026-09-21T14:13:20.000Z"
    assert made["expires_at"] == "2026-09-21T14:14:20.000Z"
    assert len(base64.urlsafe_b64decode(made["nonce"] + "=")) == 32
    assert project.get(made["id"]) == made


def test_whoever_sees_the_context_can_make_the_binding_again(project: Project) -> None:
    made = project.ask(context={"b": 1, "a": "€"}, arguments={"z": [1.5]})
    members = {key: made[key] for key in ("project", "name", "context", "arguments", "nonce")}
    assert canonical.binding(**members) == made["binding"]


def test_defaults(project: Project) -> None:
    made = project.ask()
    assert (made["context"], made["arguments"], made["summary"], made["metadata"]) == ({}, None, None, {})
    assert made["expires_at"] == "2026-09-28T14:13:20.000Z"


def test_the_same_key_attaches_in_whatever_state_it_is(project: Project) -> None:
    first = project.ask(key="wire:1", context={"a": "1"})
    again = project.call(
        "app", "POST", "/v1/approvals", json={"name": "payments.wire", "context": {"a": "1"}}, key="wire:1"
    )
    assert again.status_code == 200
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first
    project.decide(first["id"], "rejected")
    project.world.advance(400 * DAY)
    body = {"name": "payments.wire", "context": {"a": "1"}, "summary": "other words", "expires_in": 5}
    later = project.call("app", "POST", "/v1/approvals", json=body, key="wire:1")
    assert later.status_code == 200
    assert later.json()["id"] == first["id"]
    assert later.json()["status"] == "rejected"


def test_a_key_for_something_else_is_refused_with_the_places_and_without_the_values(project: Project) -> None:
    project.ask(key="k", context={"amount": "1.00", "to": {"iban": "DE89"}, "list": [1, 2]}, reviewers=["user:alice"])
    other = {
        "name": "payments.wire",
        "context": {"amount": "2.00", "to": {"iban": "DE89", "bic": "X"}, "list": [1, 3]},
        "arguments": {},
        "reviewers": ["user:bob"],
    }
    reply = project.call("app", "POST", "/v1/approvals", json=other, key="k")
    assert code(reply) == (422, "idempotency_key_reuse")
    pointers = {error["pointer"] for error in reply.json()["errors"]}
    assert pointers == {"/context/amount", "/context/to/bic", "/context/list/1", "/arguments", "/reviewers/0"}
    assert "1.00" not in reply.text
    assert len(project.call("alice", "GET", "/v1/approvals").json()["data"]) == 1


def test_a_key_belongs_to_its_principal_and_name(project: Project) -> None:
    ids = {
        project.ask("app", key="k")["id"],
        project.ask("other-app", key="k")["id"],
        project.ask("app", key="k", name="payments.other")["id"],
        project.ask("app")["id"],
        project.ask("app")["id"],
    }
    assert len(ids) == 5


@pytest.mark.parametrize("key", ["", "ü", "a" * 256, "a\tb"])
def test_keys_that_are_none(project: Project, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    reply = project.call("app", "POST", "/v1/approvals", json={"name": "a"}, headers=headers)
    assert code(reply) == (400, "invalid_parameter")


def test_approving(project: Project) -> None:
    made = project.ask()
    reply = project.decide(made["id"], reason="checked")
    decided = reply.json()
    alice = {"id": project.ids["alice"], "name": "alice", "kind": "human"}
    assert reply.status_code == 200
    assert (decided["status"], decided["reason"], decided["decided_by"]) == ("approved", "checked", alice)
    assert decided["approved_until"] == "2026-09-22T14:13:20.000Z"
    assert decided["decisions"] == [
        {
            "decision": "approved",
            "decided_by": alice,
            "reason": "checked",
            "decided_at": "2026-09-21T14:13:20.000Z",
            "via": "api",
        }
    ]


def test_a_rejection_needs_a_reason(project: Project) -> None:
    made = project.ask()
    reply = project.call("alice", "POST", f"/v1/approvals/{made['id']}/decision", json={"decision": "rejected"})
    assert code(reply) == (422, "invalid")
    assert reply.json()["errors"][0]["pointer"] == "/reason"
    assert project.get(made["id"])["status"] == "pending"
    assert project.decide(made["id"], "rejected", reason="too much").json()["reason"] == "too much"


def test_the_loser_is_told_who_won_and_when(project: Project) -> None:
    made = project.ask()
    project.decide(made["id"], "rejected", who="bob")
    reply = project.decide(made["id"], who="alice")
    assert code(reply) == (409, "already_decided")
    current = reply.json()["current"]
    assert current["status"] == "rejected"
    assert current["decided_by"] == {"id": project.ids["bob"], "name": "bob", "kind": "human"}
    assert current["decided_at"] == "2026-09-21T14:13:20.000Z"


def test_deciding_again_under_the_same_key_gives_the_first_answer(project: Project) -> None:
    made = project.ask()
    path, body = f"/v1/approvals/{made['id']}/decision", {"decision": "approved"}
    first = project.call("alice", "POST", path, json=body, key="d1")
    assert project.call("alice", "POST", path, json=body, key="d1").json() == first.json()
    assert code(project.call("alice", "POST", path, json=body, key="d2")) == (409, "already_decided")
    assert code(project.call("bob", "POST", path, json=body, key="d1")) == (409, "already_decided")
    other = {"decision": "rejected", "reason": "no"}
    assert code(project.call("alice", "POST", path, json=other, key="d1")) == (422, "idempotency_key_reuse")


def test_what_was_shown_is_what_is_decided(project: Project) -> None:
    made = project.ask()
    assert code(project.decide(made["id"], seen="sha256:other")) == (409, "view_stale")
    assert project.decide(made["id"], seen=made["binding"]).status_code == 200


def test_cancelling(project: Project) -> None:
    made = project.ask()
    reply = project.call("app", "POST", f"/v1/approvals/{made['id']}/cancel", json={"reason": "changed my mind"})
    assert reply.json()["status"] == "cancelled"
    assert reply.json()["reason"] == "changed my mind"
    assert reply.json()["decided_by"]["name"] == "app"
    assert reply.json()["decisions"] == []
    late = project.decide(made["id"])
    assert code(late) == (409, "not_pending")
    assert late.json()["current"]["status"] == "cancelled"
    assert code(project.call("app", "POST", f"/v1/approvals/{made['id']}/cancel")) == (409, "not_pending")
    assert project.call("admin", "POST", f"/v1/approvals/{project.ask()['id']}/cancel").json()["status"] == "cancelled"


def test_after_its_time_nobody_decides(project: Project) -> None:
    made = project.ask(expires_in=10)
    project.world.advance(10)
    late = project.decide(made["id"])
    assert code(late) == (409, "expired")
    assert late.json()["current"]["status"] == "expired"
    assert late.json()["current"]["decided_at"] == made["expires_at"]
    assert code(project.call("app", "POST", f"/v1/approvals/{made['id']}/cancel")) == (409, "expired")


def test_the_last_moment_counts(project: Project) -> None:
    made = project.ask(expires_in=10)
    project.world.advance(9.999)
    assert project.decide(made["id"]).status_code == 200


def test_a_redemption_from_lease_to_outcome(project: Project) -> None:
    made = project.approved()
    first = project.redeem(made)
    assert first.status_code == 200
    assert (first.json()["fence"], first.json()["lease_until"]) == (1, "2026-09-21T14:14:20.000Z")
    assert first.json()["approval"]["redemption"] == {
        "fence": 1,
        "redeemed_at": "2026-09-21T14:13:20.000Z",
        "lease_until": "2026-09-21T14:14:20.000Z",
        "outcome": None,
        "detail": None,
    }
    project.world.advance(30)
    assert project.redeem(made).json() == first.json()
    other = project.redeem(made, "r2")
    assert code(other) == (409, "already_redeemed")
    assert other.json()["current"]["redemption"]["outcome"] is None
    renewed = project.call("app", "POST", f"/v1/approvals/{made['id']}/renew", json={"fence": 1})
    assert renewed.json() == {"lease_until": "2026-09-21T14:14:50.000Z"}
    stale = project.call("app", "POST", f"/v1/approvals/{made['id']}/renew", json={"fence": 2})
    assert code(stale) == (409, "stale_fence")
    body = {"fence": 1, "outcome": "failed", "detail": "ConnectError"}
    done = project.call("app", "POST", f"/v1/approvals/{made['id']}/outcome", json=body)
    assert done.json()["redemption"]["outcome"] == "failed"
    assert done.json()["redemption"]["detail"] == "ConnectError"
    assert project.call("app", "POST", f"/v1/approvals/{made['id']}/outcome", json=body).json() == done.json()
    for fence, outcome in ((1, "succeeded"), (2, "failed")):
        body = {"fence": fence, "outcome": outcome}
        assert code(project.call("app", "POST", f"/v1/approvals/{made['id']}/outcome", json=body)) == (
            409,
            "stale_fence",
        )
    assert code(project.call("app", "POST", f"/v1/approvals/{made['id']}/renew", json={"fence": 1})) == (
        409,
        "stale_fence",
    )
    finished = project.redeem(made, "r2")
    assert code(finished) == (409, "already_redeemed")
    assert finished.json()["current"]["redemption"]["outcome"] == "failed"


def test_redeeming_what_is_not_to_be_redeemed(project: Project) -> None:
    pending, rejected, lapsed = project.ask(), project.ask(), project.approved()
    project.decide(rejected["id"], "rejected")
    assert code(project.redeem(pending)) == (409, "not_approved")
    assert code(project.redeem(rejected)) == (409, "not_approved")
    assert code(project.redeem({**lapsed, "binding": "sha256:" + "0" * 64})) == (409, "binding_mismatch")
    project.world.advance(DAY)
    assert project.get(lapsed["id"])["lapsed"] is True
    assert code(project.redeem(lapsed)) == (409, "expired")


def test_a_lease_that_ended_is_nobodys_until_a_person_has_spoken(project: Project) -> None:
    made = project.approved()
    project.redeem(made)
    project.world.advance(60)
    # The agenda may not have looked yet; the answer is the same.
    assert code(project.redeem(made)) == (409, "outcome_unknown")
    assert code(project.redeem(made, "r2")) == (409, "outcome_unknown")


@pytest.mark.parametrize("who", ["app", "executor"])
def test_executors_of_both_sorts(project: Project, who: str) -> None:
    made = project.approved()
    assert project.redeem(made, who=who).status_code == 200
    body = {"fence": 1, "outcome": "succeeded"}
    assert project.call(who, "POST", f"/v1/approvals/{made['id']}/outcome", json=body).status_code == 200


def test_reviewers_that_nobody_could_be(project: Project) -> None:
    cases = {
        "user:nobody": "no such principal",
        "alice": "no such principal",
        "user:robot": "is of kind agent",
        "user:app": "is of kind service",
    }
    for reviewer, message in cases.items():
        reply = project.call("app", "POST", "/v1/approvals", json={"name": "a", "reviewers": ["user:bob", reviewer]})
        assert code(reply) == (422, "no_eligible_reviewer")
        assert reply.json()["errors"][0]["pointer"] == "/reviewers/1"
        assert message in reply.json()["errors"][0]["message"]
    behalf = {"name": "a", "reviewers": ["user:alice"], "on_behalf_of": "Alice"}
    assert code(project.call("app", "POST", "/v1/approvals", json=behalf)) == (422, "no_eligible_reviewer")


def test_only_named_reviewers_decide(project: Project) -> None:
    made = project.ask(reviewers=["user:bob"])
    assert code(project.decide(made["id"], who="alice")) == (403, "reviewer_not_eligible")
    assert project.decide(made["id"], who="bob").status_code == 200


@pytest.mark.parametrize("behalf", ["alice", "ALICE", "user:alice", "ID"])
def test_who_it_is_asked_for_does_not_decide(project: Project, behalf: str) -> None:
    made = project.ask(on_behalf_of=project.ids["alice"] if behalf == "ID" else behalf)
    assert code(project.decide(made["id"], who="alice")) == (403, "self_decision")
    assert project.decide(made["id"], who="bob").status_code == 200


def test_the_owner_of_an_agent_does_not_decide_for_it(project: Project) -> None:
    body = {"name": "owned", "kind": "agent", "owner": project.ids["alice"]}
    agent = project.call("admin", "POST", "/v1/principals", json=body).json()
    issue = {"principal": agent["id"], "scopes": ["approvals:create"]}
    project.keys["owned"] = project.call("admin", "POST", "/v1/keys", json=issue).json()["key"]
    made = project.ask("owned")
    assert code(project.decide(made["id"], who="alice")) == (403, "self_decision")
    assert project.decide(made["id"], who="bob").status_code == 200


def test_the_way_a_decision_came_is_told(project: Project) -> None:
    for client, via in (("cli", "cli"), ("dashboard", "api"), ("sdk", "api")):
        made = project.ask()
        reply = project.call(
            "alice",
            "POST",
            f"/v1/approvals/{made['id']}/decision",
            json={"decision": "approved"},
            headers={"Signoff-Client": client},
        )
        assert reply.json()["decisions"][0]["via"] == via


def test_listing(project: Project) -> None:
    made = [project.ask(context={"n": f"Invoice {number}"}, name=f"payments.n{number % 2}") for number in range(5)]
    other = project.ask("other-app", name="mail.send", summary="Greetings_100%")
    project.decide(made[0]["id"])

    def ids(who: str = "alice", **query: Any) -> list[str]:
        reply = project.call(who, "GET", "/v1/approvals", params=query)
        assert reply.status_code == 200, reply.text
        return [one["id"] for one in reply.json()["data"]]

    newest = [one["id"] for one in reversed(made)]
    assert ids() == [other["id"], *newest]
    assert ids("app") == newest
    assert ids("app", requested_by="other-app") == []
    assert ids(status="approved") == [made[0]["id"]]
    assert ids(name="PAYMENTS.N1") == [made[3]["id"], made[1]["id"]]
    assert ids(name="*.n?") == newest
    assert ids(name="payments_n1") == []
    assert ids(requested_by="Other-App") == ids(requested_by=project.ids["other-app"]) == [other["id"]]
    assert ids(q="invoice 3") == [made[3]["id"]]
    assert ids(q="S_100%") == [other["id"]]
    assert ids(q="mail") == [other["id"]]
    assert ids(q="%") == [other["id"]]
    assert ids(execution_id="exe_none") == []


def test_pages_follow_one_another(project: Project) -> None:
    made = [project.ask()["id"] for _ in range(5)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = project.call("alice", "GET", "/v1/approvals", params=query).json()
        seen += [one["id"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "status=open",
        "cursor=x",
        "cursor=-1",
        "unknown=1",
        "limit=1&limit=2",
        "q=%00",
    ],
)
def test_parameters_that_are_none(project: Project, query: str) -> None:
    assert code(project.call("alice", "GET", f"/v1/approvals?{query}")) == (400, "invalid_parameter")


@pytest.mark.parametrize("wait", ["61", "-1", "x", "1.5", ""])
def test_waits_that_are_none(project: Project, wait: str) -> None:
    made = project.ask()
    assert code(project.call("app", "GET", f"/v1/approvals/{made['id']}?wait={wait}")) == (400, "invalid_parameter")


def test_the_events_of_an_approval(project: Project) -> None:
    made = project.approved(context={"amount": "5"}, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    project.redeem(made, "redeemer-in-clear")
    body = {"fence": 1, "outcome": "succeeded"}
    project.call("app", "POST", f"/v1/approvals/{made['id']}/outcome", json=body)
    events = project.call("app", "GET", f"/v1/approvals/{made['id']}/events").json()["data"]
    assert [(event["version"], event["type"]) for event in events] == [
        (1, "approval.requested"),
        (2, "approval.approved"),
        (3, "approval.redeemed"),
        (4, "approval.outcome_reported"),
    ]
    assert events[0]["data"]["context"] == {"amount": "5"}
    assert events[0]["data"]["traceparent"].startswith("00-aaaa")
    assert events[0]["facts"]["requirement"]["approvals"] == 1
    assert events[1]["actor"] == {"id": project.ids["alice"], "kind": "human", "via": "api"}
    assert "redeemer-in-clear" not in str(events[2])


def test_the_ledger_is_read_on_from_a_place(project: Project) -> None:
    made = project.ask()
    project.decide(made["id"])
    whole = project.call("auditor", "GET", "/v1/events?limit=200").json()["data"]
    assert [event["seq"] for event in whole] == list(range(1, len(whole) + 1))
    after = whole[-3]["seq"]
    page = project.call("auditor", "GET", f"/v1/events?after={after}&limit=1").json()
    assert [event["seq"] for event in page["data"]] == [after + 1]
    assert page["next_after"] == after + 1
    end = project.call("auditor", "GET", f"/v1/events?after={len(whole)}").json()
    assert end == {"data": [], "next_after": len(whole)}
    decided = project.call("auditor", "GET", "/v1/events?type=approval.approve?").json()["data"]
    assert [event["subject"] for event in decided] == [made["id"]]
    filtered = project.call("auditor", "GET", "/v1/events?type=approval.rejected").json()
    assert filtered == {"data": [], "next_after": len(whole)}
    mine = project.call("auditor", "GET", f"/v1/events?subject={made['id']}").json()["data"]
    assert [event["type"] for event in mine] == ["approval.requested", "approval.approved"]
