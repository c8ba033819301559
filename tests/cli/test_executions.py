"""The list of runs, and everything about one."""

import json
from typing import Any

import pytest

from tests.cli import samples
from tests.cli import workflow_samples as told
from tests.cli.conftest import APP_KEY, FakeServer, Run

LIST = "/v1/executions"
EVIL = "a\x1b[2J\u202e\nb\u200b"


def test_the_list_has_its_columns(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page(told.summary(2), told.summary(1, "failed")))
    result = run("executions")
    assert (result.exit_code, result.stderr) == (0, "")
    header, first, second = result.stdout.splitlines()
    assert header.split() == ["AGE", "WORKFLOW", "STATUS", "STARTED", "BY", "ID", "REMARK"]
    assert first.split()[:6] == ["3m", "payment-processor", "0.1.0", "parked", "payments-app", f"exe_{2:026d}"]
    assert first.endswith("submit_payment: a reviewer's decision")
    assert second.split()[3] == "failed"
    assert second.endswith("approval_rejected at submit_payment by alice (human): too much")
    assert fake.asked[0].headers["authorization"] == f"Bearer {APP_KEY}"


def test_on_a_narrow_screen_the_failure_stands_below(
    run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    failure = told.failure(comment="because " * 200)
    fake.tell("GET", LIST, samples.page(told.summary(1, "failed", failure=failure)))
    *_, below = run("executions").stdout.splitlines()
    assert below.startswith("      approval_rejected at submit_payment by alice (human): because")
    assert below.endswith("…")
    assert len(below) < 300


def test_what_is_asked_of_the_server(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page())
    run("executions", "--status", "parked", "--workflow", "payment-processor", "--limit", "7")
    assert fake.asked[0].query == {"status": "parked", "workflow_id": "payment-processor", "limit": "7"}
    assert run("executions", "--status", "open").exit_code == 2


def test_none_and_more_are_said(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page(), samples.page(told.summary(), cursor="9"))
    none = run("executions")
    assert (none.exit_code, none.stdout) == (0, "")
    assert "signoff run" in none.stderr
    assert "more than these 1" in run("executions", "--limit", "1").stderr


def test_json_is_what_the_server_sent(run: Run, fake: FakeServer) -> None:
    sent = samples.page(told.summary(status="failed"))
    fake.tell("GET", LIST, sent)
    assert json.loads(run("executions", "--json").stdout) == sent


def inspected(run: Run, fake: FakeServer, execution: dict[str, Any], words: dict[str, Any], *more: str) -> str:
    fake.tell("GET", told.PATH, execution)
    fake.tell("GET", f"{told.PATH}/approvals", words)
    result = run("inspect", told.EXE, *more)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_everything_about_a_run_is_there(run: Run, fake: FakeServer) -> None:
    retried = told.node("submit_payment", "failed", visit=2, attempt=3, error="it broke")
    execution = told.execution("failed", told.node(), retried)
    words = told.approvals(
        told.of_node(told.gated(2, "other"), "other"), decided=(told.of_node(told.gated_and_decided()),)
    )
    shown = inspected(run, fake, execution, words)
    order = [
        "payment-processor 0.1.0  failed",
        told.EXE,
        "code          approval_rejected",
        "node          submit_payment",
        "by            alice (human)",
        "comment       too much",
        "nodes",
        "fetch_details   completed",
        "2.0s",
        "submit_payment  failed, visit 2, attempt 3",
        "it broke",
        "approvals",
        "submit_payment was approved by alice (human) at ",
        ": fine",
        "other pending, 6d left",
        "input",
        "payment_id: pay_1001",
        "started by    payments-app (service) prn_app",
        "ended ",
        told.DIGEST,
    ]
    places = [shown.index(text) for text in order]
    assert places == sorted(places)


def test_a_parked_run_says_how_it_goes_on(run: Run, fake: FakeServer) -> None:
    shown = inspected(run, fake, told.execution(), told.approvals(told.of_node(told.gated())))
    assert "awaiting_approval" in shown
    assert f"signoff approve {told.EXE}\n" in shown


def test_as_json_it_is_the_run_with_its_approvals(run: Run, fake: FakeServer) -> None:
    words = told.approvals(told.of_node(told.gated()))
    execution = told.execution()
    assert json.loads(inspected(run, fake, execution, words, "--json")) == execution | {"approvals": words}


def test_a_node_with_what_went_in_and_what_came_out(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", f"{told.PATH}/nodes/fetch_details", told.detail(error="once it broke"))
    shown = inspected(run, fake, told.execution(), told.approvals(), "--node", "fetch_details")
    order = [
        "fetch_details  completed",
        "input",
        "payment_id: pay_1001",
        "output",
        'amount: "1840.00"',
        "error",
        "once it broke",
        f"execution key {told.EXE}/fetch_details/1",
    ]
    places = [shown.index(text) for text in order]
    assert places == sorted(places)


@pytest.mark.parametrize(("output", "shown"), [(None, "(none)"), ([], "[]"), ({}, "{}"), ("a\nb", "a\\nb"), (5, "5")])
def test_an_output_that_is_no_object(output: Any, shown: str, run: Run, fake: FakeServer) -> None:
    fake.tell("GET", f"{told.PATH}/nodes/fetch_details", told.detail(output=output))
    printed = inspected(run, fake, told.execution(), told.approvals(), "--node", "fetch_details")
    assert f"output\n  {shown}\n" in printed


def test_a_node_that_was_not_visited_is_said_with_those_that_were(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", told.PATH, told.execution())
    result = run("inspect", told.EXE, "--node", "other")
    assert result.exit_code == 1
    assert "Visited: fetch_details, submit_payment." in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect",),
        ("inspect", "apr_1"),
        ("inspect", "exe_/../x"),
        ("inspect", told.EXE, "--node", "a/b"),
        ("inspect", told.EXE, "--node", "../x"),
    ],
)
def test_wrong_usage_asks_nothing(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    assert run(*arguments).exit_code == 2
    assert fake.asked == []


def test_an_unknown_run_says_where_to_look(run: Run) -> None:
    result = run("inspect", told.EXE)
    assert result.exit_code == 1
    assert f"There is no {told.EXE} in this project: signoff executions lists those there are." in result.stderr


def nasty() -> dict[str, Any]:
    node = told.node(EVIL, "failed", type=EVIL, tool=EVIL, waiting_for=EVIL, error=EVIL, execution_key=EVIL)
    return told.execution(
        "failed",
        node,
        told.node(),
        told.parked_node(EVIL),
        workflow_id=EVIL,
        version=EVIL,
        digest=EVIL,
        url=EVIL,
        input={EVIL: {EVIL: [EVIL]}},
        initiator=samples.APP | {"name": EVIL, "id": EVIL},
        failure=told.failure(code=EVIL, node_id=EVIL, message=EVIL, comment=EVIL),
    )


@pytest.mark.parametrize("columns", [60, 300])
def test_whatever_others_wrote_is_made_visible(
    columns: int, run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    one = told.of_node(told.gated_and_decided()) | {"node_id": EVIL, "reason": EVIL, "approval_id": EVIL}
    shown = inspected(run, fake, nasty(), told.approvals(one | {"status": EVIL}, decided=(one,)))
    listed = samples.page({name: nasty()[name] for name in told.summary()})
    fake.tell("GET", LIST, listed)
    evil = told.detail(input={EVIL: EVIL}, output=EVIL, error=EVIL, tool=EVIL, waiting_for=EVIL)
    fake.tell("GET", f"{told.PATH}/nodes/fetch_details", evil)
    shown += run("executions").stdout + run("inspect", told.EXE, "--node", "fetch_details").stdout
    assert "\\u001b[2J\\u202e\\nb\\u200b" in shown
    for line in shown.split("\n"):
        assert line.isprintable(), line
