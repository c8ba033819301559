"""A person's word on a run: read, shown and pinned before it is given."""

import json
from typing import Any

import pytest

from tests.cli import samples
from tests.cli import workflow_samples as told
from tests.cli.conftest import KEY, FakeServer, Run, problem

APPROVE = f"{told.PATH}/approve"
EVIL = "a\x1b[2J\u202e\nb\u200b"


def wait_for(fake: FakeServer, *waiting: dict[str, Any], decided: tuple[dict[str, Any], ...] = ()) -> None:
    """The run waits for these approvals."""
    pending = [told.of_node(each, each["source"]["node_id"]) for each in waiting]
    fake.tell("GET", f"{told.PATH}/approvals", told.approvals(*pending, decided=decided))
    for each in waiting:
        fake.tell("GET", f"/v1/approvals/{each['id']}", each)


def said(number: int = 1, decision: str = "approved", node: str = "submit_payment") -> dict[str, Any]:
    return {"execution_id": told.EXE, "node_id": node, "approval_id": f"apr_{number:026d}", "decision": decision}


def test_approving_shows_the_whole_input_and_names_the_node(run: Run, fake: FakeServer) -> None:
    wait_for(fake, told.gated())
    fake.tell("POST", APPROVE, said())
    result = run("approve", told.EXE, "--comment", "fine")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"Approving submit_payment of {told.EXE}",
        f"  payments.submit  asked by payments-app (service)  {told.APR}",
        "  input: what will be executed",
        "    payment:",
        "      payment_id: pay_1001",
        "      payee: Nordwind",
        '      amount: "1840.00"',
        f"approved submit_payment of {told.EXE}",
    ]
    posted = fake.asked[-1]
    assert posted.body == {
        "decision": "approved",
        "node_id": "submit_payment",
        "comment": "fine",
        "approval_id": told.APR,
    }
    assert posted.headers["idempotency-key"].startswith("cli:")
    assert {asked.headers["authorization"] for asked in fake.asked} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("approve", "--decision", "rejected", "--comment", "no"),
        ("reject", "--reason", "no"),
        ("reject", "--comment", "no"),
    ],
)
def test_rejecting(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    wait_for(fake, told.gated())
    fake.tell("POST", APPROVE, said(decision="rejected"))
    result = run(arguments[0], told.EXE, *arguments[1:])
    assert result.stdout.splitlines()[-1] == f"rejected submit_payment of {told.EXE}"
    assert fake.asked[-1].body["decision"] == "rejected"
    assert fake.asked[-1].body["comment"] == "no"


def test_as_json_what_is_decided_goes_to_stderr(run: Run, fake: FakeServer) -> None:
    wait_for(fake, told.gated())
    fake.tell("POST", APPROVE, said())
    result = run("approve", told.EXE, "--json")
    assert json.loads(result.stdout) == said()
    assert "payment_id: pay_1001" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--approval-id", f"apr_{3:026d}")])
def test_several_that_wait_are_listed_and_none_is_decided(
    arguments: tuple[str, ...], run: Run, fake: FakeServer
) -> None:
    wait_for(fake, told.gated(1, "one"), told.gated(2, "two"))
    fake.tell("GET", told.PATH, told.execution())
    result = run("approve", told.EXE, *arguments)
    assert result.exit_code == (4 if arguments else 2)
    assert ("one, two" in result.stderr) is not bool(arguments)
    assert {asked.method for asked in fake.asked} == {"GET"}


@pytest.mark.parametrize("arguments", [("--node-id", "two"), ("--approval-id", f"apr_{2:026d}")])
def test_the_one_that_is_named_is_decided(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    wait_for(fake, told.gated(1, "one"), told.gated(2, "two"))
    fake.tell("POST", APPROVE, said(2, node="two"))
    result = run("approve", told.EXE, *arguments)
    assert result.stdout.splitlines()[-1] == f"approved two of {told.EXE}"
    assert fake.asked[-1].body["approval_id"] == f"apr_{2:026d}"


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"payment": {"amount": "1.00"}}},
        {"context": {"note": "harmless"}},
        {"name": "payments.quote"},
        {"nonce": "b3RoZXI"},
        {"binding": "sha256:0"},
        {"project": "prj_other"},
        {"source": told.gated()["source"] | {"node_id": "other"}},
        {"source": told.gated()["source"] | {"execution_id": f"exe_{2:026d}"}},
    ],
)
def test_what_is_not_what_is_bound_is_never_decided(changes: dict[str, Any], run: Run, fake: FakeServer) -> None:
    wait_for(fake, told.gated())
    fake.tell("GET", f"/v1/approvals/{told.APR}", told.gated() | changes)
    result = run("approve", told.EXE)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "cannot be trusted" in result.stderr
    assert {asked.method for asked in fake.asked} == {"GET"}


def test_what_was_erased_is_not_decided(run: Run, fake: FakeServer) -> None:
    wait_for(fake, told.gated())
    fake.tell("GET", f"/v1/approvals/{told.APR}", told.gated() | {"arguments": None, "nonce": ""})
    result = run("approve", told.EXE)
    assert result.exit_code == 1
    assert "erased" in result.stderr


def test_an_answer_about_another_decision_is_not_believed(run: Run, fake: FakeServer) -> None:
    wait_for(fake, told.gated())
    fake.tell("POST", APPROVE, said(2))
    result = run("approve", told.EXE)
    assert result.exit_code == 1
    assert "approved submit_payment" not in result.stdout
    assert "another decision" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--node-id", "submit_payment"), ("--approval-id", told.APR)])
def test_one_that_was_decided_says_who_and_when(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    wait_for(fake, decided=(told.of_node(told.gated_and_decided(status="rejected")),))
    result = run("approve", told.EXE, *arguments)
    assert (result.exit_code, result.stdout) == (4, "")
    assert f"submit_payment of {told.EXE} was rejected by alice (human) at " in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("status", "arguments", "words"),
    [
        ("completed", (), f"Nothing waits for a decision in {told.EXE}: it is completed."),
        ("running", ("--node-id", "later"), f"No approval of later waits for a decision in {told.EXE}: it is running."),
    ],
)
def test_a_run_that_waits_for_nothing_says_how_it_stands(
    status: str, arguments: tuple[str, ...], words: str, run: Run, fake: FakeServer
) -> None:
    wait_for(fake)
    fake.tell("GET", told.PATH, told.execution(status))
    result = run("approve", told.EXE, *arguments)
    assert result.exit_code == 4
    assert words in result.stderr


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (
            problem(409, "already_decided", current={"status": "rejected", "decided_by": samples.ALICE, "via": "api"}),
            f"submit_payment of {told.EXE} was rejected by alice (human, via api).",
        ),
        (
            problem(409, "not_pending", "It does not wait.", current={"status": "running"}),
            f"submit_payment of {told.EXE}: It does not wait. (not_pending) It is running.",
        ),
        (
            problem(409, "execution_finished", "The run is over.", current={"status": "cancelled"}),
            f"submit_payment of {told.EXE}: The run is over. (execution_finished) It is cancelled.",
        ),
    ],
)
def test_somebody_who_was_faster_in_between_is_told(refusal: Any, words: str, run: Run, fake: FakeServer) -> None:
    wait_for(fake, told.gated())
    fake.tell("POST", APPROVE, refusal)
    result = run("approve", told.EXE)
    assert result.exit_code == 4
    assert words in result.stderr


def test_a_decision_without_an_answer_says_where_to_look(run: Run, fake: FakeServer) -> None:
    wait_for(fake, told.gated())
    fake.tell("POST", APPROVE, problem(503, "unavailable"))
    assert run("approve", told.EXE).exit_code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("approve", told.EXE, "--decision", "rejected"),
        ("approve", told.APR, "--decision", "rejected"),
        ("approve", told.EXE, "--decision", "maybe"),
        ("approve", told.EXE, "--node-id", "../x"),
        ("approve", told.EXE, "--comment", " "),
        ("reject", told.EXE),
        ("approve", told.APR, "--node-id", "submit_payment"),
        ("reject", told.APR, "--reason", "x", "--approval-id", told.APR),
        ("resolve", told.EXE, "--outcome", "release", "--reason", "x"),
        ("resolve", told.APR, "--outcome", "retry", "--reason", "x"),
        ("resolve", told.APR, "--outcome", "failed", "--reason", "x", "--node-id", "a"),
        ("resolve", told.APR, "--outcome", "succeeded", "--reason", "x", "--output", "{}"),
        ("resolve", told.EXE, "--outcome", "failed", "--reason", "x", "--output", "{}"),
        ("resolve", told.EXE, "--outcome", "succeeded", "--reason", "x", "--output", "[]"),
    ],
)
def test_wrong_usage_asks_nothing(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    assert run(*arguments).exit_code == 2
    assert fake.asked == []


def test_an_approval_s_own_id_still_decides_it(run: Run, fake: FakeServer) -> None:
    path = f"/v1/approvals/{told.APR}"
    fake.tell("GET", path, told.gated())
    fake.tell("POST", f"{path}/decision", told.gated_and_decided(status="rejected"))
    result = run("approve", told.APR, "--decision", "rejected", "--comment", "no")
    assert result.stdout.splitlines()[-1] == f"{told.APR} rejected."
    assert fake.asked[-1].body == {"decision": "rejected", "reason": "no", "seen": told.gated()["binding"]}


@pytest.mark.parametrize("command", [("approve",), ("reject", "--reason", "x"), ("approvals",), ("cancel",)])
def test_an_unknown_run_says_where_to_look(command: tuple[str, ...], run: Run) -> None:
    result = run(command[0], told.EXE, *command[1:])
    assert result.exit_code == 1
    assert f"There is no {told.EXE} in this project: signoff executions lists those there are." in result.stderr


# ---------------------------------------------------------------- resolving and cancelling


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("succeeded", "--output", '{"paid": true}'), f"resolved submit_payment of {told.EXE} as succeeded"),
        (("failed",), f"resolved submit_payment of {told.EXE} as failed"),
        (("retry",), f"submit_payment of {told.EXE} runs once more, with the same execution key"),
    ],
)
def test_resolving_a_node(arguments: tuple[str, ...], words: str, run: Run, fake: FakeServer) -> None:
    fake.tell("POST", f"{told.PATH}/nodes/submit_payment/resolve", told.execution("running"))
    result = run(
        "resolve", told.EXE, "--node-id", "submit_payment", "--reason", "the bank says so", "--outcome", *arguments
    )
    assert (result.exit_code, result.stdout) == (0, f"{words}\n")
    output = {"output": {"paid": True}} if len(arguments) > 1 else {}
    assert fake.asked[-1].body == {"outcome": arguments[0], "reason": "the bank says so"} | output
    assert fake.asked[-1].headers["idempotency-key"].startswith("cli:")
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    ("unknown", "code", "words"),
    [(["a"], 0, "resolved a of"), ([], 4, "No node of"), (["a", "b"], 2, "by --node-id: a, b")],
)
def test_the_node_whose_outcome_is_unknown_is_found(
    unknown: list[str], code: int, words: str, run: Run, fake: FakeServer
) -> None:
    lost = [told.node(each, "outcome_unknown") for each in unknown]
    fake.tell("GET", told.PATH, told.execution("parked", told.node(), *lost))
    fake.tell("POST", f"{told.PATH}/nodes/a/resolve", told.execution("running"))
    result = run("resolve", told.EXE, "--outcome", "failed", "--reason", "x")
    assert result.exit_code == code
    assert words in result.output


def test_cancelling_a_run(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", f"{told.PATH}/cancel", told.execution("cancelled"))
    assert run("cancel", told.EXE).stdout == f"{told.EXE} cancelled.\n"
    run("cancel", told.EXE, "--reason", "not wanted", "--json")
    assert [asked.body for asked in fake.asked] == [{}, {"reason": "not wanted"}]


# ---------------------------------------------------------------- what a run waits for


def test_what_a_run_waits_for_is_shown_whole(run: Run, fake: FakeServer) -> None:
    done = told.of_node(told.gated_and_decided(2, "rejected", "other"), "other")
    wait_for(fake, told.gated(), decided=(done,))
    result = run("approvals", told.EXE)
    assert result.exit_code == 0
    order = [
        "submit_payment  pending, 6d left",
        "tool      payments.submit",
        told.APR,
        "asked by  payments-app (service), 3m ago",
        f"rule      {told.RULE}",
        "input: what will be executed",
        "    payment:",
        '      amount: "1840.00"',
        "other  was rejected by alice (human) at ",
        ": fine",
    ]
    places = [result.stdout.index(text) for text in order]
    assert places == sorted(places)
    assert result.stderr == f"Decide it: signoff approve {told.EXE}\n"
    assert fake.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_person_s_node_shows_its_context(run: Run, fake: FakeServer) -> None:
    source = told.gated()["source"] | {"tool": None}
    asked = told.gated(arguments=None, context={"why": "because"}, source=source)
    wait_for(fake, asked)
    shown = run("approvals", told.EXE).stdout
    assert "none: a person is asked" in shown
    assert "  context\n    why: because\n" in shown
    assert "input" not in shown


def test_several_are_each_told_apart(run: Run, fake: FakeServer) -> None:
    wait_for(fake, told.gated(1, "one"), told.gated(2, "two"))
    hints = run("approvals", told.EXE).stderr.splitlines()
    assert [hint.rpartition(" ")[2] for hint in hints] == ["one", "two"]


def test_nothing_waits_and_json(run: Run, fake: FakeServer) -> None:
    wait_for(fake)
    fake.tell("GET", told.PATH, told.execution("completed"))
    result = run("approvals", told.EXE)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"Nothing of {told.EXE} waits" in result.stderr
    assert json.loads(run("approvals", told.EXE, "--json").stdout) == {"pending": [], "decided": []}


def test_a_run_under_way_is_given_time_to_come_to_where_it_waits(run: Run, fake: FakeServer) -> None:
    pending = told.approvals(told.of_node(told.gated()))
    fake.tell("GET", f"{told.PATH}/approvals", told.approvals(), pending)
    fake.tell("GET", told.PATH, told.execution("running"), told.execution("parked"))
    result = run("approvals", told.EXE)
    assert result.exit_code == 0
    assert "submit_payment" in result.stdout
    assert f"{told.EXE} is running; waiting" in result.stderr
    assert {"wait": "25"} in [asked.query for asked in fake.asked]


@pytest.mark.parametrize(
    "arguments", [("apr_1",), (told.EXE, "--status", "all"), (told.EXE, "--watch"), (told.EXE, "--limit", "50")]
)
def test_filters_are_of_the_whole_list(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    assert run("approvals", *arguments).exit_code == 2
    assert fake.asked == []


@pytest.mark.parametrize("command", ["approvals", "approve"])
def test_whatever_others_wrote_is_made_visible(command: str, run: Run, fake: FakeServer) -> None:
    evil = told.gated(
        arguments={EVIL: {EVIL: [EVIL]}},
        context={EVIL: EVIL},
        summary=EVIL,
        requested_by=samples.APP | {"name": EVIL},
    )
    wait_for(
        fake, evil, decided=(told.of_node(told.gated_and_decided(2)) | {"reason": EVIL, "name": EVIL, "rule": EVIL},)
    )
    fake.tell("POST", APPROVE, said())
    result = run(command, told.EXE)
    assert result.exit_code == 0
    assert "\\u001b[2J\\u202e\\nb\\u200b" in result.stdout
    for line in result.output.split("\n"):
        assert line.isprintable(), line


def test_a_node_s_name_cannot_lead_to_another_path(run: Run, fake: FakeServer) -> None:
    lost = told.node("../../../v1/keys", "outcome_unknown")
    fake.tell("GET", told.PATH, told.execution("parked", lost))
    assert run("resolve", told.EXE, "--outcome", "failed", "--reason", "x").exit_code == 1
    assert fake.asked[-1].path == f"{told.PATH}/nodes/..%2F..%2F..%2Fv1%2Fkeys/resolve"
