"""Who may do what: every route × every sort of caller × own, foreign and unknown approvals, written out by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from signoff_server.web.routes import ROUTES
from tests.support.asgi import asked
from tests.support.project import CAST, Project
from tests.support.workflows import GATED, held, parked

EVERYONE = tuple(CAST)
OK = 200
FORBIDDEN = (403, "forbidden")
HIDDEN = (404, "not_found")
# It never ends by itself.
STREAM = "/v1/events/stream"

# What each of the cast is answered about a pending approval that `app` asked for; who is not named is forbidden.
ABOUT_A_PENDING_ONE: dict[tuple[str, str], dict[str, Any]] = {
    ("GET", "/v1/approvals/{id}"): {
        **dict.fromkeys(("app", "executor", "robot", "alice", "bob", "admin"), OK),
        **dict.fromkeys(("other-app", "agent"), HIDDEN),
    },
    ("GET", "/v1/approvals/{id}/events"): {
        **dict.fromkeys(("app", "executor", "robot", "alice", "bob", "admin"), OK),
        **dict.fromkeys(("other-app", "agent"), HIDDEN),
    },
    ("POST", "/v1/approvals/{id}/decision"): {
        **dict.fromkeys(("alice", "bob"), OK),
        "robot": (403, "kind_not_allowed"),
    },
    ("POST", "/v1/approvals/{id}/cancel"): {
        **dict.fromkeys(("app", "admin"), OK),
        **dict.fromkeys(("other-app", "agent"), HIDDEN),
    },
    ("POST", "/v1/approvals/{id}/redeem"): {
        **dict.fromkeys(("app", "executor"), (409, "not_approved")),
        **dict.fromkeys(("other-app", "agent"), HIDDEN),
    },
    ("POST", "/v1/approvals/{id}/renew"): {
        **dict.fromkeys(("app", "executor"), (409, "stale_fence")),
        **dict.fromkeys(("other-app", "agent"), HIDDEN),
    },
    ("POST", "/v1/approvals/{id}/outcome"): {
        **dict.fromkeys(("app", "executor"), (409, "stale_fence")),
        **dict.fromkeys(("other-app", "agent"), HIDDEN),
    },
    ("POST", "/v1/approvals/{id}/resolve"): {
        **dict.fromkeys(("alice", "bob", "admin"), (409, "nothing_to_resolve")),
        "robot": FORBIDDEN,
    },
}
SEES_RUNS = ("starter", "robot", "alice", "bob", "admin")
SEES_POLICY = ("starter", "robot", "alice", "bob", "admin")
# About a run that `starter` began and that waits for a decision.
ABOUT_A_PARKED_RUN: dict[tuple[str, str], dict[str, Any]] = {
    ("GET", "/v1/executions/{id}"): dict.fromkeys(SEES_RUNS, OK),
    ("GET", "/v1/executions/{id}/events"): dict.fromkeys(SEES_RUNS, OK),
    ("GET", "/v1/executions/{id}/approvals"): dict.fromkeys(SEES_RUNS, OK),
    ("GET", "/v1/executions/{id}/nodes/{node_id}"): dict.fromkeys(SEES_RUNS, OK),
    ("POST", "/v1/executions/{id}/approve"): {
        **dict.fromkeys(("alice", "bob"), OK),
        "robot": (403, "kind_not_allowed"),
    },
    ("POST", "/v1/executions/{id}/cancel"): dict.fromkeys(("starter", "admin"), OK),
    ("POST", "/v1/executions/{id}/signal"): {"starter": OK},
    ("POST", "/v1/executions/{id}/nodes/{node_id}/resolve"): {
        **dict.fromkeys(("alice", "bob", "admin"), (409, "nothing_to_resolve")),
        "robot": FORBIDDEN,
    },
}
# About an item that `worker` holds.
ABOUT_HELD_WORK: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/work/{id}/heartbeat"): {"worker": OK},
    ("POST", "/v1/work/{id}/complete"): {"worker": OK},
    ("POST", "/v1/work/{id}/fail"): {"worker": OK},
}
OF_THE_PROJECT: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/approvals"): dict.fromkeys(("app", "other-app", "agent"), 201),
    ("GET", "/v1/approvals"): dict.fromkeys(
        ("app", "other-app", "agent", "executor", "robot", "alice", "bob", "admin"), OK
    ),
    ("POST", "/v1/approvals/decisions"): dict.fromkeys(("robot", "alice", "bob"), OK),
    ("GET", "/v1/events"): dict.fromkeys(("robot", "alice", "bob", "auditor", "admin"), OK),
    ("GET", STREAM): dict.fromkeys(("robot", "alice", "bob", "auditor", "admin"), OK),
    ("POST", "/v1/principals"): {"admin": 201},
    ("GET", "/v1/principals"): {"admin": OK},
    ("POST", "/v1/keys"): {"admin": 201},
    ("GET", "/v1/keys"): {"admin": OK},
    ("DELETE", "/v1/keys/{id}"): {"admin": HIDDEN},
    ("POST", "/v1/users"): {"admin": 201},
    ("GET", "/v1/users"): {"admin": OK},
    ("POST", "/v1/users/{id}/link"): {"admin": HIDDEN},
    ("DELETE", "/v1/users/{id}"): {"admin": HIDDEN},
    ("DELETE", "/v1/users/{id}/sessions"): {"admin": HIDDEN},
    # Not where this server runs, whoever asks.
    ("POST", "/v1/sign-in-links"): {},
    ("POST", "/v1/workflows"): {"starter": 201},
    ("POST", "/v1/workflows/validate"): {"starter": OK},
    ("GET", "/v1/workflows"): dict.fromkeys(SEES_RUNS, OK),
    ("GET", "/v1/workflows/{id}"): dict.fromkeys(SEES_RUNS, HIDDEN),
    ("POST", "/v1/executions"): {"starter": HIDDEN},
    ("GET", "/v1/executions"): dict.fromkeys(SEES_RUNS, OK),
    ("POST", "/v1/work/lease"): {"worker": OK},
    ("GET", "/v1/policy"): dict.fromkeys(SEES_POLICY, OK),
    ("PUT", "/v1/policy"): {"admin": OK},
    ("POST", "/v1/policy/judge"): dict.fromkeys(SEES_POLICY, OK),
}
PUBLIC = {("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/openapi.yaml", "/workflow.schema.json")}
ABOUT_ONE = {**ABOUT_A_PENDING_ONE, **ABOUT_A_PARKED_RUN, **ABOUT_HELD_WORK}
PRIVATE = sorted({**ABOUT_ONE, **OF_THE_PROJECT})
YAML_BODIES = {"/v1/workflows": GATED, "/v1/workflows/validate": GATED, "/v1/policy": "blocked_tools: []"}


def body(path: str, project: Project, approval: dict[str, Any], who: str) -> dict[str, Any] | None:
    made: dict[str, dict[str, Any]] = {
        "decision": {"decision": "approved"},
        "decisions": {"decisions": [{"id": approval["id"], "decision": "approved"}]},
        "cancel": {},
        "redeem": {"binding": approval.get("binding", ""), "redeemer": "r"},
        "renew": {"fence": 1},
        "outcome": {"fence": 1, "outcome": "succeeded"},
        "resolve": {"outcome": "release", "reason": "x"},
        "approvals": {"name": "a"},
        "principals": {"name": f"new-{who}", "kind": "human"},
        "users": {"name": f"user-{who}", "role": "reviewer"},
        "keys": {"principal": project.ids["app"], "scopes": ["approvals:create"]},
        "approve": {"decision": "approved"},
        "signal": {"name": "paid"},
        "executions": {"workflow_id": "unknown"},
        "lease": {"request": "r", "tools": [{"name": "pay"}]},
        "heartbeat": {"fence": 1},
        "complete": {"fence": 1},
        "fail": {"fence": 1, "outcome": "failed", "message": "no"},
        "judge": {"name": "payments.submit"},
    }
    if path.endswith("/nodes/{node_id}/resolve"):
        return {"outcome": "failed", "reason": "x"}
    return made.get(path.rpartition("/")[2])


def subject(project: Project, method: str, path: str) -> dict[str, Any]:
    """What the route is about, made afresh."""
    if (method, path) in ABOUT_A_PARKED_RUN:
        return parked(project)
    if (method, path) in ABOUT_HELD_WORK:
        return held(project)
    return project.ask()


def attempt(project: Project, method: str, path: str, who: str | None, approval: dict[str, Any]) -> Any:
    if path == STREAM:
        with asked(project, who, method, path) as answer:
            return answer.status if answer.status < 400 else (answer.status, answer.json()["code"])
    at = path.replace("{id}", approval["id"]).replace("{node_id}", "pay")
    if (text := YAML_BODIES.get(path)) is not None and method != "GET":
        reply = project.call(who, method, at, content=text, headers={"Content-Type": "application/yaml"})
    else:
        sent = body(path, project, approval, who or "nobody") if method == "POST" else None
        reply = project.call(who, method, at, json=sent)
    return reply.status_code if reply.status_code < 400 else (reply.status_code, reply.json()["code"])


def test_every_route_is_in_the_table() -> None:
    assert {(route.method, route.path) for route in ROUTES} == {*PRIVATE, *PUBLIC}


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_who_may(project: Project, method: str, path: str) -> None:
    expected = {**ABOUT_ONE, **OF_THE_PROJECT}[method, path]
    for who in EVERYONE:
        found = attempt(project, method, path, who, subject(project, method, path))
        assert found == expected.get(who, FORBIDDEN), who


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_nobody_without_a_key(projects: tuple[Project, Project], method: str, path: str) -> None:
    project, _ = projects
    approval, genuine = project.ask(), project.keys["alice"]
    wrong: list[Callable[[], str]] = [
        lambda: "",
        lambda: "x",
        lambda: genuine[:-1],
        lambda: genuine[:-1] + ("0" if genuine[-1] != "0" else "1"),
        lambda: genuine.upper(),
        lambda: genuine + "\x00",
        lambda: genuine.replace("sgo_test", "sgo_live"),
    ]
    for make in wrong:
        project.keys["nobody"] = make()
        assert attempt(project, method, path, "nobody", approval) == (401, "unauthenticated")
    assert attempt(project, method, path, None, approval) == (401, "unauthenticated")


@pytest.mark.parametrize(("method", "path"), sorted(ABOUT_ONE))
def test_nobody_of_another_project(projects: tuple[Project, Project], method: str, path: str) -> None:
    mine, other = projects
    about = subject(mine, method, path)
    before = mine.call("admin", "GET", "/v1/approvals").json(), mine.call("admin", "GET", "/v1/executions").json()
    for who in EVERYONE:
        expected = HIDDEN if who in ABOUT_ONE[method, path] else FORBIDDEN
        assert attempt(other, method, path, who, about) == expected, who
    after = mine.call("admin", "GET", "/v1/approvals").json(), mine.call("admin", "GET", "/v1/executions").json()
    assert after == before


@pytest.mark.parametrize(("method", "path"), sorted(PUBLIC))
def test_what_is_public(project: Project, method: str, path: str) -> None:
    assert project.call(None, method, path).status_code == 200


def test_a_human_who_asks_does_not_decide_with_another_key(project: Project) -> None:
    issue = {"principal": project.ids["alice"], "scopes": ["approvals:create"]}
    project.keys["alice-asks"] = project.call("admin", "POST", "/v1/keys", json=issue).json()["key"]
    made = project.ask("alice-asks")
    reply = project.decide(made["id"], who="alice")
    assert (reply.status_code, reply.json()["code"]) == (403, "self_decision")
