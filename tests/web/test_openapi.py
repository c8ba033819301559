"""`openapi.yaml` is what the routes and the models say, and valid; real answers keep it."""

from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from signoff_server.core.refusals import CODES
from signoff_server.web import openapi
from signoff_server.web.routes import ROUTES
from tests.support.project import Project

COMMITTED = Path(__file__).parents[2] / "openapi.yaml"


def test_the_committed_file_is_the_generated_one() -> None:
    assert COMMITTED.read_text() == openapi.document(), "run `make openapi`"


def test_it_is_valid() -> None:
    validate(openapi.build())


def test_every_route_and_every_code_is_in_it() -> None:
    document = openapi.build()
    for route in ROUTES:
        assert route.method.lower() in document["paths"][route.path]
    assert document["components"]["schemas"]["ProblemCode"]["enum"] == list(CODES)
    told = {code for route in ROUTES for code in route.codes}
    # The one is of no route, the other of the page where people sign in.
    assert told | {"method_not_allowed", "sign_in_locked"} == set(CODES)


def test_operations_have_names_of_their_own() -> None:
    paths = openapi.build()["paths"].values()
    names = [operation["operationId"] for path in paths for operation in path.values()]
    assert len(names) == len(set(names))


def test_bounds_are_said_in_words_that_a_schema_has() -> None:
    for model in openapi.build()["components"]["schemas"].values():
        for member in model.get("properties", {}).values():
            assert not {"ge", "le", "gt", "lt"} & set(member), member


def test_it_is_served(project: Project) -> None:
    reply = project.call(None, "GET", "/openapi.yaml")
    assert yaml.safe_load(reply.text) == openapi.build()


def test_real_answers_keep_it(project: Project) -> None:
    document = openapi.build()

    def check(path: str, method: str, reply: Any) -> None:
        content = document["paths"][path][method]["responses"][str(reply.status_code)]["content"]
        schema = content[reply.headers["content-type"]]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(reply.json())

    one = "/v1/approvals/{id}"
    made = project.call("app", "POST", "/v1/approvals", json={"name": "a", "reviewers": ["user:alice"]}, key="k")
    path = f"/v1/approvals/{made.json()['id']}"
    check("/v1/approvals", "post", made)
    check("/v1/approvals", "post", project.call("app", "POST", "/v1/approvals", json={"name": "a b"}))
    check("/v1/approvals", "post", project.call("app", "POST", "/v1/approvals", json={"name": "a"}, key="k"))
    check(f"{one}/decision", "post", project.decide(made.json()["id"], who="bob"))
    check(f"{one}/decision", "post", project.decide(made.json()["id"]))
    check(f"{one}/decision", "post", project.decide(made.json()["id"]))
    many = {"decisions": [{"id": each, "decision": "approved"} for each in (project.ask()["id"], made.json()["id"])]}
    check("/v1/approvals/decisions", "post", project.call("alice", "POST", "/v1/approvals/decisions", json=many))
    check(f"{one}/redeem", "post", project.redeem(made.json()))
    check(f"{one}/redeem", "post", project.redeem(made.json(), "r2"))
    check(f"{one}/renew", "post", project.call("app", "POST", f"{path}/renew", json={"fence": 1}))
    check(one, "get", project.call("app", "GET", path))
    check("/v1/approvals", "get", project.call("alice", "GET", "/v1/approvals"))
    check(f"{one}/events", "get", project.call("alice", "GET", f"{path}/events"))
    check("/v1/events", "get", project.call("auditor", "GET", "/v1/events"))
    check("/v1/keys", "get", project.call("admin", "GET", "/v1/keys"))
    check("/v1/principals", "get", project.call("admin", "GET", "/v1/principals"))
    check("/v1/principals", "get", project.call("app", "GET", "/v1/principals"))
    check("/v1/principals", "get", project.call(None, "GET", "/v1/principals"))
