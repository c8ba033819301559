"""Runs and workflows as they are shown: what is told, to whom, and what may be done there."""

import re
from html import unescape
from typing import Any, Final

import pytest

from tests.support.project import Project
from tests.support.visits import leads_to, visitor, words
from tests.support.workflows import GATED, PLAIN, parked, read, register, settle, start, take

GATED_TWICE: Final = """
workflow: {id: twice, version: 1.0.0, start: both, description: "Two at once </pre><script>x</script>"}
nodes:
  both: {type: parallel, branches: [left, wait], next: end}
  left: {type: tool, tool_ref: payments.left, input: {note: "${{ input.note }}"}, next: end}
  wait: {type: wait, event: paid, timeout: 60s, next: end}
policy: {require_approval_for: ["payments.*"]}
"""
HOSTILE: Final = "<script>x</script>\u202e\u200b"


def unknown(project: Project) -> tuple[str, str]:
    """A run whose gated node was taken up and reported as unknown: its id, and its node."""
    run = parked(project)
    project.decide(pending(project, run["id"]))
    item = take(project, "payments.submit")
    assert settle(project, item, "fail", outcome="unknown", message="gone").status_code == 200
    return run["id"], "pay"


def pending(project: Project, run: str) -> str:
    found: list[dict[str, Any]] = project.call("alice", "GET", f"/v1/executions/{run}/approvals").json()["pending"]
    return str(found[0]["approval_id"])


# ---------------------------------------------------------------- the list


def test_before_the_first_run_the_page_teaches(project: Project) -> None:
    for path in ("/runs", "/workflows"):
        shown = words(visitor(project, "alice").get(path).text)
        assert "signoff init" in shown
        assert "signoff run workflow.yaml" in shown


def test_the_list_says_how_each_run_stands_and_what_it_waits_for(project: Project) -> None:
    run = parked(project)
    project.world.advance(65)
    page = visitor(project, "alice").get("/runs")
    shown = words(page.text)
    assert re.search(
        r"parked gated 1\.0\.0 for 1 min 5 s started by starter · pay waits for a reviewer's decision", shown
    )
    assert f'href="/runs/{run["id"]}"' in page.text
    assert f'href="/approvals/{pending(project, run["id"])}"' in page.text


def test_a_failure_is_told_in_the_list_and_on_the_run_with_who_and_why(project: Project) -> None:
    run = parked(project)
    project.decide(pending(project, run["id"]), "rejected", reason=f"not this one {HOSTILE}")
    alice = visitor(project, "alice")
    assert "approval rejected at pay" in words(alice.get("/runs").text)
    page = alice.get(f"/runs/{run['id']}")
    assert "approval rejected at pay" in words(page.text)
    assert "By alice: “not this one <script>x</script> \\u202e \\u200b ”" in words(page.text)
    assert "<script>x" not in page.text
    assert "\u202e" not in page.text


def test_the_list_is_filtered_by_status_and_by_workflow(project: Project) -> None:
    waiting = parked(project)["id"]
    ready = start(project, PLAIN, {"amount": "1.00"})["id"]
    alice = visitor(project, "alice")

    def found(query: str) -> set[str]:
        return set(re.findall(r'href="/runs/(exe_\w+)"', alice.get(f"/runs?{query}").text))

    assert found("") == {waiting, ready}
    assert found("status=parked") == {waiting}
    assert found("workflow_id=plain") == {ready}
    assert found("status=parked&workflow_id=plain") == set()
    assert "No run fits." in words(alice.get("/runs?status=failed").text)
    assert alice.get("/runs?status=odd").status_code == 400
    assert "<script>x" not in alice.get("/runs?workflow_id=<script>x").text


def test_the_list_has_pages(project: Project) -> None:
    begun = [start(project, PLAIN, {"amount": str(at)})["id"] for at in range(52)]
    alice = visitor(project, "alice")
    first = alice.get("/runs?status=running")
    assert len(set(re.findall(r"/runs/(exe_\w+)", first.text))) == 50
    older = re.search(r'href="([^"]*)">Older', first.text)
    assert older is not None
    second = alice.get(unescape(older[1]))
    assert set(re.findall(r"/runs/(exe_\w+)", second.text)) == set(begun[:2])
    assert "Older" not in words(second.text)
    assert len(first.text) < 100_000


# ---------------------------------------------------------------- one run


def test_a_run_is_drawn_and_told_with_all_that_it_waits_for(project: Project) -> None:
    run = parked(project, GATED_TWICE, {"note": HOSTILE})["id"]
    page = visitor(project, "auditor").get(f"/runs/{run}")
    shown = words(page.text)
    assert "left : a reviewer's decision · open the approval" in shown
    assert "wait : the signal paid until" in shown
    assert page.text.count("<svg") == 1
    for node in ("both", "left", "wait"):
        assert f'href="/runs/{run}/nodes/{node}"' in page.text
        assert re.search(rf'<th scope="row"><a href="/runs/{run}/nodes/{node}">', page.text)
    assert re.search(r'class="node tool is-awaiting_approval now"', page.text)
    assert len(re.findall(r'class="edge taken"', page.text)) == 3
    assert "run started" in shown
    assert "left approval required" in shown
    assert "<script>x" not in page.text
    assert "\u202e" not in page.text
    assert len(page.text) < 100_000


def test_no_page_of_a_run_grows_with_what_was_written_in_it(project: Project) -> None:
    hidden = "\u202e" * 1_900
    given = {"amount": "\u202e" * 5_000, "more": ["\u202e" * 200] * 50}
    run = parked(project, given=given)["id"]
    project.decide(pending(project, run), "rejected", reason=hidden)
    alice = visitor(project, "alice")
    for path in ("/runs", f"/runs/{run}", f"/runs/{run}/nodes/pay"):
        page = alice.get(path)
        assert page.status_code == 200
        assert len(page.content) < 100_000
        assert "\u202e" not in page.text


def test_what_happened_has_pages(project: Project) -> None:
    source = "\n".join(
        [
            "workflow: {id: long, version: 1.0.0, start: n0}",
            "nodes:",
            *(
                f"  n{at}: {{type: condition, branches: [{{when: 'true', next: {following}}}]}}"
                for at, following in enumerate([*(f"n{at}" for at in range(1, 100)), "end"])
            ),
        ]
    )
    run = start(project, source)["id"]
    assert project.call("starter", "GET", f"/v1/executions/{run}?wait=20").json()["status"] == "completed"
    alice = visitor(project, "alice")
    page = alice.get(f"/runs/{run}")
    assert "too many nodes" in words(page.text)
    assert "<svg" not in page.text
    assert len(page.text) < 100_000
    later = re.search(r'href="([^"#]*)#story">Later', page.text)
    assert later is not None
    second = alice.get(unescape(later[1]))
    assert "run started" not in words(second.text)
    assert "From the beginning" in words(second.text)
    nodes = re.search(r'href="([^"]*)">More nodes', page.text)
    assert nodes is not None
    assert '<th scope="row"><a href="/runs/' in alice.get(unescape(nodes[1])).text


def test_a_run_of_another_project_is_not_there(projects: tuple[Project, Project]) -> None:
    one, other = projects
    run = parked(one)["id"]
    stranger = visitor(other, "admin")
    for path in (f"/runs/{run}", f"/runs/{run}/nodes/pay", "/workflows/gated", "/workflows/gated/start", "/runs/odd"):
        assert stranger.get(path).status_code == 404
    assert stranger.post(f"/runs/{run}/cancel", {"reason": "mine"}).status_code == 404
    assert "gated" not in words(stranger.get("/workflows").text)


# ---------------------------------------------------------------- its end before its time


def test_an_admin_cancels_a_run_and_says_why(project: Project) -> None:
    run = parked(project)["id"]
    admin = visitor(project, "admin")
    nameless = admin.post(f"/runs/{run}/cancel", {"reason": " "})
    assert nameless.status_code == 422
    assert "Say why" in words(nameless.text)
    assert f'hx-get="/runs/{run}"' in nameless.text
    assert leads_to(admin.post(f"/runs/{run}/cancel", {"reason": "wrong <b>supplier"})) == f"/runs/{run}"
    assert read(project, run)["status"] == "cancelled"
    page = admin.get(f"/runs/{run}")
    assert "Cancelled: “wrong <b>supplier”" in words(page.text)
    assert "Cancel this run" not in words(page.text)
    again = admin.post(f"/runs/{run}/cancel", {"reason": "again"})
    assert again.status_code == 409
    assert "been cancelled" in words(again.text)


@pytest.mark.parametrize("who", ["alice", "auditor"])
def test_nobody_else_cancels_one(project: Project, who: str) -> None:
    run = parked(project)["id"]
    visiting = visitor(project, who)
    assert "Cancel this run" not in words(visiting.get(f"/runs/{run}").text)
    assert visiting.post(f"/runs/{run}/cancel", {"reason": "no"}).status_code == 403
    assert read(project, run)["status"] == "parked"


# ---------------------------------------------------------------- one node


def test_a_node_shows_what_went_in_and_what_came_out(project: Project) -> None:
    run = start(project, PLAIN, {"amount": f"1.00 {HOSTILE}"})["id"]
    settle(project, take(project, "pay"), output={"receipt": f"R-1 {HOSTILE}"})
    page = visitor(project, "auditor").get(f"/runs/{run}/nodes/pay")
    shown = words(page.text)
    assert "amount: 1.00" in shown
    assert "receipt: R-1" in shown
    assert f"{run}/pay/1" in shown
    assert "<script>x" not in page.text
    assert "\u202e" not in page.text


def test_a_node_that_waits_for_an_event_says_how_it_is_told(project: Project) -> None:
    run = parked(project, GATED_TWICE, {"note": "x"})["id"]
    for who in ("admin", "alice"):
        page = visitor(project, who).get(f"/runs/{run}/nodes/wait")
        assert f"/v1/executions/{run}/signal" in page.text
        assert '"name": "paid"' in words(page.text)
        assert 'method="post" action="/runs' not in page.text


def test_the_node_of_an_approval_leads_to_it(project: Project) -> None:
    run = parked(project)["id"]
    page = visitor(project, "alice").get(f"/runs/{run}/nodes/pay")
    assert f'href="/approvals/{pending(project, run)}"' in page.text
    assert "It waits for a reviewer's decision" in words(page.text)
    assert visitor(project, "alice").get(f"/runs/{run}/nodes/nothing").status_code == 404


@pytest.mark.parametrize("who", ["alice", "admin"])
def test_an_unknown_outcome_is_resolved_by_who_may_decide(project: Project, who: str) -> None:
    run, node = unknown(project)
    visiting, path = visitor(project, who), f"/runs/{run}/nodes/{node}"
    assert "What came of it?" in words(visiting.get(path).text)
    sent = {"outcome": "succeeded", "output": '{"receipt": "R-1"}', "reason": "seen at the bank"}
    for wrong in ({"outcome": "maybe"}, {"reason": ""}, {"output": "{"}, {"output": "[1]"}):
        refused = visiting.post(f"{path}/resolve", sent | wrong)
        assert refused.status_code == 422
        assert 'role="alert"' in refused.text
        for text in (sent | wrong).values():
            assert text == "maybe" or text in unescape(refused.text)
    assert leads_to(visiting.post(f"{path}/resolve", sent)) == path
    found = read(project, run)
    assert found["status"] == "completed"
    assert "receipt: R-1" in words(visiting.get(path).text)
    assert visiting.post(f"{path}/resolve", sent).status_code == 409


def test_an_auditor_resolves_nothing(project: Project) -> None:
    run, node = unknown(project)
    auditor, path = visitor(project, "auditor"), f"/runs/{run}/nodes/{node}"
    assert "What came of it?" not in words(auditor.get(path).text)
    assert auditor.post(f"{path}/resolve", {"outcome": "failed", "reason": "x"}).status_code == 403
    assert read(project, run)["status"] == "parked"


def test_what_did_not_happen_can_run_once_more(project: Project) -> None:
    run, node = unknown(project)
    path = f"/runs/{run}/nodes/{node}"
    visitor(project, "alice").post(f"{path}/resolve", {"outcome": "retry", "reason": "the bank has nothing"})
    assert take(project, "payments.submit")["execution_key"] == f"{run}/{node}/1"


# ---------------------------------------------------------------- workflows


def test_each_workflow_is_listed_once_with_its_last_version(project: Project) -> None:
    for source in (GATED, PLAIN, GATED.replace("1.0.0", "1.1.0")):
        register(project, source)
    page = visitor(project, "auditor").get("/workflows")
    assert re.search(r"gated 1\.1\.0 .* plain 1\.0\.0", words(page.text))
    assert len(re.findall(r'href="/workflows/gated"', page.text)) == 1
    assert 'href="/runs?workflow_id=gated"' in page.text


def test_a_workflow_shows_its_graph_its_file_its_policy_and_its_versions(project: Project) -> None:
    for version in ("1.0.0", "1.1.0"):
        register(project, GATED_TWICE.replace("1.0.0", version))
    alice = visitor(project, "alice")
    page = alice.get("/workflows/twice")
    shown = words(page.text)
    assert "<svg" in page.text
    assert "Needs approval payments.*" in shown
    assert "payments.left" in shown
    assert "1.1.0 " in shown
    assert 'href="/workflows/twice?version=1.0.0"' in page.text
    assert "<script>x" not in page.text
    source = re.search(r'<pre tabindex="0">\n(\nworkflow:.*?)</pre>', page.text, re.DOTALL)
    assert source is not None
    assert "\n  both: {type: parallel" in source[1]
    assert "1.0.0" in words(alice.get("/workflows/twice?version=1.0.0").text)
    assert alice.get("/workflows/twice?version=7.0.0").status_code == 404


def test_pages_of_runs_are_for_who_is_signed_in(project: Project) -> None:
    nobody = visitor(project, None)
    for path in ("/runs", "/workflows", "/workflows/gated/start"):
        assert leads_to(nobody.get(path)).startswith("/sign-in")
