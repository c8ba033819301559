"""The project's policy over HTTP: shown, set as a whole, and asked what it would say."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from tests.support.project import Project
from tests.support.workflows import GATED, PLAIN
from tests.web.test_executions import told

YAML: Final = {"Content-Type": "application/yaml"}
FULL: Final = """
# What nobody may do, and what somebody has to be asked for.
policy:
  blocked_tools: ["*.delete", {match: "Files.*"}]
  require_approval_for: ["payments.*"]
  allow: ["payments.quote"]
  default: require_approval
"""
NODE: Final = GATED.replace("next: end", 'next: end\n    policy: {blocked_tools: ["payments.submit"]}')


def put(project: Project, source: Any, who: str = "admin", **headers: str) -> Any:
    return project.call(who, "PUT", "/v1/policy", content=source, headers={**YAML, **headers})


def judged(project: Project, name: str, **body: Any) -> dict[str, Any]:
    reply = project.call("alice", "POST", "/v1/policy/judge", json={"name": name, **body})
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def changes(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.call("auditor", "GET", "/v1/events?type=policy.changed").json()["data"]
    return found


def test_it_begins_with_nothing_and_is_replaced_as_a_whole(project: Project) -> None:
    nothing = project.call("alice", "GET", "/v1/policy").json()
    assert nothing == {
        "blocked_tools": [],
        "require_approval_for": [],
        "allow": [],
        "default": None,
        "changed_at": None,
        "changed_by": None,
    }
    made = put(project, FULL)
    assert made.status_code == 200
    assert made.json() == project.call("starter", "GET", "/v1/policy").json()
    assert made.json()["blocked_tools"] == [{"match": "*.delete"}, {"match": "Files.*"}]
    assert (made.json()["default"], made.json()["changed_by"]["name"]) == ("require_approval", "admin")
    other = put(project, '{"allow": ["mail.*"]}').json()
    assert (other["blocked_tools"], other["allow"], other["default"]) == ([], [{"match": "mail.*"}], None)
    # What is shown is what may be set again.
    shown = {key: other[key] for key in ("blocked_tools", "require_approval_for", "allow")}
    assert project.call("admin", "PUT", "/v1/policy", content=repr(shown), headers=YAML).json() == other


def test_a_change_is_an_event_and_the_same_again_is_none(project: Project) -> None:
    for _ in range(3):
        put(project, FULL)
    (change,) = changes(project)
    assert (change["actor"]["id"], change["subject"]) == (project.ids["admin"], project.id)
    put(project, "{}")
    assert len(changes(project)) == 2


def test_of_two_at_once_each_is_whole(project: Project) -> None:
    sources = [f'{{blocked_tools: ["a{at}.*"], allow: ["b{at}.*"]}}' for at in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert {reply.status_code for reply in pool.map(lambda source: put(project, source), sources)} == {200}
    found = project.call("alice", "GET", "/v1/policy").json()
    (blocked,), (allowed,) = found["blocked_tools"], found["allow"]
    assert blocked["match"][1:] == allowed["match"][1:]
    assert len(changes(project)) == 6


# A file -> the pointer at its fault.
REFUSED: Final = {
    "": "",
    "[]": "",
    "a": "",
    "block: []": "/block",
    "blocked_tools: payments.*": "/blocked_tools",
    'blocked_tools: [""]': "/blocked_tools/0",
    "blocked_tools: [5]": "/blocked_tools/0",
    'blocked_tools: ["a", "pay[a].*"]': "/blocked_tools/1",
    'blocked_tools: ["pаy.*"]': "/blocked_tools/0",
    'blocked_tools: ["pay .*"]': "/blocked_tools/0",
    'blocked_tools: ["pay\\n"]': "/blocked_tools/0",
    'blocked_tools: ["' + "a" * 129 + '"]': "/blocked_tools/0",
    "blocked_tools: [{match: a, when: b}]": "/blocked_tools/0/when",
    "blocked_tools: [{}]": "/blocked_tools/0",
    'allow: ["*"]': "/allow/0",
    'allow: ["*.quote"]': "/allow/0",
    "default: deny": "/default",
    "default: null": "/default",
    "default: [block]": "/default",
    "policy: {default: deny}": "/policy/default",
    "blocked_tools: [" + ", ".join(["a"] * 501) + "]": "",
    "blocked_tools: &a [a]": "",
    "blocked_tools: [a]\nblocked_tools: [b]": "",
    "default: block\n---\ndefault: allow": "",
    "workflow: {}\npolicy: {}": "/workflow",
}


def test_what_is_refused_leaves_it_as_it_was(project: Project) -> None:
    before = put(project, FULL).json()
    for source, pointer in REFUSED.items():
        reply = put(project, source.encode())
        assert told(reply) == (422, "workflow_invalid"), source
        places = {error["pointer"]: error["message"] for error in reply.json()["errors"]}
        assert pointer in places or pointer == "", (source, places)
        assert all(message.startswith("line ") for message in places.values()), places
    assert told(put(project, FULL, **{"Content-Type": "application/json"})) == (415, "media_type")
    assert told(put(project, "# " + "x" * 262_144)) == (413, "too_large")
    for who in ("starter", "alice", "worker", "app"):
        assert told(put(project, "{}", who)) == (403, "forbidden")
    assert project.call("alice", "GET", "/v1/policy").json() == before
    assert len(changes(project)) == 1


@pytest.mark.parametrize(
    ("name", "verdict", "rule"),
    [
        ("db.delete", "block", ("project", "blocked_tools", "*.delete")),
        ("DB.Delete", "block", ("project", "blocked_tools", "*.delete")),
        ("payments.delete", "block", ("project", "blocked_tools", "*.delete")),
        ("files.read", "block", ("project", "blocked_tools", "Files.*")),
        ("payments.quote", "require_approval", ("project", "require_approval_for", "payments.*")),
        ("mail.send", "require_approval", ("project", "default", "require_approval")),
        ("mail..send", "block", None),
        ("máil.send", "block", None),
        (" mail.send", "block", None),
        ("x" * 129, "block", None),
    ],
)
def test_it_says_what_would_happen_and_which_rule_speaks(
    project: Project, name: str, verdict: str, rule: tuple[str, str, str] | None
) -> None:
    put(project, FULL)
    found = judged(project, name)
    spoken = found["rule"] and (found["rule"]["scope"], found["rule"]["section"], found["rule"]["pattern"])
    assert (found["verdict"], spoken) == (verdict, rule)


def test_all_that_name_it_are_told(project: Project) -> None:
    put(project, FULL)
    found = judged(project, "payments.delete")
    assert [(each["section"], each["pattern"]) for each in found["matched"]] == [
        ("blocked_tools", "*.delete"),
        ("require_approval_for", "payments.*"),
    ]
    assert judged(project, "mail.send")["matched"] == []


def test_the_policies_of_a_workflow_and_its_node_count_where_they_are_named(project: Project) -> None:
    assert judged(project, "payments.submit")["verdict"] == "allow"
    assert judged(project, "payments.submit", workflow=GATED)["rule"]["scope"] == "workflow"
    assert judged(project, "payments.submit", workflow=NODE)["verdict"] == "require_approval"
    of_node = judged(project, "payments.submit", workflow=NODE, node_id="pay")
    assert (of_node["verdict"], of_node["rule"]["scope"]) == ("block", "node")
    assert project.call("starter", "GET", "/v1/workflows").json()["data"] == []


def test_what_cannot_be_judged(project: Project) -> None:
    for body, status, pointer in (
        ({}, "invalid", "/name"),
        ({"name": ""}, "invalid", "/name"),
        ({"name": "a" * 201}, "invalid", "/name"),
        ({"name": "a\x00"}, "invalid", "/name"),
        ({"name": "a", "node_id": "pay"}, "invalid", "/workflow"),
        ({"name": "a", "workflow": PLAIN, "node_id": "nobody"}, "invalid", "/node_id"),
        ({"name": "a", "workflow": "nodes: ["}, "workflow_invalid", ""),
        ({"name": "a", "workflow": ""}, "workflow_invalid", ""),
        ({"name": "a", "policy": {}}, "invalid", "/policy"),
    ):
        reply = project.call("alice", "POST", "/v1/policy/judge", json=body)
        assert told(reply) == (422, status), body
        assert pointer in {error["pointer"] for error in reply.json()["errors"]} or status == "workflow_invalid", body


def test_a_project_has_its_own(projects: tuple[Project, Project]) -> None:
    one, two = projects
    put(one, "default: block")
    assert judged(one, "pay")["verdict"] == "block"
    assert judged(two, "pay")["verdict"] == "allow"
    assert two.ask()["status"] == "pending"
