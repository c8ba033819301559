"""Registering workflows over HTTP: what is taken, what is refused and where the fault is, and what is listed."""

import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from signoff_server.core.definitions import DefinitionInvalid
from signoff_server.core.definitions import read as read_file
from tests.support.project import Project
from tests.support.workflows import GATED, PLAIN, parked, read, register, settle, start, take
from tests.web.test_executions import events, told
from tests.web.test_queries import REFUSED

YAML: Final = {"Content-Type": "application/yaml"}
KIB: Final = 1024
# Each is refused, in little time and memory however much it would come to.
BOMBS: Final = {
    "anchors": b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + at, 98 + at, b", ".join([b"*%c" % (97 + at)] * 9)) for at in range(9)),
    "merge": b"a: &a {b: 1}\nc: {<<: *a}",
    "tag": b"a: !!python/object/apply:os.system [ls]",
    "other tag": b"workflow: !!map {}",
    "duplicate key": b"workflow: {id: a}\nnodes: {}\nworkflow: {id: b}",
    "documents": b"workflow: {}\n---\nworkflow: {}",
    "deep lists": b"a: " + b"[" * 100_000,
    "deep maps": b"a: " + b"{a: " * 60_000,
    "deep blocks": b"".join(b" " * at + b"- \n" for at in range(700)),
    "many lines": b"- a\n" * 60_000,
    "many keys": b"".join(b"k%d: 1\n" % at for at in range(25_000)),
    "one long line": b"a: " + b"x" * 250 * KIB,
    "a huge number": b"workflow: {id: a, version: 1.0.0, start: a}\nnodes: {a: {type: wait, for: "
    + b"9" * 200_000
    + b"}}",
    "a huge float": b"a: 1e" + b"9" * 200_000,
    "sexagesimal": b"a: " + b"1:" * 50_000 + b"1",
    "quotes": b'a: "' + b"\\x41" * 60_000,
    "not UTF-8": b"workflow: {id: \xff\xfe}",
    "UTF-16": "workflow: {}".encode("utf-16"),
    "NUL": b"workflow: {id: a\x00}",
    "nothing": b"",
    "a text": b"workflow",
    "a list": b"[]",
    "a comment": b"# nothing\n" * 20_000,
}
# A file of one fault, the pointer at it, and where its text begins.
FAULTS: Final = (
    (PLAIN.replace("version: 1.0.0", "version: 1.0"), "/workflow/version", "1.0,"),
    (PLAIN.replace("start: pay", "start: paid"), "/workflow/start", "paid"),
    (PLAIN.replace("type: tool,", "type: tol,"), "/nodes/pay/type", "tol"),
    (PLAIN.replace("next: end", "next: nowhere"), "/nodes/pay/next", "nowhere"),
    (PLAIN.replace("next: end", "next: end, retries: 3"), "/nodes/pay/retries", "retries"),
    (PLAIN.replace("input.amount", "nodes.later.output"), "/nodes/pay/input/amount", '"${{'),
    (PLAIN.replace("tool_ref: pay", 'tool_ref: "${{ input.tool }}"'), "/nodes/pay/tool_ref", '"${{ input.tool'),
    (GATED.replace('["payments.*"]', '["payments.[a]"]'), "/policy/require_approval_for/0", '"payments.[a]"'),
)


def sent(project: Project, body: Any, path: str = "/v1/workflows", **headers: str) -> Any:
    return project.call("starter", "POST", path, content=body, headers={**YAML, **headers})


def count(project: Project) -> int:
    return len(project.call("starter", "GET", "/v1/workflows?limit=200").json()["data"])


@pytest.mark.parametrize("path", ["/v1/workflows", "/v1/workflows/validate"])
def test_each_fault_is_told_with_its_place(project: Project, path: str) -> None:
    for source, pointer, text in FAULTS:
        before = source[: source.index(text)]
        place = f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}: "
        reply = sent(project, source, path)
        assert told(reply) == (422, "workflow_invalid"), source
        places = {error["pointer"]: error["message"] for error in reply.json()["errors"]}
        assert pointer in places, places
        assert places[pointer].startswith(place), (place, places[pointer])
    assert count(project) == 0


def test_every_fault_is_told_at_once(project: Project) -> None:
    source = PLAIN.replace("1.0.0", "one").replace("type: tool", "type: tol").replace("\nnodes", "\nnods: 1\nnodes")
    pointers = {error["pointer"] for error in sent(project, source).json()["errors"]}
    assert {"/workflow/version", "/nodes/pay/type", "/nods"} <= pointers


def test_hostile_files_are_refused_over_http(project: Project) -> None:
    for name, body in BOMBS.items():
        reply = sent(project, body)
        assert told(reply) in ((422, "workflow_invalid"), (413, "too_large")), name
        assert all(error["message"].startswith("line ") for error in reply.json().get("errors", ())), name
    assert count(project) == 0
    assert project.call(None, "GET", "/readyz").status_code == 200


@pytest.mark.parametrize("bomb", BOMBS)
def test_hostile_files_cost_next_to_nothing(bomb: str) -> None:
    body = BOMBS[bomb]
    if len(body) > 256 * KIB:
        pytest.skip("it is not read")
    spent = []
    for _ in range(3):
        # The processor's time, which a machine that is busy with other things stretches less.
        before = time.thread_time()
        with pytest.raises(DefinitionInvalid):
            read_file(body)
        spent.append(time.thread_time() - before)
    # It is meant to be 0.05; the rest is room for such machines.
    assert min(spent) < 0.1, spent
    tracemalloc.start()
    try:
        with pytest.raises(DefinitionInvalid):
            read_file(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * KIB * KIB


def test_a_file_has_a_size_and_a_media_type(project: Project) -> None:
    padded = PLAIN + "# " + "x" * (256 * KIB - len(PLAIN) - 3) + "\n"
    assert len(padded.encode()) == 256 * KIB
    assert sent(project, padded).status_code == 201
    assert told(sent(project, padded + "#")) == (413, "too_large")
    assert told(sent(project, b"# x\n" * 2_500_000)) == (413, "too_large")
    for media_type in ("application/json", "text/plain", "", "application/yamlx", "multipart/form-data"):
        assert told(sent(project, PLAIN, **{"Content-Type": media_type})) == (415, "media_type"), media_type
    for media_type in ("application/x-yaml", "text/yaml", "TEXT/X-YAML; charset=utf-8"):
        assert sent(project, GATED, **{"Content-Type": media_type}).status_code in (200, 201), media_type
    assert told(sent(project, PLAIN, "/v1/workflows?on_conflict=overwrite")) == (400, "invalid_parameter")


def test_validating_stores_nothing(project: Project) -> None:
    checked = sent(project, PLAIN, "/v1/workflows/validate")
    assert (checked.status_code, count(project)) == (200, 0)
    made = register(project, PLAIN)
    assert made.json() == checked.json()
    # Whether it would be registered is not asked: the file is valid.
    assert sent(project, PLAIN.replace("amount:", "sum:"), "/v1/workflows/validate").status_code == 200


@pytest.mark.parametrize("same", [True, False])
def test_of_two_at_once_one_is_registered(project: Project, same: bool) -> None:
    sources = [PLAIN if same else PLAIN.replace("tool_ref: pay", f"tool_ref: pay{at}") for at in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda source: register(project, source), sources))
    statuses = sorted(reply.status_code for reply in found)
    assert statuses == ([200] * 7 + [201] if same else [201] + [409] * 7)
    assert count(project) == 1
    (kept,) = {found[at].json()["workflows"][0]["digest"] for at in range(8) if found[at].status_code != 409}
    for reply in found:
        if reply.status_code == 409:
            assert reply.json()["code"] == "version_exists"
            assert reply.json()["current"]["digest"] == kept


def test_builds_of_two_at_once_are_both_registered(project: Project) -> None:
    register(project, PLAIN)
    sources = [PLAIN.replace("tool_ref: pay", f"tool_ref: pay{at}") for at in (1, 2, 1, 2)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda source: register(project, source, on_conflict="build"), sources))
    assert sorted(reply.status_code for reply in found) == [200, 200, 201, 201]
    versions = {reply.json()["workflows"][0]["version"] for reply in found}
    assert len(versions) == 2
    assert count(project) == 3


def test_a_run_keeps_its_definition_and_may_name_another(project: Project) -> None:
    ahead = """
workflow: {id: plain, version: 1.0.0, start: first}
nodes:
  first: {type: tool, tool_ref: first, input: {}, next: pay}
  pay: {type: tool, tool_ref: pay, input: {}, next: end}
"""
    run = start(project, ahead)
    (build,) = register(project, ahead.replace("tool_ref: pay", "tool_ref: steal"), on_conflict="build").json()[
        "workflows"
    ]
    settle(project, take(project, "first"))
    assert take(project, "steal", "pay")["tool"] == "pay"
    assert read(project, run["id"])["version"] == "1.0.0"
    # The one registered last, unless one is named; a build has a name of its own.
    for version, expected in ((None, build["version"]), ("1.0.0", "1.0.0"), (build["version"], build["version"])):
        body = {"workflow_id": "plain", **({} if version is None else {"version": version})}
        assert project.call("starter", "POST", "/v1/executions", json=body).json()["version"] == expected
    missing = {"workflow_id": "plain", "version": "1.0.1"}
    assert told(project.call("starter", "POST", "/v1/executions", json=missing)) == (404, "not_found")


def test_a_version_is_read_as_it_was_sent(project: Project) -> None:
    source = "# Übung \u202e\r\n" + GATED
    register(project, source)
    found = project.call("alice", "GET", "/v1/workflows/gated?version=1.0.0").json()
    assert (found["source"], found["nodes"], found["tools"]) == (source, ["pay"], ["payments.submit"])
    assert found["registered_by"]["name"] == "starter"
    for path in ("gated?version=1.0.1", "gated?version=", "unknown", "Gated", "gated%00", "..", "a" * 65):
        assert told(project.call("alice", "GET", f"/v1/workflows/{path}")) == (404, "not_found"), path
    assert told(project.call("alice", "GET", "/v1/workflows/gated?version=" + "1" * 129)) == REFUSED


def test_another_projects_workflows_do_not_exist(projects: tuple[Project, Project]) -> None:
    one, two = projects
    run = parked(one)
    assert two.call("alice", "GET", "/v1/workflows").json()["data"] == []
    assert told(two.call("alice", "GET", "/v1/workflows/gated")) == (404, "not_found")
    assert told(two.call("starter", "POST", "/v1/executions", json={"workflow_id": "gated"})) == (404, "not_found")
    # The same id and version may be another workflow there.
    assert register(two, GATED.replace("payments.submit", "payments.other")).status_code == 201
    assert told(two.call("alice", "GET", f"/v1/executions/{run['id']}/nodes/pay")) == (404, "not_found")


# ---------------------------------------------------------------- lists


def pages(project: Project, path: str) -> list[list[dict[str, Any]]]:
    found, cursor = [], None
    while True:
        page = project.call("starter", "GET", path + ("" if cursor is None else f"&cursor={cursor}")).json()
        found.append(page["data"])
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_workflows_are_listed_newest_first_in_pages(project: Project) -> None:
    for at in range(5):
        register(project, PLAIN.replace("1.0.0", f"1.0.{at}"))
    register(project, GATED)
    found = pages(project, "/v1/workflows?limit=2")
    assert [len(page) for page in found] == [2, 2, 2]
    flat = [(one["workflow_id"], one["version"]) for page in found for one in page]
    assert flat == [("gated", "1.0.0"), *(("plain", f"1.0.{at}") for at in (4, 3, 2, 1, 0))]
    assert len(pages(project, "/v1/workflows?workflow_id=plain&limit=200")[0]) == 5
    assert pages(project, "/v1/workflows?workflow_id=nothing") == [[]]


def test_runs_are_listed_newest_first_in_pages_and_by_status(project: Project) -> None:
    made = [start(project, PLAIN, {"amount": str(at)})["id"] for at in range(3)]
    made += [parked(project)["id"] for _ in range(2)]
    project.call("starter", "POST", f"/v1/executions/{made[0]}/cancel", json={})
    settle(project, take(project, "pay"), "complete")
    found = pages(project, "/v1/executions?limit=2")
    assert [run["id"] for page in found for run in page] == made[::-1]
    by = {
        status: [run["id"] for page in pages(project, f"/v1/executions?status={status}&limit=1") for run in page]
        for status in ("running", "parked", "completed", "failed", "cancelled")
    }
    assert by["cancelled"] == [made[0]]
    assert by["parked"] == made[:2:-1]
    assert by["failed"] == []
    assert sorted(by["running"] + by["completed"]) == sorted(made[1:3])
    assert [run["id"] for run in pages(project, "/v1/executions?workflow_id=gated&status=parked")[0]] == made[:2:-1]
    assert pages(project, "/v1/executions?workflow_id=gated&status=completed") == [[]]


QUERIES: Final = (
    *("/v1/executions?status=Parked", "/v1/executions?status=", "/v1/executions?limit=0", "/v1/executions?limit=201"),
    *("/v1/executions?cursor=x", "/v1/executions?cursor=-1", "/v1/executions?cursor=" + "9" * 17),
    *("/v1/executions?state=parked", "/v1/executions?status=parked&status=failed"),
    *("/v1/workflows?limit=0", "/v1/workflows?limit=x", "/v1/workflows?cursor=%00", "/v1/workflows?name=a"),
    *("/v1/workflows?workflow_id=%00", "/v1/executions?workflow_id=a%00", "/v1/workflows/gated?v=1"),
    *("/v1/executions/{id}?wait=-1", "/v1/executions/{id}?wait=61", "/v1/executions/{id}?wait=1.5"),
    *("/v1/executions/{id}?seen=-1", "/v1/executions/{id}?seen=x", "/v1/executions/{id}?wait=1&wait=1"),
)


def test_queries_that_are_refused(project: Project) -> None:
    run = parked(project)
    for query in QUERIES:
        assert told(project.call("starter", "GET", query.replace("{id}", run["id"]))) == REFUSED, query
    for odd in ("seen=9" + "9" * 30, "cursor=0", "workflow_id=%F0%9F%98%80", "workflow_id='%20OR%201=1"):
        path = f"/v1/executions/{run['id']}" if odd.startswith("seen") else "/v1/executions"
        assert project.call("starter", "GET", f"{path}?{odd}").status_code in (200, 400), odd


# ---------------------------------------------------------------- bodies


BODIES: Final[tuple[tuple[str, str, dict[str, Any], str], ...]] = (
    ("starter", "", {"workflow_id": "Gated"}, "/workflow_id"),
    ("starter", "", {"workflow_id": "gated\n"}, "/workflow_id"),
    ("starter", "", {"workflow_id": "gated", "input": []}, "/input"),
    ("starter", "", {"workflow_id": "gated", "version": ""}, "/version"),
    ("starter", "", {"workflow_id": "gated", "traceparent": "x"}, "/traceparent"),
    ("starter", "", {"workflow_id": "gated", "status": "completed"}, "/status"),
    ("alice", "/{id}/approve", {}, "/decision"),
    ("alice", "/{id}/approve", {"decision": "Approved"}, "/decision"),
    ("alice", "/{id}/approve", {"decision": "rejected"}, "/comment"),
    ("alice", "/{id}/approve", {"decision": "approved", "comment": ""}, "/comment"),
    ("alice", "/{id}/approve", {"decision": "approved", "node_id": "p y"}, "/node_id"),
    ("alice", "/{id}/approve", {"decision": "approved", "arguments": {}}, "/arguments"),
    ("starter", "/{id}/cancel", {"reason": ""}, "/reason"),
    ("starter", "/{id}/signal", {"name": ""}, "/name"),
    ("starter", "/{id}/signal", {"name": "pa id"}, "/name"),
    ("starter", "/{id}/signal", {"name": "paid\n"}, "/name"),
    ("starter", "/{id}/signal", {"name": "paid", "payload": "x"}, "/payload"),
    ("alice", "/{id}/nodes/pay/resolve", {"outcome": "unknown", "reason": "x"}, "/outcome"),
    ("alice", "/{id}/nodes/pay/resolve", {"outcome": "retry"}, "/reason"),
    ("alice", "/{id}/nodes/pay/resolve", {"outcome": "succeeded", "output": [], "reason": "x"}, "/output"),
)
WORK: Final[tuple[tuple[str, dict[str, Any], str], ...]] = (
    ("lease", {"tools": [{"name": "pay"}]}, "/request"),
    ("lease", {"request": "a b", "tools": [{"name": "pay"}]}, "/request"),
    ("lease", {"request": "r", "tools": []}, "/tools"),
    ("lease", {"request": "r", "tools": [{"name": "pay*"}]}, "/tools/0/name"),
    ("lease", {"request": "r", "tools": [{"name": "pay"}] * 501}, "/tools"),
    ("lease", {"request": "r", "tools": [{"name": "pay"}], "max": 0}, "/max"),
    ("lease", {"request": "r", "tools": [{"name": "pay"}], "max": 101}, "/max"),
    ("lease", {"request": "r", "tools": [{"name": "pay"}], "wait": 61}, "/wait"),
    ("lease", {"request": "r", "tools": [{"name": "pay"}], "project": "prj_x"}, "/project"),
    ("{id}/heartbeat", {}, "/fence"),
    ("{id}/complete", {"fence": 0}, "/fence"),
    ("{id}/complete", {"fence": 1.5}, "/fence"),
    ("{id}/complete", {"fence": 2**53}, "/fence"),
    ("{id}/fail", {"fence": 1, "outcome": "completed", "message": "x"}, "/outcome"),
    ("{id}/fail", {"fence": 1, "outcome": "failed", "message": ""}, "/message"),
    ("{id}/fail", {"fence": 1, "outcome": "failed", "message": "x" * 2_001}, "/message"),
)


def test_bodies_that_are_refused_change_nothing(project: Project) -> None:
    run = parked(project)
    start(project, PLAIN, {"amount": "1"})
    item = take(project, "pay")
    before = events(project, run), read(project, item["execution_id"])
    calls = [(who, f"/v1/executions{path}".replace("{id}", run["id"]), body, at) for who, path, body, at in BODIES]
    calls += [("worker", f"/v1/work/{path}".replace("{id}", item["id"]), body, at) for path, body, at in WORK]
    for who, path, body, pointer in calls:
        reply = project.call(who, "POST", path, json=body)
        assert told(reply) == (422, "invalid"), (path, body, reply.text)
        assert reply.json()["errors"][0]["pointer"] == pointer, (path, body)
    assert (events(project, run), read(project, item["execution_id"])) == before
    for each in ("exe_" + "0" * 26, "x", "%00", item["id"], "exe_%F0%9F%98%80"):
        for path in ("", "/events", "/approvals", "/nodes/pay"):
            assert project.call("alice", "GET", f"/v1/executions/{each}{path}").status_code == 404, each
    for each in ("pa", "p%20y", "%00", "pay%0A", "a" * 65):
        assert told(project.call("alice", "GET", f"/v1/executions/{run['id']}/nodes/{each}"))[0] == 404, each


# ---------------------------------------------------------------- waiting for a run


def test_a_wait_ends_when_the_run_rests_and_with_seen_when_it_goes_on(project: Project) -> None:
    run = start(project, PLAIN, {"amount": "1"})
    path = f"/v1/executions/{run['id']}"
    assert project.call("starter", "GET", f"{path}?wait=1").json()["status"] == "running"
    with ThreadPoolExecutor() as pool:
        before = len(project.server.hub)
        rests = pool.submit(project.call, "starter", "GET", f"{path}?wait=30")
        goes_on = pool.submit(project.call, "alice", "GET", f"{path}?wait=30&seen={run['events']}")
        while len(project.server.hub) < before + 3:
            pass
        item = take(project, "pay")
        assert goes_on.result(10).json()["events"] > run["events"]
        assert not rests.done()
        settle(project, item)
        assert rests.result(10).json()["status"] == "completed"
    found = read(project, run["id"])
    assert found["events"] == len(events(project, run))
    assert project.call("starter", "GET", f"{path}?wait=30&seen={found['events'] - 1}").json() == found
    # What is over has no more to come, so that nobody waits for it.
    begun = time.monotonic()
    assert project.call("starter", "GET", f"{path}?wait=30&seen={found['events']}").json() == found
    assert time.monotonic() - begun < 15
