"""Principals and keys by the API."""

import hashlib

import pytest

from signoff_server.core import keys
from tests.support.databases import Databases
from tests.support.project import Project
from tests.web.test_approvals import code


def test_a_principal_and_its_key(project: Project) -> None:
    made = project.call("admin", "POST", "/v1/principals", json={"name": "Dora", "kind": "human"}).json()
    assert (made["name"], made["kind"], made["role"], made["owner"]) == ("Dora", "human", "member", None)
    issue = {"principal": made["id"], "scopes": ["approvals:decide", "audit:read"], "expires_in": 60}
    issued = project.call("admin", "POST", "/v1/keys", json=issue).json()
    assert issued["key"].startswith("sgo_test_")
    assert issued["scopes"] == ["approvals:decide", "audit:read"]
    assert issued["expires_at"] == "2026-09-21T14:14:20.000Z"
    project.keys["dora"] = issued["key"]
    assert project.call("dora", "GET", "/v1/approvals").status_code == 200
    listed = project.call("admin", "GET", "/v1/keys").json()["data"][0]
    assert "key" not in listed
    assert listed["hint"] in issued["key"].replace(issued["key"][len(listed["hint"]) - 1 :], "…")
    assert project.call("admin", "GET", "/v1/principals").json()["data"][0] == made
    project.world.advance(60)
    assert code(project.call("dora", "GET", "/v1/approvals")) == (401, "unauthenticated")


@pytest.mark.parametrize("asking", ["approvals:create", "executions:write"])
def test_no_key_both_asks_and_decides(project: Project, asking: str) -> None:
    body = {"principal": project.ids["alice"], "scopes": [asking, "approvals:decide"]}
    assert code(project.call("admin", "POST", "/v1/keys", json=body)) == (403, "forbidden")


def test_admin_keys_are_for_admins(project: Project) -> None:
    body = {"principal": project.ids["alice"], "scopes": ["admin"]}
    assert code(project.call("admin", "POST", "/v1/keys", json=body)) == (403, "forbidden")


def test_names_are_taken_whatever_their_case(project: Project) -> None:
    reply = project.call("admin", "POST", "/v1/principals", json={"name": "ALICE", "kind": "human"})
    assert code(reply) == (409, "name_taken")


@pytest.mark.parametrize("owner", ["app", "nobody"])
def test_only_a_human_owns(project: Project, owner: str) -> None:
    body = {"name": "x", "kind": "agent", "owner": project.ids.get(owner, "prn_none")}
    assert code(project.call("admin", "POST", "/v1/principals", json=body)) == (422, "invalid")


@pytest.mark.parametrize("body", [{"name": "a b", "kind": "human"}, {"name": "x", "kind": "system"}, {"name": "x"}])
def test_principals_that_are_none(project: Project, body: dict[str, str]) -> None:
    assert code(project.call("admin", "POST", "/v1/principals", json=body)) == (422, "invalid")


def test_a_revoked_key_ends_within_a_second_and_stays_so(project: Project) -> None:
    assert project.call("alice", "GET", "/v1/approvals").status_code == 200
    key = keys.parse(project.keys["alice"])
    assert key is not None
    assert project.call("admin", "DELETE", f"/v1/keys/{key.id}").status_code == 204
    project.world.advance(0.999)
    assert code(project.call("alice", "GET", "/v1/approvals")) == (401, "unauthenticated")
    assert project.call("admin", "DELETE", f"/v1/keys/{key.id}").status_code == 204
    listed = project.call("admin", "GET", "/v1/keys?limit=200").json()["data"]
    assert [one["id"] for one in listed if one["revoked_at"]] == [key.id]
    assert project.call("bob", "GET", "/v1/approvals").status_code == 200


def test_of_a_key_only_a_digest_is_stored(databases: Databases, project: Project) -> None:
    stored = databases.stored(project.database)
    for text in project.keys.values():
        secret = text.rpartition("_")[2][:52]
        assert secret.encode() not in stored
        assert hashlib.sha256(text.encode()).hexdigest().encode() in stored


def test_every_mistyped_character_of_a_key_is_noticed() -> None:
    text = keys.make("dev", "key_" + "0" * 26, bytes(range(32)))
    assert keys.parse(text) == ("dev", "key_" + "0" * 26)
    for at in range(4, len(text)):
        other = "1" if text[at] != "1" else "2"
        assert keys.parse(text[:at] + other + text[at + 1 :]) is None
