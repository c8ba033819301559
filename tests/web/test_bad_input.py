"""Bad input: the contract's error, and nothing stored."""

import json
from typing import Any

import pytest

from tests.support.project import Project
from tests.web.test_approvals import code

JSON = {"Content-Type": "application/json"}
NAMES = [
    "",
    " a",
    "a ",
    "a\n",
    "a..b",
    ".a",
    "a.",
    "a b",
    "ä",
    "a*",
    "a/",
    "-a",
    "a" * 129,
    "a\u0000",
    "ａ",
    "a․b",
    5,
    None,
]
FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"context": []}, "/context"),
    ({"context": None}, "/context"),
    ({"context": "x"}, "/context"),
    ({"context": {"a": "x" * 65_536}}, "/context"),
    ({"arguments": {"a": "x" * 65_536}}, "/arguments"),
    ({"arguments": "x"}, "/arguments"),
    ({"summary": "x" * 501}, "/summary"),
    ({"summary": 5}, "/summary"),
    ({"expires_in": 0}, "/expires_in"),
    ({"expires_in": -1}, "/expires_in"),
    ({"expires_in": 366 * 86_400}, "/expires_in"),
    ({"expires_in": 1.5}, "/expires_in"),
    ({"expires_in": "60"}, "/expires_in"),
    ({"expires_in": True}, "/expires_in"),
    ({"reviewers": "user:alice"}, "/reviewers"),
    ({"reviewers": [5]}, "/reviewers/0"),
    ({"metadata": {"a": 5}}, "/metadata/a"),
    ({"metadata": {"a": {"b": "c"}}}, "/metadata/a"),
    ({"on_behalf_of": ""}, "/on_behalf_of"),
    ({"traceparent": "00-x"}, "/traceparent"),
    ({"requested_by": "prn_x"}, "/requested_by"),
    ({"project": "prj_x"}, "/project"),
    ({"status": "approved"}, "/status"),
    ({"id": "apr_x"}, "/id"),
    ({"decided_by": {"id": "x"}}, "/decided_by"),
]
BODIES: list[tuple[bytes, int, str]] = [
    (b"{", 400, "malformed_json"),
    (b'{"name": "a", "name": "b"}', 400, "malformed_json"),
    (b'{"name": "a", "context": {"x": NaN}}', 400, "malformed_json"),
    (b'{"name": "a", "context": {"x": "\xff"}}', 400, "malformed_json"),
    (b"[" * 100_000, 400, "malformed_json"),
    (b'{"name": "a", "context": {"x": 9007199254740992}}', 422, "invalid"),
    (b'{"name": "a", "context": {"x": 1e999}}', 422, "invalid"),
    (b'{"name": "a", "context": {"x": "\\ud800"}}', 422, "invalid"),
    (b'{"name": "a", "context": {"x": "\\u0000"}}', 422, "invalid"),
    (b'{"name": "a", "context": ' + b'{"x":' * 32 + b"1" + b"}" * 33, 422, "invalid"),
    (b'{"name": "a", "context": {"' + b"k" * 257 + b'": 1}}', 422, "invalid"),
    (b"[]", 422, "invalid"),
    (b'"x"', 422, "invalid"),
    (b"null", 422, "invalid"),
    (b"", 422, "invalid"),
    (b'{"name": "a", "context": {"x": "' + b"y" * 300_000 + b'"}}', 413, "too_large"),
]


def stored(project: Project) -> int:
    return len(project.call("auditor", "GET", "/v1/events?type=approval.*").json()["data"])


@pytest.fixture
def untouched(project: Project) -> Any:
    yield project
    assert stored(project) == 0


def post(project: Project, body: bytes, media_type: str = "application/json", **headers: str) -> Any:
    return project.call("app", "POST", "/v1/approvals", content=body, headers={"Content-Type": media_type, **headers})


def test_names(untouched: Project) -> None:
    for name in NAMES:
        reply = post(untouched, json.dumps({"name": name}).encode())
        assert code(reply) == (422, "invalid"), name
        assert reply.json()["errors"][0]["pointer"] == "/name", name


def test_fields(untouched: Project) -> None:
    for body, pointer in FIELDS:
        reply = post(untouched, json.dumps({"name": "a", **body}).encode())
        assert code(reply) == (422, "invalid"), body
        assert reply.json()["errors"][0]["pointer"] == pointer, body


def test_bodies(untouched: Project) -> None:
    for body, status, problem in BODIES:
        assert code(post(untouched, body)) == (status, problem), body[:60]


def test_every_fault_is_told_at_once(untouched: Project) -> None:
    reply = post(untouched, b'{"name": "a b", "summary": 5, "zzz": 1}')
    assert {error["pointer"] for error in reply.json()["errors"]} == {"/name", "/summary", "/zzz"}


@pytest.mark.parametrize(
    ("reviewer", "fits"),
    [
        ("user:alice", True),
        ("user:ALICE", True),
        ("user:", False),
        ("alice", False),
        ("USER:alice", False),
        ("user: alice", False),
        ("user:alice ", False),
        ("user:al%", False),
        ("user:_lice", False),
        ("user:*", False),
        ("user:alıce", False),
        ("user:ａlice", False),
        ("user:alice\n", False),
        ("user:app", False),
        ("", False),
    ],
)
def test_reviewers(project: Project, reviewer: str, fits: bool) -> None:
    reply = post(project, json.dumps({"name": "a", "reviewers": [reviewer]}).encode())
    if fits:
        assert reply.json()["requirement"]["reviewers"] == ["user:alice"]
    else:
        assert code(reply) == (422, "no_eligible_reviewer")
        assert reply.json()["errors"][0]["pointer"] == "/reviewers/0"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("carol", 201),
        ("a.b_c@d+e-f", 201),
        ("x" * 64, 201),
        ("alice", (409, "name_taken")),
        ("ALICE", (409, "name_taken")),
        ("x" * 65, (422, "invalid")),
        ("", (422, "invalid")),
        ("-a", (422, "invalid")),
        ("a b", (422, "invalid")),
        ("alice\n", (422, "invalid")),
        ("alıce", (422, "invalid")),
        ("ａlice", (422, "invalid")),
        ("al%", (422, "invalid")),
        ("user:alice", (422, "invalid")),
    ],
)
def test_names_of_principals(project: Project, name: str, told: Any) -> None:
    reply = project.call("admin", "POST", "/v1/principals", json={"name": name, "kind": "human"})
    assert (reply.status_code if told == 201 else code(reply)) == told


def test_bodies_of_principals_and_keys(project: Project) -> None:
    before = len(project.call("auditor", "GET", "/v1/events?limit=200").json()["data"])
    principal = project.ids["app"]
    for path, body, pointer in (
        ("principals", {"name": "carol", "kind": "person"}, "/kind"),
        ("principals", {"name": "carol", "kind": "human", "role": "owner"}, "/role"),
        ("principals", {"name": "carol", "kind": "service", "owner": "prn_x"}, "/owner"),
        ("principals", {"name": "carol", "kind": "service", "owner": principal}, "/owner"),
        ("principals", {"name": "carol", "kind": "service", "owner": "%"}, "/owner"),
        ("principals", {"name": "carol", "kind": "service", "owner": ""}, "/owner"),
        ("keys", {"principal": "prn_x", "scopes": ["work"]}, "/principal"),
        ("keys", {"principal": principal.upper(), "scopes": ["work"]}, "/principal"),
        ("keys", {"principal": f"{principal[:-1]}_", "scopes": ["work"]}, "/principal"),
        ("keys", {"principal": principal, "scopes": []}, "/scopes"),
        ("keys", {"principal": principal, "scopes": ["Work"]}, "/scopes/0"),
        ("keys", {"principal": principal, "scopes": ["approvals:create", "approvals:decide"]}, "/scopes"),
        ("keys", {"principal": principal, "scopes": ["work"], "expires_in": 0}, "/expires_in"),
        ("keys", {"principal": principal, "scopes": ["work"], "expires_in": 2**63}, "/expires_in"),
    ):
        reply = project.call("admin", "POST", f"/v1/{path}", json=body)
        assert reply.status_code in (403, 422), (body, reply.text)
        if reply.status_code == 422:
            assert reply.json()["errors"][0]["pointer"] == pointer, (body, reply.text)
    assert len(project.call("auditor", "GET", "/v1/events?limit=200").json()["data"]) == before


def test_idempotency_keys(project: Project) -> None:
    body = b'{"name": "a"}'
    for key in ("", "k" * 256, "k\x7f", b"k\xe9", "a\tb", b"\xff"):
        reply = post(project, body, **{"Idempotency-Key": key})  # type: ignore[arg-type]
        assert code(reply) == (400, "invalid_parameter"), key
    assert stored(project) == 0
    # What looks alike is not the same: each asks for itself.
    keys = ["k", "K", "k%", "k_", "k*", "'; --", "\\", "k" * 255, "~!@#$^&()", "k k"]
    made = [post(project, body, **{"Idempotency-Key": key}).json()["id"] for key in keys]
    assert len(set(made)) == len(keys)
    assert [post(project, body, **{"Idempotency-Key": key}).json()["id"] for key in keys] == made


def test_media_types(untouched: Project) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"):
        assert code(post(untouched, b'{"name": "a"}', media_type)) == (415, "media_type")


def test_a_body_that_grows_past_the_limit_without_saying_so(untouched: Project) -> None:
    def chunks() -> Any:
        yield b'{"name": "a", "context": {"x": "'
        for _ in range(300):
            yield b"y" * 1_024
        yield b'"}}'

    headers = {"Content-Type": "application/json"}
    reply = untouched.call("app", "POST", "/v1/approvals", content=chunks(), headers=headers)
    assert code(reply) == (413, "too_large")


def test_names_that_pass(project: Project) -> None:
    for name in ("a", "payments.wire_transfer", "A-1/b.c", "x" * 128, "a_/_b"):
        assert post(project, json.dumps({"name": name}).encode()).status_code == 201, name


def test_the_largest_context_passes(project: Project) -> None:
    assert post(project, json.dumps({"name": "a", "context": {"a": "x" * (65_536 - 8)}}).encode()).status_code == 201


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("decision", {"decision": "maybe"}),
        ("decision", {"decision": "approved", "decided_by": "prn_x"}),
        ("decision", {"decision": "approved", "reason": ""}),
        ("decision", {"decision": "approved", "reason": "x" * 2_001}),
        ("decision", {}),
        ("cancel", {"reason": 5}),
        ("cancel", {"actor": "x"}),
        ("resolve", {"outcome": "unknown", "reason": "x"}),
        ("resolve", {"outcome": "release"}),
    ],
)
def test_bad_decisions_leave_it_pending(project: Project, path: str, body: dict[str, Any]) -> None:
    made = project.ask()
    who = "admin" if path == "cancel" else "alice"
    assert code(project.call(who, "POST", f"/v1/approvals/{made['id']}/{path}", json=body)) == (422, "invalid")
    assert project.get(made["id"]) == made


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("redeem", {"binding": "x", "redeemer": "a b"}),
        ("redeem", {"binding": "x", "redeemer": ""}),
        ("redeem", {"binding": "x" * 101, "redeemer": "a"}),
        ("renew", {"fence": 0}),
        ("renew", {"fence": "1"}),
        ("outcome", {"fence": 1, "outcome": "unknown"}),
        ("outcome", {"fence": 2**53, "outcome": "failed"}),
    ],
)
def test_bad_redemptions(project: Project, path: str, body: dict[str, Any]) -> None:
    made = project.approved()
    assert code(project.call("app", "POST", f"/v1/approvals/{made['id']}/{path}", json=body)) == (422, "invalid")
    assert project.get(made["id"]) == made


@pytest.mark.parametrize("approval", ["apr_" + "0" * 26, "x", "%00", "apr_%F0%9F%98%80", "..", "prn_1"])
def test_ids_that_are_none(project: Project, approval: str) -> None:
    assert project.call("alice", "GET", f"/v1/approvals/{approval}").status_code == 404


def test_another_projects_ids_do_not_exist(projects: tuple[Project, Project]) -> None:
    one, two = projects
    made = one.ask()
    for who in ("alice", "app", "admin", "executor"):
        assert code(two.call(who, "GET", f"/v1/approvals/{made['id']}")) == (404, "not_found")
    assert code(two.decide(made["id"])) == (404, "not_found")
    assert two.call("alice", "GET", "/v1/approvals").json()["data"] == []
    assert all(
        event["subject"] != made["id"] for event in two.call("auditor", "GET", "/v1/events?limit=200").json()["data"]
    )
    key = one.call("admin", "GET", "/v1/keys").json()["data"][0]["id"]
    assert code(two.call("admin", "DELETE", f"/v1/keys/{key}")) == (404, "not_found")
    body = {"principal": one.ids["app"], "scopes": ["approvals:create"]}
    assert code(two.call("admin", "POST", "/v1/keys", json=body)) == (422, "invalid")


def test_hosts(project: Project) -> None:
    for host in ("evil.example", "localhost.evil.example", "", "testserver.evil"):
        assert code(project.call("alice", "GET", "/v1/approvals", headers={"Host": host})) == (400, "host_not_allowed")
    for host in ("localhost:1234", "127.0.0.1", "[::1]:80", "TESTSERVER"):
        assert project.call("alice", "GET", "/v1/approvals", headers={"Host": host}).status_code == 200


def test_paths_and_methods_that_are_none(project: Project) -> None:
    assert code(project.call("alice", "GET", "/v1/nothing")) == (404, "not_found")
    assert code(project.call("alice", "PUT", "/v1/approvals")) == (405, "method_not_allowed")
    assert code(project.call("alice", "DELETE", "/healthz")) == (405, "method_not_allowed")
    assert project.call("alice", "PUT", "/v1/approvals").headers["Allow"] == "GET, HEAD, POST"
    assert project.call("alice", "PUT", f"/v1/approvals/{'x' * 30}/cancel").headers["Allow"] == "POST"


def test_a_slash_too_many_is_no_redirect(project: Project) -> None:
    for method in ("GET", "POST"):
        reply = project.call("app", method, "/v1/approvals/", follow_redirects=False)
        assert code(reply) == (404, "not_found")


def test_whole_numbers_may_have_a_point(project: Project) -> None:
    made = post(project, b'{"name": "a", "expires_in": 60.0}')
    assert made.status_code == 201
    path = f"/v1/approvals/{made.json()['id']}/renew"
    for fence in (b"1e300", b"1.5", b"-1.0", b"9007199254740992.0"):
        reply = project.call("app", "POST", path, content=b'{"fence": ' + fence + b"}", headers=JSON)
        assert code(reply) == (422, "invalid"), fence


def test_reading_changes_nothing(project: Project) -> None:
    made = project.approved()
    before = project.call("auditor", "GET", "/v1/events?limit=200").json()
    for path in ("", f"/{made['id']}", f"/{made['id']}/events"):
        for method in ("GET", "HEAD"):
            assert project.call("alice", method, f"/v1/approvals{path}").status_code == 200
    assert project.call("auditor", "GET", "/v1/events?limit=200").json() == before
