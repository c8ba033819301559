"""Settings: principals and keys are made, shown once and revoked; the policy is set and tested; all by admins alone."""

import re
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.visits import leads_to, visitor, words

PAGES = ("/settings", "/settings/keys", "/settings/policy", "/settings/users")


@pytest.mark.parametrize("path", PAGES)
def test_settings_are_for_admins(project: Project, path: str) -> None:
    assert visitor(project, "admin").get(path).status_code == 200
    for who in ("alice", "auditor"):
        refused = visitor(project, who).get(path)
        assert refused.status_code == 403
        assert "Your role does not open this page." in words(refused.text)


@pytest.mark.parametrize(
    "path",
    ["/settings/principals", "/settings/keys", "/settings/keys/key_0/revoke", "/settings/policy", "/settings/users"],
)
def test_nobody_else_changes_settings(project: Project, path: str) -> None:
    alice = visitor(project, "alice")
    assert alice.post(path, {"name": "mallory", "kind": "human"}).status_code == 403
    assert "mallory" not in visitor(project, "admin").get("/settings").text


def test_a_principal_is_made_and_a_taken_name_is_told_with_nothing_lost(project: Project) -> None:
    admin = visitor(project, "admin")
    fields = {"name": "billing", "kind": "agent", "owner": project.ids["alice"]}
    assert leads_to(admin.post("/settings/principals", fields)) == "/settings"
    assert re.search(r"billing agent member alice", words(admin.get("/settings").text))
    again = admin.post("/settings/principals", fields | {"name": "Billing"})
    assert again.status_code == 409
    assert "There is a principal named Billing" in words(again.text)
    assert 'value="Billing"' in again.text
    assert admin.post("/settings/principals", {"name": "<b>", "kind": "human"}).status_code == 422


def issue(project: Project, **fields: Any) -> Any:
    given = {"principal": project.ids["app"], "scope": ["approvals:create"], "days": "30", **fields}
    return visitor(project, "admin").post("/settings/keys", given)


def test_a_key_is_shown_once_works_and_is_revoked(project: Project) -> None:
    shown = issue(project)
    assert shown.status_code == 200
    key = re.search(r"sgo_test_[a-z0-9]+_[a-z0-9]+", shown.text)
    assert key is not None
    headers = {"Authorization": f"Bearer {key[0]}"}
    asked = project.client.post("/v1/approvals", json={"name": "a"}, headers=headers)
    assert asked.status_code == 201
    admin = visitor(project, "admin")
    page = admin.get("/settings/keys")
    assert key[0] not in page.text
    (id_,) = {id_ for id_ in re.findall(r"/settings/keys/(key_\w+)/revoke", page.text) if id_[4:] in key[0]}
    assert leads_to(admin.post(f"/settings/keys/{id_}/revoke")) == "/settings/keys"
    assert "revoked" in words(admin.get("/settings/keys").text)
    assert project.client.post("/v1/approvals", json={"name": "a"}, headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"scope": []}, 422),
        ({"scope": ["approvals:create", "approvals:decide"]}, 403),
        ({"scope": ["admin"]}, 403),
        ({"scope": ["all"]}, 422),
        ({"days": "-1"}, 422),
        ({"principal": "prn_nobody"}, 422),
    ],
)
def test_no_key_is_issued_that_the_rules_forbid(project: Project, fields: dict[str, Any], status: int) -> None:
    refused = issue(project, **fields)
    assert refused.status_code == status
    assert re.search(r'role="alert"', refused.text)
    assert "shown this once" not in refused.text


def policy_fields(project: Project, **fields: str) -> dict[str, str]:
    page = visitor(project, "admin").get("/settings/policy").text
    seen = re.search(r'name="seen" value="(\d+)"', page)
    assert seen is not None
    return {"blocked_tools": "", "require_approval_for": "", "allow": "", "default": "", "seen": seen[1], **fields}


def test_the_policy_is_set_and_says_what_a_name_would_get(project: Project) -> None:
    admin = visitor(project, "admin")
    fields = policy_fields(project, blocked_tools="*.drop\r\n\r\n db.* ", require_approval_for="payments.*")
    assert leads_to(admin.post("/settings/policy", fields)) == "/settings/policy"
    for name, says in (
        ("payments.wire", "needs a person . The rule project/require_approval_for/payments.* speaks."),
        ("db.read", "is blocked . The rule project/blocked_tools/db.* speaks."),
        ("mail.send", "is let through . No rule speaks."),
    ):
        assert f"{name} {says}" in words(admin.get(f"/settings/policy?name={name}").text)
    assert project.ask(name="db.read")["status"] == "rejected"


def test_a_bad_pattern_is_told_and_nothing_is_lost(project: Project) -> None:
    admin = visitor(project, "admin")
    refused = admin.post("/settings/policy", policy_fields(project, allow="*", blocked_tools="a b"))
    assert refused.status_code == 422
    assert "the first segment of a pattern in `allow` is written out" in words(refused.text)
    assert ">a b</textarea>" in refused.text
    assert project.ask(name="a")["status"] == "pending"


def test_a_policy_that_somebody_changed_meanwhile_is_not_overwritten(project: Project) -> None:
    admin = visitor(project, "admin")
    first, second = policy_fields(project, blocked_tools="a.*"), policy_fields(project, blocked_tools="b.*")
    assert admin.post("/settings/policy", first).status_code == 303
    late = admin.post("/settings/policy", second)
    assert (late.status_code, "Somebody changed the policy meanwhile" in words(late.text)) == (409, True)
    assert "project/blocked_tools/a.*" in words(admin.get("/settings/policy?name=a.b").text)


PASSWORD = "correct horse battery"


def invited(project: Project, name: str, role: str) -> str:
    """The path of the link that an admin is shown."""
    shown = visitor(project, "admin").post("/settings/users", {"name": name, "role": role})
    assert shown.status_code == 200, words(shown.text)
    link = re.search(r"/sign-in/password\?token=[\w-]+", shown.text)
    assert link is not None
    assert link[0] not in visitor(project, "admin").get("/settings/users").text
    return link[0]


def enter(project: Project, name: str, password: str = PASSWORD) -> Any:
    """Somebody at the door with a password, and what they were answered."""
    at_the_door = visitor(project, None)
    fields = {"project": "one", "name": name, "password": password, "next": "/runs"}
    return at_the_door, at_the_door.post("/sign-in", fields, csrf="")


def test_a_user_is_invited_chooses_a_password_and_signs_in(project: Project) -> None:
    link = invited(project, "dana", "reviewer")
    dana = visitor(project, None)
    assert "Choose a password, dana" in words(dana.get(link).text)
    token = link.partition("=")[2]
    differ = dana.post("/sign-in/password", {"token": token, "password": PASSWORD, "again": "another"}, csrf="")
    assert (differ.status_code, "The two passwords differ." in words(differ.text)) == (422, True)
    fields = {"token": token, "password": PASSWORD, "again": PASSWORD}
    assert leads_to(dana.post("/sign-in/password", fields, csrf="")) == "/"
    assert "dana" in words(dana.get("/").text)
    assert "This link was used" in words(visitor(project, None).get(link).text)

    again, answer = enter(project, "Dana")
    assert leads_to(answer) == "/runs"
    assert again.get("/settings").status_code == 403
    _, refused = enter(project, "dana", "wrong horse battery")
    assert refused.status_code == 401
    assert 'value="dana"' in refused.text
    # The name of one project opens no other, whether there is one of that name or not.
    for other in ("two", "three"):
        fields = {"project": other, "name": "dana", "password": PASSWORD}
        assert words(visitor(project, None).post("/sign-in", fields, csrf="").text) == words(refused.text)


def test_a_user_who_is_signed_out_or_removed_is_out_at_once(project: Project) -> None:
    link = invited(project, "dana", "auditor")
    fields = {"token": link.partition("=")[2], "password": PASSWORD, "again": PASSWORD}
    visitor(project, None).post("/sign-in/password", fields, csrf="")
    admin = visitor(project, "admin")
    user = re.findall(r"dana</span>.*?/settings/users/(prn_\w+)/", admin.get("/settings/users").text, re.DOTALL)[0]
    for what in ("sign-out", "remove"):
        dana, _ = enter(project, "dana")
        assert dana.get("/").status_code == 200
        assert leads_to(admin.post(f"/settings/users/{user}/{what}")) == "/settings/users"
        assert leads_to(dana.get("/")) == "/sign-in"
    assert enter(project, "dana")[1].status_code == 401
    assert "dana" not in words(admin.get("/settings/users").text)


def test_an_admin_does_not_lock_themselves_out(project: Project) -> None:
    admin = visitor(project, "admin")
    refused = admin.post(f"/settings/users/{project.ids['admin']}/remove")
    assert refused.status_code in (403, 409)
    assert admin.get("/settings/users").status_code == 200
