"""Starting a run from its form: who may, what a form turns into, and that nothing typed is lost."""

import json
import re
from functools import partial
from html import unescape
from typing import Any, Final

import pytest

from signoff_server.core.events import SYSTEM
from signoff_server.core.refusals import Refusal
from tests.support.project import Project
from tests.support.visits import Visitor, leads_to, visitor, words
from tests.support.workflows import GATED, PLAIN, read, register

FORM: Final = """
workflow:
  id: payment
  version: 1.0.0
  start: pay
  input_schema:
    type: object
    required: [amount, to]
    additionalProperties: false
    properties:
      amount: {type: string, title: "<b>Amount</b>", pattern: "^[0-9]+[.][0-9]{2}$"}
      to: {type: object, required: [iban], properties: {iban: {type: string}}}
      count: {type: integer, minimum: 1, maximum: 10}
      tags: {type: array, items: {type: string}, maxItems: 2}
nodes:
  pay: {type: tool, tool_ref: payments.submit, input: {amount: "${{ input.amount }}"}, next: end}
policy: {require_approval_for: ["payments.*"]}
"""
FIELDS: Final = {"input/amount": "10.00", "input/to/iban": "DE89", "input/count": "", "input/tags": "a\r\nb"}
PAGE: Final = "/workflows/payment/start"


def key_of(page: Any) -> str:
    found = re.search(r'name="key" value="([^"]*)"', page.text)
    assert found is not None
    return found[1]


def fields(page: Any, **more: str) -> dict[str, str]:
    return {"version": "1.0.0", "key": key_of(page), **more}


def run_of(project: Project, reply: Any) -> dict[str, Any]:
    return read(project, leads_to(reply).removeprefix("/runs/"))


def test_only_an_admin_starts_a_run(project: Project) -> None:
    register(project, FORM)
    for who in ("alice", "auditor"):
        visiting = visitor(project, who)
        assert visiting.get(PAGE).status_code == 403
        assert visiting.post(PAGE, {"version": "1.0.0", "key": "k", **FIELDS}).status_code == 403
        assert f'href="{PAGE}' not in visiting.get("/workflows/payment").text
    admin = visitor(project, "admin")
    assert f'href="{PAGE}?version=1.0.0"' in admin.get("/workflows/payment").text
    assert project.call("alice", "GET", "/v1/executions").json()["data"] == []


def test_a_form_that_is_filled_in_starts_a_run_with_exactly_that(project: Project) -> None:
    register(project, FORM)
    admin = visitor(project, "admin")
    page = admin.get(PAGE)
    assert "<b>Amount" not in page.text
    run = run_of(project, admin.post(PAGE, fields(page, **FIELDS)))
    assert run["input"] == {"amount": "10.00", "to": {"iban": "DE89"}, "tags": ["a", "b"]}
    assert run["initiator"]["id"] == project.ids["admin"]
    assert run["version"] == "1.0.0"


def test_a_form_that_is_sent_twice_starts_one_run(project: Project) -> None:
    register(project, FORM)
    admin = visitor(project, "admin")
    sent = fields(admin.get(PAGE), **FIELDS)
    first, second = leads_to(admin.post(PAGE, sent)), leads_to(admin.post(PAGE, sent))
    assert first == second
    other = admin.post(PAGE, sent | {"input/amount": "11.00"})
    assert other.status_code == 422
    assert "has started a run already" in words(other.text)
    assert key_of(other) != sent["key"]
    assert leads_to(admin.post(PAGE, sent | {"input/amount": "11.00", "key": key_of(other)})) != first
    assert len(project.call("alice", "GET", "/v1/executions").json()["data"]) == 2


@pytest.mark.parametrize(
    ("wrong", "told", "at"),
    [
        ({"input/count": "1.5"}, "A whole number", "input/count"),
        ({"input/count": "11"}, "11 is greater than the maximum", "input/count"),
        ({"input/amount": "ten"}, "does not match", "input/amount"),
        ({"input/to/iban": ""}, "This has to be filled in", "input/to/iban"),
        ({"input/tags": "a\nb\nc"}, "too long", "input/tags"),
    ],
)
def test_a_fault_stands_at_its_field_and_nothing_is_lost(
    project: Project, wrong: dict[str, str], told: str, at: str
) -> None:
    register(project, FORM)
    admin = visitor(project, "admin")
    reply = admin.post(PAGE, fields(admin.get(PAGE), **FIELDS | wrong))
    assert reply.status_code == 422
    fault = re.search(rf'id="fault-{at}" role="alert">([^<]*)<', reply.text)
    assert fault is not None
    assert told in unescape(fault[1])
    assert f'aria-describedby="fault-{at}"' in reply.text
    for text in (FIELDS | wrong).values():
        assert text.replace("\r\n", "\n") in unescape(reply.text)
    assert project.call("alice", "GET", "/v1/executions").json()["data"] == []


def test_hostile_text_in_a_field_comes_back_as_text(project: Project) -> None:
    register(project, FORM)
    admin = visitor(project, "admin")
    hostile = '"><script>x</script>'
    reply = admin.post(PAGE, fields(admin.get(PAGE), **FIELDS | {"input/amount": hostile, "input/tags": hostile}))
    assert reply.status_code == 422
    assert "<script>x" not in reply.text


def switch(admin: Visitor, sent: dict[str, str]) -> Any:
    return admin.post(PAGE, sent | {"switch": "1"})


def test_json_and_form_are_two_ways_to_write_the_same(project: Project) -> None:
    register(project, FORM)
    admin = visitor(project, "admin")
    sent = fields(admin.get(PAGE), **FIELDS)
    as_json = switch(admin, sent)
    written = re.search(r'name="json"[^>]*>([^<]*)</textarea>', as_json.text)
    assert written is not None
    value = {"amount": "10.00", "to": {"iban": "DE89"}, "tags": ["a", "b"]}
    assert json.loads(unescape(written[1])) == value
    assert key_of(as_json) == sent["key"]
    raw = fields(as_json, raw="1", json=json.dumps(value))
    as_form = switch(admin, raw)
    assert 'value="DE89"' in as_form.text
    kept = switch(admin, raw | {"json": '{"more": 1}'})
    assert "no place for all of this" in words(kept.text)
    assert '{"more": 1}' in unescape(kept.text)
    assert project.call("alice", "GET", "/v1/executions").json()["data"] == []
    assert run_of(project, admin.post(PAGE, raw))["input"] == value
    assert 'name="json"' in admin.get(f"{PAGE}?raw=1").text


def test_without_a_schema_json_is_asked_for(project: Project) -> None:
    register(project, PLAIN)
    admin, path = visitor(project, "admin"), "/workflows/plain/start"
    page = admin.get(path)
    assert "Fill in a form" not in page.text
    for text, told in (
        ("{", "not acceptable JSON"),
        ("[]", "An input is a JSON object"),
        ('{"a": 1, "a": 2}', "twice"),
    ):
        refused = admin.post(path, fields(page, raw="1", json=text))
        assert refused.status_code == 422
        assert told in words(refused.text)
        assert text in unescape(refused.text)
    assert run_of(project, admin.post(path, fields(page, raw="1", json='{"amount": "1"}')))["input"] == {"amount": "1"}


def test_nobody_decides_what_a_run_waits_for_that_they_started(project: Project) -> None:
    """Not by a key and not in a session, though an admin may decide all else."""
    register(project, GATED)
    admin, path = visitor(project, "admin"), "/workflows/gated/start"
    begun = leads_to(admin.post(path, fields(admin.get(path), raw="1", json='{"amount": "1.00"}')))
    run = begun.removeprefix("/runs/")
    parked = project.call("alice", "GET", f"/v1/executions/{run}?wait=20").json()
    assert parked["status"] == "parked"
    (waiting,) = project.call("alice", "GET", f"/v1/executions/{run}/approvals").json()["pending"]
    portal, (token,) = project.client.portal, admin.cookies.values()
    session = portal.call(partial(project.server.accounts.caller, token, touch=False))
    assert session.has("approvals:decide")
    issue = project.server.principals.issue
    scopes = ("approvals:decide", "admin")
    key = portal.call(partial(issue, project.id, SYSTEM, principal=project.ids["admin"], scopes=scopes)).text
    approval = waiting["approval_id"]
    for act in (
        partial(project.server.approvals.decide, session, approval, "approved", reason=None, seen=None, key=None),
        partial(
            project.server.executions.approve,
            session,
            run,
            "approved",
            node=None,
            comment=None,
            approval=approval,
            key=None,
        ),
    ):
        with pytest.raises(Refusal) as refused:
            portal.call(act)
        assert refused.value.code == "self_decision"
    by_key = project.client.post(
        f"/v1/approvals/{approval}/decision",
        json={"decision": "approved"},
        headers={"Authorization": f"Bearer {key}"},
    )
    assert (by_key.status_code, by_key.json()["code"]) == (403, "self_decision")
    assert project.decide(approval).status_code == 200


def test_what_is_not_there_is_not_started(project: Project) -> None:
    register(project, FORM)
    admin = visitor(project, "admin")
    for path in ("/workflows/nothing/start", f"{PAGE}?version=9.9.9", "/workflows/No!/start"):
        assert admin.get(path).status_code == 404
    page = admin.get(PAGE)
    assert admin.post(PAGE, fields(page, **FIELDS) | {"version": "9.9.9"}).status_code == 404
    assert admin.post(PAGE, fields(page, **FIELDS) | {"key": ""}).status_code == 422
    assert admin.post(PAGE, fields(page, **FIELDS), csrf="x").status_code == 403
