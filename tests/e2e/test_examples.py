"""The examples, as a user runs them: the commands of their pages, with real processes."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.console import Console, commands

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = ("expense_report", "onboarding", "payment_processor")


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with Console(tmp_path) as made:
        yield made


def page(console: Console, name: str) -> list[str]:
    """The commands of an example, which stands in the folder of the console."""
    shutil.copytree(EXAMPLES / name, console.folder, dirs_exist_ok=True)
    (block,) = re.findall(r"```sh\n(.*?)```", (EXAMPLES / name / "README.md").read_text(), re.DOTALL)
    return commands(block)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_expense_report(console: Console) -> None:
    said = [console.run(command) for command in page(console, "expense_report")]
    assert "completed in" in said[1]
    assert "within_budget: false" in said[3]
    ended = console.wait()
    assert [node["node_id"] for node in ended["nodes"]][-2:] == ["manager", "tell_employee"]
    assert ended["status"] == "completed"
    (booked,) = lines(console.folder / "reimbursed.jsonl")
    assert (booked["employee"], booked["amount_cents"]) == ("ann", 4590)
    (letter,) = lines(console.folder / "letters.jsonl")
    assert letter["message"] == "Not reimbursed: buy it through the shop"


def test_an_expense_that_fits_the_amount_and_not_the_budget(console: Console) -> None:
    begin, *_ = page(console, "expense_report")
    (console.folder / "reimbursed.jsonl").write_text('{"key": "k", "employee": "ann", "amount_cents": 99999}\n')
    console.run(begin)
    console.run(
        """signoff run workflow.yaml --no-follow --input '{"employee": "ann", "purpose": "p", "amount_cents": 2}'"""
    )
    assert "manager" in console.run("signoff approvals EXECUTION_ID")
    console.run("signoff approve EXECUTION_ID")
    assert [node["node_id"] for node in console.wait()["nodes"]][-1] == "reimburse"
    assert lines(console.folder / "reimbursed.jsonl")[-1]["amount_cents"] == 2


def test_the_onboarding(console: Console) -> None:
    begin, run, look, signal, inbox, again, approve, end = page(console, "onboarding")
    hurry(console.folder / "workflow.yaml", {"20s": "1s", "10s": "1s"})
    console.run(begin)
    console.run(run)
    assert "contract" in console.run(look) or console.wait("contract", "waiting")
    console.run(signal)
    console.wait("head_of_team", "awaiting_approval")
    assert "head_of_team" in console.run(inbox)
    assert "awaiting_approval" in console.run(again)
    console.run(approve)
    console.run(end)
    ended = console.wait()
    assert (ended["status"], len(ended["nodes"])) == ("completed", 7)
    accounts = json.loads((console.folder / "accounts.json").read_text())
    assert accounts == {"ben@example.org": {"state": "open", "teams": ["payroll"]}}
    assert (console.folder / "mails.txt").read_text() == "ben@example.org: Hello ben, how is it going?\n"


def test_an_onboarding_without_a_contract_ends_with_a_closed_account(console: Console) -> None:
    begin, run, *_ = page(console, "onboarding")
    hurry(console.folder / "workflow.yaml", {"15m": "1s"})
    console.run(begin)
    console.run(run)
    assert [node["node_id"] for node in console.wait()["nodes"]] == ["open_account", "contract", "close_account"]
    assert json.loads((console.folder / "accounts.json").read_text())["ben@example.org"]["state"] == "closed"


def hurry(workflow: Path, times: dict[str, str]) -> None:
    """Nobody waits for the times of the example."""
    text = workflow.read_text()
    for long, short in times.items():
        assert f": {long}\n" in text
        text = text.replace(f": {long}\n", f": {short}\n")
    workflow.write_text(text)


def test_the_payment_processor_by_http(console: Console, free_port: int) -> None:
    said = ""
    for command in page(console, "payment_processor"):
        said = console.run(command.replace("8686", str(free_port)))
        if command.startswith("signoff approve "):
            assert console.wait()["status"] == "completed"
    assert "idempotent" not in said
    (paid,) = lines(console.folder / "bank.jsonl")
    assert paid["key"] == f"{console.execution}/submit_payment/1"
    assert paid["payment"]["amount"] == "1840.00"
    assert "number: 1" in said


@pytest.mark.timeout(240)
def test_the_demo_shows_what_it_says() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")], capture_output=True, text=True, check=False, timeout=220
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("is dead (exit code -9)") == 5
    assert "Each approved transfer was booked once" in done.stdout
    assert "The approved payment was made once, the rejected one never" in done.stdout
    assert "approval_rejected at submit_payment by" in done.stdout
    for event in ("requested", "approved", "rejected", "redeemed", "outcome_reported"):
        assert f"approval.{event}" in done.stdout


def test_every_example_is_run_by_a_test() -> None:
    # The demo runs the other one, with its invoices.
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert {name for name in files if not name.startswith("demo")} == {"wire_transfer.py", "invoices.csv"}
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name[0] not in "._"} == set(FOLDERS)
