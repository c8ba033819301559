"""Every way to reach a tool x every trick with its name: none gets past what gates or blocks it."""

import json
import re
from typing import Any, Final

import pytest

from tests.support.project import Project
from tests.support.workflows import lease, read, register, settle, take

TOOL: Final = "payments.submit"
YAML: Final = {"Content-Type": "application/yaml"}
# Names that look like the tool's, or that somebody careless might take for it.
NAMES: Final = (
    *("payments.submit", "Payments.Submit", "PAYMENTS.SUBMIT", "pAYMENTS.sUBMIT"),
    *(" payments.submit", "payments.submit ", "payments .submit", "payments. submit", "payments.sub mit"),
    *("payments.submit.", ".payments.submit", "payments..submit", "payments./submit", "payments/.submit"),
    *("payments/submit", "/payments/submit", "payments/submit/", "payments//submit", "payments\\submit"),
    *("payments.submit\n", "\npayments.submit", "payments.\nsubmit", "payments.submit\r", "payments.submit\r\nx"),
    *("payments.submit\t", "payments.\tsubmit", "payments.submit\x00", "payments\x00.submit", "payments.submit\x1b[2J"),
    *("pаyments.submit", "payments.ѕubmit", "ｐayments.submit", "ｐａｙｍｅｎｔｓ.submit", "payments．submit"),
    *(
        "payments․submit",
        "payments。submit",
        "payments.submıt",
        "payments.SUBMİT",
        "payments.ſubmit",
        "payments.submiſt",
    ),
    *("payments\u200b.submit", "payments.submit\u200d", "\ufeffpayments.submit", "payments.\u2060submit"),
    *("payments.submit\u202e", "\u202etimbus.stnemyap", "payments\u00ad.submit", "payments.s\u0301ubmit"),
    *("payments.submit#x", "payments.submit?x", "payments.submit%00", "payments.%73ubmit", "payments.submit;x"),
    *(
        "payments.*",
        "*.submit",
        "payments.subm?t",
        "*",
        "payments.[s]ubmit",
        "payments.submit,quote",
        "~payments.submit",
    ),
    *(
        "../payments.submit",
        "payments/../payments.submit",
        "./payments.submit",
        "payments.submit@v1",
        "-payments.submit",
    ),
    *("${{ input.tool }}", "payments.${{ input.tool }}", "${{ 'payments.submit' }}", "{{ tool }}", "$TOOL", "`tool`"),
    *(
        "payments." + "s" * 120,
        "payments.submit" + "x" * 5_000,
        "",
        "payments.submit" + ".x" * 56,
        "submit",
        "payments",
    ),
    *("payments.submit-2", "payments_submit", "payments.submit_", "payments.submit.x", "xpayments.submit"),
)
PATTERNS: Final = (
    *("payments.*", "PAYMENTS.*", "*", "**", "*.submit", "*SUBMIT", "payments.submit", "Payments.Submit"),
    *("pay*", "?ayments.submi?", "payments?submit", "*.*", "p*a*y*t", "payments.su??it", "*ments.sub*"),
)


def file(*nodes: str, start: str = "pay", policy: str = "", name: str = "bypass") -> str:
    """A workflow of these nodes."""
    below = f"\npolicy: {policy}" if policy else ""
    lines = "\n  ".join(nodes)
    return f"workflow: {{id: {name}, version: 1.0.0, start: {start}}}\nnodes:\n  {lines}{below}\n"


def calls(tool: str = TOOL, *, more: str = "", node: str = "pay") -> str:
    """A node that calls a tool."""
    return f'{node}: {{type: tool, tool_ref: {json.dumps(tool)}, input: {{a: "1"}}, next: end{more}}}'


def begin(project: Project, source: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """A run of the file, registered where it was not, once it rests."""
    made = register(project, source, on_conflict="build")
    assert made.status_code in (200, 201), made.text
    (known,) = made.json()["workflows"]
    body = {"workflow_id": known["workflow_id"], "version": known["version"], "input": given or {}}
    run = project.call("starter", "POST", "/v1/executions", json=body).json()
    return dict(project.call("starter", "GET", f"/v1/executions/{run['id']}?wait=0").json())


def rests(project: Project, run: dict[str, Any]) -> dict[str, Any]:
    """The run once it is parked or over."""
    return dict(project.call("starter", "GET", f"/v1/executions/{run['id']}?wait=20").json())


def goes_on(project: Project, run: dict[str, Any]) -> dict[str, Any]:
    """The run once it has more events than that."""
    path = f"/v1/executions/{run['id']}?wait=20&seen={run['events']}"
    return dict(project.call("starter", "GET", path).json())


def node(run: dict[str, Any], name: str = "pay") -> dict[str, Any]:
    return next(each for each in run["nodes"] if each["node_id"] == name)


def approve(project: Project, run: dict[str, Any], decision: str = "approved", **body: Any) -> int:
    given = {"decision": decision, **({"comment": "no"} if decision == "rejected" else {}), **body}
    status: int = project.call("alice", "POST", f"/v1/executions/{run['id']}/approve", json=given).status_code
    return status


def set_policy(project: Project, policy: str) -> None:
    reply = project.call("admin", "PUT", "/v1/policy", content=policy, headers=YAML)
    assert reply.status_code == 200, reply.text


# ---------------------------------------------------------------- names


def well_formed(name: str) -> bool:
    """By other means than the server's: what the file may name at all."""
    parts = re.split(r"[./]", name)
    fit = all(
        part and set(part) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for part in parts
    )
    return fit and len(name) <= 128 and name[0] not in "_-"


@pytest.mark.parametrize("section", ["blocked_tools", "require_approval_for"])
def test_no_spelling_of_a_name_gets_past_its_rule(project: Project, section: str) -> None:
    offered = [name for name in NAMES if well_formed(name)]
    for at, name in enumerate(NAMES):
        source = file(calls(name), policy=f'{{{section}: ["payments.*", "*submit*"]}}', name=f"n{at}")
        made = register(project, source)
        if not well_formed(name):
            assert (made.status_code, made.json()["code"]) == (422, "workflow_invalid"), name
            continue
        run, ruled = begin(project, source), name.lower().startswith("payments.") or "submit" in name.lower()
        expected = ("failed" if section == "blocked_tools" else "parked") if ruled else "running"
        assert run["status"] == expected, name
        if section == "blocked_tools" and ruled:
            assert (run["failure"]["code"], node(run)["status"]) == ("policy_blocked", "blocked"), name
        # A tool has one name: no other spelling reaches it.
        found = [item["tool"] for item in lease(project, *offered, most=100)]
        assert found == ([] if ruled else [name]), name


def test_an_approval_of_one_spelling_reaches_no_other(project: Project) -> None:
    for at, spelt in enumerate(("PAYMENTS.SUBMIT", "payments/submit")):
        run = begin(project, file(calls(spelt), policy='{require_approval_for: ["*"]}', name=f"spelt-{at}"))
        assert approve(project, run) == 200
        assert lease(project, TOOL, "Payments.Submit", most=100) == []
        (item,) = lease(project, spelt)
        settle(project, item)


def test_no_worker_offers_what_is_no_name(project: Project) -> None:
    run = begin(project, file(calls(), policy='{require_approval_for: ["payments.*"]}'))
    for name in NAMES:
        body = {"request": "r", "tools": [{"name": name}], "max": 100}
        reply = project.call("worker", "POST", "/v1/work/lease", json=body)
        if well_formed(name):
            assert reply.json() == {"items": []}, name
        else:
            assert (reply.status_code, reply.json()["code"]) == (422, "invalid"), name
    assert read(project, run["id"])["status"] == "parked"


def test_no_name_is_judged_more_mildly_than_the_rule_says(project: Project) -> None:
    set_policy(project, '{blocked_tools: ["payments.*"], default: allow}')
    for name in NAMES[1:]:
        if not 1 <= len(name) <= 200 or "\x00" in name:
            continue
        said = project.call("alice", "POST", "/v1/policy/judge", json={"name": name}).json()["verdict"]
        mild = well_formed(name) and not name.lower().startswith("payments.")
        assert said == ("allow" if mild else "block"), name


# ---------------------------------------------------------------- scopes


def scoped(scope: str, rules: str, at: int) -> tuple[str, str]:
    """A file, and the project's policy, with the rules in one scope and their contrary in those within."""
    loose = f'{{allow: ["{TOOL}"], default: allow}}'
    name = f"{scope}-{at}"
    match scope:
        case "project":
            return file(calls(more=f", policy: {loose}"), policy=loose, name=name), rules
        case "workflow":
            return file(calls(more=f", policy: {loose}"), policy=rules, name=name), loose
    return file(calls(more=f", policy: {rules}"), policy=loose, name=name), loose


@pytest.mark.parametrize("scope", ["project", "workflow", "node"])
def test_no_scope_is_loosened_by_another(project: Project, scope: str) -> None:
    rules = [
        f'{{{section}: ["{pattern}"]}}' for section in ("blocked_tools", "require_approval_for") for pattern in PATTERNS
    ]
    rules += ["{default: block}", "{default: require_approval}", '{allow: ["payments.quote"], default: block}']
    rules += ['{blocked_tools: ["payments.*"], allow: ["payments.submit"]}', '{require_approval_for: [{match: "*"}]}']
    for at, rule in enumerate(rules):
        source, policy = scoped(scope, rule, at)
        set_policy(project, policy)
        run = begin(project, source)
        blocked = "block" in rule
        assert run["status"] == ("failed" if blocked else "parked"), rule
        if blocked:
            assert f"The rule {scope}/" in run["failure"]["message"], rule
        else:
            (pending,) = project.call("alice", "GET", f"/v1/executions/{run['id']}/approvals").json()["pending"]
            assert pending["rule"].startswith(f"{scope}/"), rule
        assert lease(project, TOOL, most=100) == [], rule


def test_a_policy_set_later_loosens_no_gate_and_binds_no_run_that_began(project: Project) -> None:
    gated = file(calls(), policy='{require_approval_for: ["payments.*"]}', name="gated")
    free = file(calls("mail.send", node="mail").replace("next: end", "next: pay"), calls(), start="mail", name="free")
    set_policy(project, '{require_approval_for: ["payments.*"]}')
    parked, ahead = begin(project, gated), begin(project, free)
    set_policy(project, '{allow: ["payments.*"], default: allow}')
    before = begin(project, free.replace("id: free", "id: before"))
    set_policy(project, '{blocked_tools: ["*"]}')

    assert read(project, parked["id"])["status"] == "parked"
    assert lease(project, TOOL) == []
    # Begun when it was gated, it is gated, though the policy of today blocks; begun when it was free, it is free.
    for item in (take(project, "mail.send"), take(project, "mail.send")):
        settle(project, item)
    assert node(rests(project, ahead))["status"] == "awaiting_approval"
    item = take(project, TOOL)
    assert item["execution_id"] == before["id"]
    settle(project, item)
    assert begin(project, gated)["failure"]["code"] == "policy_blocked"
    assert approve(project, parked) == 200
    assert take(project, TOOL)["execution_id"] == parked["id"]


# ---------------------------------------------------------------- node types


GATE: Final = '{require_approval_for: ["payments.*"]}'
# How a run comes to the tool -> the nodes before it.
WAYS: Final[dict[str, tuple[str, ...]]] = {
    "start": (),
    "condition": ('first: {type: condition, branches: [{when: "true", next: pay}], default: end}',),
    "default": ('first: {type: condition, branches: [{when: "false", next: end}], default: pay}',),
    "parallel": ("first: {type: parallel, branches: [pay, other], next: end}", calls("mail.other", node="other")),
    "after parallel": ("first: {type: parallel, branches: [other], next: pay}", calls("mail.send", node="other")),
    "signal": ("first: {type: wait, event: paid, next: pay}",),
    "timer": ("first: {type: wait, for: 60s, next: pay}",),
    "no signal": ("first: {type: wait, event: never, timeout: 60s, on_timeout: pay, next: end}",),
    "approved": ("first: {type: human_approval, on_approved: pay}",),
    "rejected": ("first: {type: human_approval, on_approved: end, on_rejected: pay}",),
    "expired": ("first: {type: human_approval, timeout: 60s, on_approved: end, on_timeout: pay}",),
    "tool": (calls("mail.send", node="first").replace("next: end", "next: pay"),),
}


def lead(project: Project, run: dict[str, Any], way: str) -> dict[str, Any]:
    """Do what leads a run to its gate."""
    match way:
        case "signal":
            project.call("starter", "POST", f"/v1/executions/{run['id']}/signal", json={"name": "paid"})
        case "timer" | "no signal" | "expired":
            project.world.advance(61)
        case "approved" | "rejected":
            assert approve(project, rests(project, run), way, node_id="first") == 200
        case "tool" | "after parallel":
            settle(project, take(project, "mail.send"))
    while all(each["node_id"] != "pay" for each in run["nodes"]):
        run = goes_on(project, run)
    return run


@pytest.mark.parametrize("rule", ["blocked_tools", "require_approval_for"])
def test_no_way_through_a_workflow_leads_around_the_rule(project: Project, rule: str) -> None:
    for at, (way, before) in enumerate(WAYS.items()):
        start = "first" if before else "pay"
        source = file(*before, calls(), start=start, policy=f'{{{rule}: ["payments.*"]}}', name=f"way-{at}")
        run = lead(project, begin(project, source), way)
        assert node(run)["status"] == ("blocked" if rule == "blocked_tools" else "awaiting_approval"), way
        assert lease(project, TOOL, most=100) == [], way
        if rule == "require_approval_for":
            assert approve(project, run, node_id="pay") == 200, way
            assert take(project, TOOL)["execution_id"] == run["id"], way


def test_each_visit_of_a_loop_is_asked_for_anew(project: Project) -> None:
    source = file(calls().replace("next: end", "next: pay"), policy=GATE)
    run, seen = begin(project, source), set()
    for visit in (1, 2, 3):
        run = rests(project, run)
        assert lease(project, TOOL) == []
        assert node(run)["visit"] == visit
        seen.add(node(run)["approval_id"])
        assert approve(project, run) == 200
        settle(project, take(project, TOOL))
    assert len(seen) == 3


def test_a_question_is_judged_by_its_name(project: Project) -> None:
    asks = "ask: {type: human_approval, on_approved: pay}"
    for at, policy in enumerate(('{blocked_tools: ["QUESTION-*.ask"]}', '{blocked_tools: ["*"]}', "{default: block}")):
        run = begin(project, file(asks, calls(), start="ask", policy=policy, name=f"question-{at}"))
        assert (run["status"], run["failure"]["code"]) == ("failed", "policy_blocked"), policy
    assert project.call("alice", "GET", "/v1/approvals").json()["data"] == []


# ---------------------------------------------------------------- the workers' routes


STATES: Final = ("parked", "rejected", "expired", "cancelled", "run cancelled", "lapsed", "blocked")


def brought(project: Project, state: str) -> dict[str, Any]:
    """A run whose gate is in this state."""
    policy = '{blocked_tools: ["payments.*"]}' if state == "blocked" else GATE
    run = begin(project, file(calls(), policy=policy, name=state.replace(" ", "-")))
    approval = node(run)["approval_id"]
    match state:
        case "rejected":
            assert approve(project, run, "rejected") == 200
        case "expired":
            project.world.advance(8 * 86_400)
            run = goes_on(project, run)
        case "cancelled":
            project.call("admin", "POST", f"/v1/approvals/{approval}/cancel", json={})
        case "run cancelled":
            project.call("starter", "POST", f"/v1/executions/{run['id']}/cancel", json={})
        case "lapsed":
            assert approve(project, run) == 200
            project.world.advance(25 * 3_600)
            run = goes_on(project, read(project, run["id"]))
    return run


def item_of(project: Project, run: dict[str, Any]) -> str | None:
    """The work item of its gate, which was made with it."""
    events = project.call("starter", "GET", f"/v1/executions/{run['id']}/events").json()["data"]
    return next((event["facts"]["item"] for event in events if "item" in event["facts"]), None)


@pytest.mark.parametrize("state", STATES)
def test_no_worker_gets_or_settles_what_was_not_approved(project: Project, state: str) -> None:
    run = brought(project, state)
    assert lease(project, TOOL, most=100, worker="dev") == []
    assert lease(project, TOOL, most=100, idempotent=True) == []
    item = item_of(project, run)
    if item is None:
        assert state == "blocked"
        return
    over = rests(project, run)
    for fence in (1, 2, 2**53 - 1):
        for what, body in REPORTS.items():
            reply = settle(project, {"id": item, "fence": fence}, what, **body)
            assert (reply.status_code, reply.json()["code"]) == (409, "stale_fence"), (what, fence)
    assert rests(project, run) == over
    assert over["status"] == ("parked" if state == "parked" else "cancelled" if "run" in state else "failed")
    approval = node(over)["approval_id"]
    assert project.redeem(project.get(approval), who="executor").status_code in (403, 409)
    told = project.call("executor", "POST", f"/v1/approvals/{approval}/outcome", json={"fence": 1, "outcome": "failed"})
    assert told.status_code in (403, 409)


REPORTS: Final[dict[str, dict[str, Any]]] = {
    "heartbeat": {},
    "complete": {"output": {"forged": True}},
    "fail": {"outcome": "failed", "message": "x"},
}


def test_an_item_is_its_own_projects_and_its_last_fences(projects: tuple[Project, Project]) -> None:
    project, other = projects
    run = begin(project, file(calls(), policy=GATE))
    assert approve(project, run) == 200
    item = take(project, TOOL)
    before = read(project, item["execution_id"])
    forged = {**item, "id": "wrk_" + "0" * 26}
    for asked, sent in ((project, forged), (other, item), (project, {**item, "id": item["execution_id"]})):
        for what, body in REPORTS.items():
            reply = settle(asked, sent, what, **body)
            assert (reply.status_code, reply.json()["code"]) == (404, "not_found"), what
    for what, body in REPORTS.items():
        reply = settle(project, {**item, "fence": item["fence"] + 1}, what, **body)
        assert (reply.status_code, reply.json()["code"]) == (409, "stale_fence"), what
    assert lease(other, TOOL, most=100) == []
    assert read(project, item["execution_id"]) == before
    assert settle(project, item).status_code == 200


def test_an_old_fence_counts_no_more(project: Project) -> None:
    begin(project, file(calls(), name="free"))
    old = take(project, TOOL)
    project.world.advance(31)
    new = take(project, TOOL)
    assert (new["id"], new["fence"], new["execution_key"]) == (old["id"], 2, old["execution_key"])
    for what, body in REPORTS.items():
        reply = settle(project, old, what, **body)
        assert (reply.status_code, reply.json()["code"]) == (409, "stale_fence"), what
    assert settle(project, new).status_code == 200
