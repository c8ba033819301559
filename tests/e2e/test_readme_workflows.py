"""The chapter on workflows is true: its commands, its files and its tables."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from signoff.cli import signoff
from signoff.worker.tools_file import _Said, read_tools
from signoff_server.core import definitions, policies, readings
from signoff_server.core.graph import MAX_LOST_LEASES, MAX_STEPS
from tests.support.console import Console, commands

README = (Path(__file__).parents[2] / "README.md").read_text()
CHAPTER = README[README.index("\n## Workflows\n") : README.index("\n## How it survives kills\n")]
WORKFLOW, POLICY, TOOLS_FILE = re.findall(r"```yaml\n(.*?)```", CHAPTER, re.DOTALL)
TOOLS, CLIENT = re.findall(r"```python\n(.*?)```", CHAPTER, re.DOTALL)
FLOW, FOR_REAL = re.findall(r"```sh\n(.*?)```", CHAPTER, re.DOTALL)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with Console(tmp_path) as made:
        yield made


def rows(head: str) -> dict[str, str]:
    """The cells of the table with that head, by its first column."""
    table = CHAPTER[CHAPTER.index(head) :].partition("\n\n")[0]
    cells = [re.split(r"(?<!\\)\|", line.strip("|"), maxsplit=1) for line in table.splitlines()[2:]]
    return {name.strip(" `"): rest for name, rest in cells}


# ---------------------------------------------------------------- the flow


@pytest.mark.timeout(240)
def test_the_flow_survives_a_kill_between_every_two_commands(console: Console) -> None:
    said: dict[str, str] = {}
    for command in commands(FLOW):
        said[command.split()[1]] = console.run(command)
        if console.server is not None:
            console.server.kill()
            console.server.start()
    assert 'amount: "1840.00"' in said["approvals"]
    assert "approved submit_payment of" in said["approve"]
    ended = console.wait()
    assert ended["status"] == "completed"
    _, *paid = (console.folder / "payments.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in paid] == [f"{console.execution}/submit_payment/1"]


def test_the_example_runs_with_its_tools(console: Console) -> None:
    for name, text in (
        ("workflow.yaml", WORKFLOW),
        ("tools.py", TOOLS),
        ("client.py", CLIENT),
        ("policy.yaml", POLICY),
    ):
        (console.folder / name).write_text(text)
    console.run("signoff dev &")
    assert "is valid: refunds 1.0.0" in console.run("signoff validate workflow.yaml")
    assert re.fullmatch(r"completed exe_\w+/refund/1\n", console.run("python client.py"))
    console.run("""signoff run workflow.yaml --no-follow --input '{"order": "A-1009"}'""")
    assert "Refund order A-1009?" in console.run("signoff approvals EXECUTION_ID")
    console.run("signoff approve EXECUTION_ID --decision rejected --comment no")
    assert [node["node_id"] for node in console.wait()["nodes"]] == ["look_up", "by_amount", "supervisor"]
    (console.folder / "workflow.yaml").write_text(WORKFLOW + "# edited\n")
    console.run("""signoff run workflow.yaml --input '{"order": "A-1010"}'""")
    assert re.search(r"refunds +1\.0\.0\+[0-9a-f]{8} ", console.run("signoff workflows"))


def test_a_project_s_policy_adds_to_what_the_workflow_says(console: Console) -> None:
    (console.folder / "workflow.yaml").write_text(WORKFLOW)
    (console.folder / "policy.yaml").write_text(POLICY)
    console.run("signoff dev --no-worker &")
    console.run("signoff policy set policy.yaml")
    told = {
        "payments.refund": "require_approval, project/require_approval_for/payments.*",
        "mail.delete": "block, workflow/blocked_tools/*.delete",
        "secrets.read": "block, project/blocked_tools/secrets.*",
        "orders.get": "allow, project/default/allow",
    }
    for name, verdict in told.items():
        said = console.run(f"signoff policy test {name} --workflow workflow.yaml --node refund")
        assert said.splitlines()[0] == f"{name}: {verdict}"


def test_how_to_run_a_worker_for_real(console: Console) -> None:
    (console.folder / "workflow.yaml").write_text(WORKFLOW)
    (console.folder / "tools.py").write_text(TOOLS)
    console.run("signoff dev --no-worker &")
    *_, before, start = commands(FOR_REAL)
    for command in commands(FOR_REAL)[:-2]:
        key = console.run(command)
        if command.startswith("signoff keys issue runs"):
            console.run(f"export SIGNOFF_API_KEY={key}")
    console.run(f"export SIGNOFF_WORKER_KEY={console.run(before)}")
    assert console.server is not None
    console.run(f"export SIGNOFF_URL={console.server.url}")
    assert "no tools.yaml" not in start
    console.run(start.replace(" --tools tools.yaml", "") + " &")
    assert "completed in" in console.run("""signoff run workflow.yaml --input '{"order": "A-1010"}'""")


# ---------------------------------------------------------------- the tables


def test_the_table_of_nodes_is_the_grammar() -> None:
    told = {
        kind: {name: bool(bold) for bold, name in re.findall(r"(\*\*)?`(\w+)`", cells.partition("|")[0])}
        for kind, cells in rows("| type |").items()
    }
    schemas = definitions.schema()["properties"]["nodes"]["additionalProperties"]["oneOf"]
    real = {each["title"]: {key: key in each["required"] for key in each["properties"]} for each in schemas}
    assert told == {kind: {key: need for key, need in keys.items() if key != "type"} for kind, keys in real.items()}


def test_the_table_of_http_tools_is_the_file() -> None:
    told = rows("| key | what")
    assert list(told) == list(_Said.model_fields)
    assert re.findall(r"`([A-Z]+)`", told["method"].partition(";")[0]) == ["GET", "POST", "PUT", "PATCH", "DELETE"]
    assert _Said.model_fields["timeout"].default == 30
    assert f"`{_Said.model_fields['idempotency_header'].default}`" in told["idempotency_header"]


def test_the_files_are_what_may_stand_there() -> None:
    (found,) = definitions.read(WORKFLOW.encode())
    assert f"max_steps: {MAX_STEPS}, max_lost_leases: {MAX_LOST_LEASES}" in CHAPTER
    assert found.max_steps == MAX_STEPS
    assert definitions.read_policy(POLICY.encode()).require_approval_for == ("payments.*",)
    tools = read_tools(TOOLS_FILE, "tools.yaml", {"BANK_TOKEN": "a-secret-of-the-bank"})
    assert [(spec.name, spec.idempotent) for spec in tools.specs] == [
        ("payments.quote", True),
        ("payments.submit", True),
    ]


def test_the_functions_that_are_named_are_there() -> None:
    sentence = re.search(r"there are (`size`.*?) and\s+the like", CHAPTER, re.DOTALL)
    assert sentence is not None
    known = {*readings.FUNCTIONS, "all", "exists", "map", "filter"}
    assert set(re.findall(r"`(\w+)`", sentence[1])) <= known
    assert "`has(input.note)`" in CHAPTER


def test_an_approval_of_a_workflow_is_a_name_too() -> None:
    blocks = policies.Policy(default="block")
    assert policies.judge([("workflow", blocks)], "refunds.supervisor").effect == "block"
    named = policies.Policy(default="block", allow=("refunds.*",))
    assert policies.judge([("workflow", named)], "refunds.supervisor").effect == "allow"


def test_the_options_that_are_named_are_there() -> None:
    for command, option in re.findall(r"`signoff (\w+)[^`]*?(--[a-z-]+)", CHAPTER):
        assert (
            option
            in CliRunner().invoke(signoff, [command, *(["test"] if command == "policy" else []), "--help"]).stdout
        )
