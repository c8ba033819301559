"""Registered workflows, the check of a file, the schema, and what `init` writes."""

import csv
import json
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import signoff
from signoff.cli.init import FILES
from tests.cli import samples
from tests.cli import workflow_samples as told
from tests.cli.conftest import APP_KEY, Answer, FakeServer, Run, invoke, problem

LIST = "/v1/workflows"
VALIDATE = f"{LIST}/validate"
EVIL = "a\x1b[2J\u202e\nb\u200b"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "workflow.yaml"
    path.write_text("workflow: {}\n")
    return path


def test_the_list_has_its_columns(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page(told.listed_workflow(), told.listed_workflow(description=None)))
    result = run("workflows")
    assert result.exit_code == 0
    header, first, second = result.stdout.splitlines()
    assert header.split() == ["WORKFLOW", "VERSION", "AGE", "REGISTERED", "BY", "DESCRIPTION"]
    assert first.split() == ["payment-processor", "0.1.0", "2h", "payments-app", "Makes", "a", "payment."]
    assert second.endswith("payments-app")
    assert fake.asked[0].headers["authorization"] == f"Bearer {APP_KEY}"


def test_none_and_more_are_said(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page(), samples.page(told.listed_workflow(), cursor="9"))
    assert "signoff run" in run("workflows").stderr
    assert "more than these 1" in run("workflows", "--limit", "1").stderr


def test_one_is_shown_with_its_file(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", f"{LIST}/payment-processor", told.workflow())
    shown = run("workflows", "payment-processor", "--version", "0.1.0").stdout
    order = [
        "payment-processor 0.1.0",
        "Makes a payment.",
        "by payments-app (service)",
        told.DIGEST,
        "fetch_details, submit_payment",
        "fetch_payment_details, payments.submit",
        "input schema",
        "type: object",
        "file",
        "  workflow:\n    id: payment-processor\n",
    ]
    places = [shown.index(text) for text in order]
    assert places == sorted(places)
    assert fake.asked[0].query == {"version": "0.1.0"}
    assert json.loads(run("workflows", "payment-processor", "--json").stdout)["source"] == told.workflow()["source"]


@pytest.mark.parametrize("arguments", [("Payment",), ("../keys",), ("--version", "1")])
def test_wrong_usage_asks_nothing(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    assert run("workflows", *arguments).exit_code == 2
    assert fake.asked == []


def test_an_unknown_one_says_where_to_look(run: Run) -> None:
    result = run("workflows", "exe_1")
    assert result.exit_code == 1
    assert "There is no workflow exe_1 in this project: signoff workflows lists those there are." in result.stderr


@pytest.mark.usefixtures("file")
def test_a_valid_file_is_said_to_be_one(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", VALIDATE, told.registered())
    result = run("validate", "workflow.yaml")
    assert (result.exit_code, result.stdout) == (0, "workflow.yaml is valid: payment-processor 0.1.0.\n")
    assert fake.asked[0].body == "workflow: {}\n"
    assert json.loads(run("validate", "workflow.yaml", "--json").stdout) == {
        "valid": True,
        "workflows": told.registered()["workflows"],
        "faults": [],
    }


FAULTS = [
    {"pointer": "/nodes/a/next", "message": "line 12, column 11: there is no node b\u202e"},
    {"pointer": "/workflow", "message": "line 1, column 1: start is missing"},
    {"pointer": "", "message": EVIL},
]


@pytest.mark.usefixtures("file")
def test_each_fault_has_its_place(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", VALIDATE, problem(422, "workflow_invalid", errors=FAULTS))
    result = run("validate", "workflow.yaml")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "workflow.yaml:12:11: there is no node b\\u202e",
        "workflow.yaml:1:1: start is missing",
        "workflow.yaml: a\\u001b[2J\\u202e\\nb\\u200b",
    ]
    assert result.stderr == "signoff: workflow.yaml is not valid: 3 faults.\n"


@pytest.mark.usefixtures("file")
def test_faults_as_json(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", VALIDATE, problem(422, "workflow_invalid", errors=FAULTS[1:2]))
    result = run("validate", "workflow.yaml", "--json")
    assert result.exit_code == 1
    fault = {"line": 1, "column": 1, "message": "start is missing", "pointer": "/workflow"}
    assert json.loads(result.stdout) == {"valid": False, "workflows": [], "faults": [fault]}
    assert result.stderr == "signoff: workflow.yaml is not valid: 1 fault.\n"


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(("answer", "code"), [(problem(413, "too_large"), 1), (problem(503, "unavailable"), 3)])
def test_another_refusal_is_said_as_it_is(answer: Answer, code: int, run: Run, fake: FakeServer) -> None:
    fake.tell("POST", VALIDATE, answer)
    result = run("validate", "workflow.yaml")
    assert (result.exit_code, result.stdout) == (code, "")
    assert "Because." in result.stderr


@pytest.mark.parametrize("media_type", ["application/json", "application/schema+json"])
def test_the_schema_is_printed_to_be_kept(media_type: str, run: Run, fake: FakeServer) -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": EVIL + "\x7f"}
    fake.tell("GET", "/workflow.schema.json", Answer.of(schema, Content_Type=media_type))
    result = run("schema")
    assert json.loads(result.stdout) == schema
    assert len(result.stdout.splitlines()) == 4
    assert all(line.isprintable() and line.isascii() for line in result.stdout.splitlines())
    assert json.loads(run("schema", "--json").stdout) == schema


def test_whatever_others_wrote_is_made_visible(run: Run, fake: FakeServer) -> None:
    changes = {
        "version": EVIL,
        "description": EVIL,
        "registered_by": samples.APP | {"name": EVIL},
        "digest": EVIL,
        "source": f"one\r\n\x1b[2J{EVIL}",
        "input_schema": {EVIL: EVIL},
        "nodes": [EVIL],
        "tools": [EVIL],
    }
    fake.tell("GET", LIST, samples.page(told.listed_workflow(**changes)))
    fake.tell("GET", f"{LIST}/a", told.workflow(**changes))
    shown = run("workflows").stdout + run("workflows", "a").stdout
    assert "\\u001b[2J\\u202e\\nb\\u200b" in shown
    for line in shown.split("\n"):
        assert line.isprintable(), line


# ---------------------------------------------------------------- init


def test_what_to_begin_with_is_written_and_what_comes_next_is_said(tmp_path: Path) -> None:
    result = invoke("init")
    assert (result.exit_code, result.stdout) == (0, "Wrote workflow.yaml and tools.py.\n")
    commands = ["signoff dev", "signoff run workflow.yaml --no-follow", "signoff approvals", "signoff approve"]
    places = [result.stderr.index(command) for command in commands]
    assert places == sorted(places)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tools.py", "workflow.yaml"]


@pytest.mark.parametrize("name", list(FILES))
def test_nothing_is_written_over_without_force(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    result = invoke("init")
    assert result.exit_code == 1
    assert name in result.stderr
    assert "--force" in result.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]
    forced = invoke("init", "--force", "--json")
    assert json.loads(forced.stdout) == {"written": ["workflow.yaml", "tools.py"]}
    assert (tmp_path / name).read_text() == FILES[name]


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "tools.py").symlink_to(tmp_path / "elsewhere.py")
    assert invoke("init").exit_code == 1
    assert not (tmp_path / "elsewhere.py").exists()
    assert not (tmp_path / "workflow.yaml").exists()


def test_the_workflow_is_gated_and_runs_without_an_input() -> None:
    found = yaml.safe_load(FILES["workflow.yaml"])
    assert found["workflow"]["id"] == "payment-processor"
    assert "required" not in found["workflow"]["input_schema"]
    assert found["policy"] == {"require_approval_for": ["payments.*"], "blocked_tools": ["*.delete"]}
    first, second = found["nodes"]["fetch_details"], found["nodes"]["submit_payment"]
    assert (first["tool_ref"], first["next"]) == ("fetch_payment_details", "submit_payment")
    assert (second["tool_ref"], second["next"]) == ("payments.submit", "end")
    assert "has(input.payment_id)" in first["input"]["payment_id"]


@dataclass
class Context:
    execution_key: str


class ToolFailed(Exception):
    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The functions of tools.py by the names that workflows call them by, with a worker's words stood in for."""
    declared: dict[str, Any] = {}

    def tool(name: str, *, idempotent: bool = False) -> Any:
        def declare(function: Any) -> Any:
            function.idempotent = idempotent
            return declared.setdefault(name, function)

        return declare

    for name, value in {"tool": tool, "ToolContext": Context, "ToolFailed": ToolFailed}.items():
        monkeypatch.setitem(vars(signoff), name, value)
    module = types.ModuleType("tools")
    monkeypatch.setitem(sys.modules, "tools", module)
    exec(compile(FILES["tools.py"], "tools.py", "exec"), vars(module))
    return declared


def test_the_tools_are_those_of_the_workflow(tools: dict[str, Any]) -> None:
    called = {node["tool_ref"] for node in yaml.safe_load(FILES["workflow.yaml"])["nodes"].values()}
    assert called == set(tools)
    assert not tools["payments.submit"].idempotent


def test_one_key_is_paid_once(tools: dict[str, Any], tmp_path: Path) -> None:
    payment = tools["fetch_payment_details"]("pay_1001")
    submit = tools["payments.submit"]
    assert submit(payment, Context("exe_1/submit_payment/1"))["paid"] == "now"
    assert submit(payment, Context("exe_1/submit_payment/1"))["paid"] == "before"
    assert submit(payment, Context("exe_2/submit_payment/1"))["paid"] == "now"
    with (tmp_path / "payments.csv").open(newline="") as paid:
        keys = [line["execution_key"] for line in csv.DictReader(paid)]
    assert keys == ["exe_1/submit_payment/1", "exe_2/submit_payment/1"]


def test_a_payment_that_is_none_is_not_tried_again(tools: dict[str, Any]) -> None:
    with pytest.raises(ToolFailed, match="there is no payment pay_9") as failed:
        tools["fetch_payment_details"]("pay_9")
    assert not failed.value.retryable
