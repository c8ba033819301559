"""Who may sign in, by the API."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from tests.service.test_accounts import PASSWORD, acting, by_link, refused, run, sign_in
from tests.support.databases import Databases
from tests.support.project import Project, running
from tests.web.test_approvals import code

HERE = ("127.0.0.1", 50_000)


def add(project: Project, name: str, role: str = "reviewer", who: str = "admin") -> Any:
    return project.call(who, "POST", "/v1/users", json={"name": name, "role": role})


def token_of(url: str, path: str) -> str:
    """The secret in a link to this page of the server."""
    split = urlsplit(url)
    assert split.path == path
    (token,) = parse_qs(split.query)["token"]
    return token


def test_a_human_is_made_and_chooses_a_password(project: Project) -> None:
    reply = add(project, "Dora")
    made = reply.json()
    assert (reply.status_code, made["name"], made["role"]) == (201, "Dora", "reviewer")
    assert made["expires_at"] == "2026-09-22T14:13:20.000Z"
    assert made["url"].startswith(f"{project.server.url}/")
    token = token_of(made["url"], "/sign-in/password")
    run(project, project.server.accounts.set_password, token, PASSWORD)
    assert sign_in(project, name="Dora").session
    listed = project.call("admin", "GET", "/v1/users?limit=1").json()
    (found,) = listed["data"]
    assert found | {"created_at": ""} == {
        "id": made["id"],
        "name": "Dora",
        "role": "reviewer",
        "has_password": True,
        "sessions": 2,
        "created_at": "",
    }
    following = project.call("admin", "GET", f"/v1/users?cursor={listed['next_cursor']}").json()
    assert [each["name"] for each in following["data"]] == ["admin", "auditor", "bob", "alice"]
    assert following["next_cursor"] is None


def test_who_is_there_gets_the_role(project: Project) -> None:
    reply = add(project, "ALICE", "admin")
    assert (reply.status_code, reply.json()["id"], reply.json()["role"]) == (200, project.ids["alice"], "admin")
    people = project.call("admin", "GET", "/v1/principals").json()["data"]
    assert {each["role"] for each in people if each["name"] == "alice"} == {"admin"}


@pytest.mark.parametrize(
    "body", [{"name": "a b", "role": "admin"}, {"name": "x", "role": "member"}, {"name": "x"}, {"name": "app"}]
)
def test_users_that_are_none(project: Project, body: dict[str, str]) -> None:
    assert code(project.call("admin", "POST", "/v1/users", json=body)) == (422, "invalid")


def test_only_humans_sign_in(project: Project) -> None:
    assert code(add(project, "app")) == (422, "invalid")


def test_a_forgotten_password(project: Project) -> None:
    reply = project.call("admin", "POST", f"/v1/users/{project.ids['alice']}/link")
    assert reply.status_code == 200
    assert token_of(reply.json()["url"], "/sign-in/password")
    assert code(project.call("admin", "POST", f"/v1/users/{project.ids['app']}/link")) == (404, "not_found")


def test_endings(project: Project) -> None:
    entered = by_link(project)
    at = f"/v1/users/{project.ids['alice']}"
    assert project.call("admin", "DELETE", f"{at}/sessions").status_code == 204
    assert refused(project, project.server.accounts.caller, entered.token, touch=False) == "unauthenticated"
    assert project.call("admin", "DELETE", at).status_code == 204
    assert code(project.call("admin", "DELETE", at)) == (404, "not_found")
    # Their key is another matter.
    assert project.call("alice", "GET", "/v1/approvals").status_code == 200


def test_the_last_admin_and_oneself_stay(project: Project) -> None:
    assert code(project.call("admin", "DELETE", f"/v1/users/{project.ids['admin']}")) == (403, "forbidden")
    assert code(add(project, "admin", "auditor")) == (403, "forbidden")
    add(project, "alice", "admin")
    issue = {"principal": project.ids["alice"], "scopes": ["admin"]}
    project.keys["alice"] = project.call("admin", "POST", "/v1/keys", json=issue).json()["key"]
    run(project, project.server.accounts.remove, acting(project), project.ids["alice"])
    # Who may not sign in has a key yet.
    assert code(project.call("alice", "DELETE", f"/v1/users/{project.ids['admin']}")) == (409, "last_admin")


def test_nobody_of_another_project(projects: tuple[Project, Project]) -> None:
    project, other = projects
    at = f"/v1/users/{other.ids['alice']}"
    for method, path in (("POST", f"{at}/link"), ("DELETE", at), ("DELETE", f"{at}/sessions")):
        assert code(project.call("admin", method, path)) == (404, "not_found")
    listed = project.call("admin", "GET", "/v1/users").json()["data"]
    assert {each["id"] for each in listed} <= set(project.ids.values())


@pytest.mark.parametrize(
    ("environment", "peer", "headers", "said"),
    [
        ("live", HERE, {}, "environment dev"),
        ("dev", ("192.0.2.1", 50_000), {}, "own machine"),
        ("dev", ("testclient", 50_000), {}, "own machine"),
        ("dev", HERE, {"X-Forwarded-For": "127.0.0.1"}, "own machine"),
        ("dev", HERE, {"Forwarded": "for=127.0.0.1"}, "own machine"),
    ],
)
def test_where_no_sign_in_links_are_made(
    databases: Databases, environment: str, peer: tuple[str, int], headers: dict[str, str], said: str
) -> None:
    with running(databases, environment=environment) as (project, _):
        client = TestClient(project.client.app, client=peer)
        reply = client.post("/v1/sign-in-links", headers={"Authorization": f"Bearer {project.keys['alice']}"} | headers)
        assert code(reply) == (403, "forbidden")
        assert said in reply.json()["detail"]


@pytest.mark.parametrize("peer", [HERE, ("::1", 50_000), ("::ffff:127.0.0.1", 50_000)])
def test_a_sign_in_link_for_the_human_of_the_key(databases: Databases, peer: tuple[str, int]) -> None:
    with running(databases, environment="dev") as (project, _):
        client = TestClient(project.client.app, client=peer)

        def ask(who: str) -> Any:
            return client.post("/v1/sign-in-links", headers={"Authorization": f"Bearer {project.keys[who]}"})

        made = ask("alice")
        assert made.status_code == 201
        entered = run(project, project.server.accounts.exchange, token_of(made.json()["url"], "/sign-in/link"))
        assert run(project, project.server.accounts.caller, entered.token, touch=False).id == project.ids["alice"]
        assert code(ask("robot")) == (403, "forbidden")
        run(project, project.server.accounts.remove, acting(project), project.ids["bob"])
        assert code(ask("bob")) == (403, "forbidden")
