"""Deciding, resolving and cancelling, and what comes of being late."""

import json
import re
from typing import Any

import pytest

from tests.cli import samples
from tests.cli.conftest import FakeServer, Run, problem

ID = f"apr_{1:026d}"
PATH = f"/v1/approvals/{ID}"


@pytest.fixture
def pending(fake: FakeServer) -> dict[str, Any]:
    approval = samples.approval()
    fake.tell("GET", PATH, approval)
    return approval


def test_approving_names_what_it_approves_and_sends_what_was_seen(
    run: Run, fake: FakeServer, pending: dict[str, Any]
) -> None:
    fake.tell("POST", f"{PATH}/decision", samples.decided())
    result = run("approve", ID)
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first == (
        "Approving payments.wire_transfer  amount=50000.00 currency=EUR  asked by payments-app (service)  " + ID
    )
    assert second == f"{ID} approved."
    posted = fake.asked[-1]
    assert posted.body == {"decision": "approved", "seen": pending["binding"]}
    assert posted.headers["idempotency-key"].startswith("cli:")
    assert posted.headers["signoff-client"] == "cli"


@pytest.mark.usefixtures("pending")
def test_as_json_the_line_goes_to_stderr(run: Run, fake: FakeServer) -> None:
    done = samples.decided()
    fake.tell("POST", f"{PATH}/decision", done)
    result = run("approve", ID, "--json", "--reason", "fine")
    assert json.loads(result.stdout) == done
    assert result.stderr.startswith("Approving payments.wire_transfer")
    assert fake.asked[-1].body["reason"] == "fine"


def test_rejecting(run: Run, fake: FakeServer, pending: dict[str, Any]) -> None:
    fake.tell("POST", f"{PATH}/decision", samples.decided(status="rejected"))
    assert run("reject", ID, "--reason", "too much").exit_code == 0
    assert fake.asked[-1].body == {"decision": "rejected", "reason": "too much", "seen": pending["binding"]}


@pytest.mark.parametrize(
    "arguments",
    [
        ("reject", ID),
        ("reject", ID, "--reason", ""),
        ("reject", ID, "--reason", "  "),
        ("approve", ID, "--reason", " "),
        ("approve",),
        ("approve", "apr/../keys"),
        ("approve", ID, "--key", "sgo_secret"),
        ("resolve", ID, "--reason", "x"),
        ("resolve", ID, "--outcome", "succeeded"),
        ("resolve", ID, "--outcome", "unknown", "--reason", "x"),
    ],
)
def test_wrong_usage_asks_nothing(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    assert run(*arguments).exit_code == 2
    assert fake.asked == []


def current(status: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "status": status,
        "decided_by": samples.ALICE,
        "via": "dashboard",
        "decided_at": samples.at(minutes=5, seconds=1),
        "redemption": None,
    } | changes


@pytest.mark.usefixtures("pending")
@pytest.mark.parametrize(
    ("code", "standing", "said"),
    [
        ("already_decided", current("approved"), "was approved by alice (human, via dashboard) at "),
        ("already_decided", current("rejected"), "was rejected by alice"),
        ("not_pending", current("cancelled"), "was cancelled by alice"),
        ("expired", current("expired", decided_by={"id": None, "kind": "system", "name": None}), "expired at "),
        ("view_stale", current("pending", decided_by=None, decided_at=None), "signoff show"),
    ],
)
def test_a_loser_is_told_who_won_and_when(
    code: str, standing: dict[str, Any], said: str, run: Run, fake: FakeServer
) -> None:
    fake.tell("POST", f"{PATH}/decision", problem(409, code, current=standing))
    result = run("approve", ID)
    assert result.exit_code == 4
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    if standing["decided_at"]:
        # Made when the tests were collected, five minutes before; a long run takes some more.
        assert re.search(r"\b([5-9]|[1-5]\d)m ago", result.stderr)


@pytest.mark.usefixtures("pending")
def test_the_winner_s_name_is_made_visible(run: Run, fake: FakeServer) -> None:
    evil = current("approved", decided_by={"id": "p", "kind": "human", "name": "al\u202eice\n"})
    fake.tell("POST", f"{PATH}/decision", problem(409, "already_decided", current=evil))
    assert "al\\u202eice\\n" in run("approve", ID).stderr


def test_one_that_is_no_longer_pending_is_left_to_the_server_to_refuse(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", PATH, samples.decided())
    fake.tell("POST", f"{PATH}/decision", problem(409, "already_decided", current=current("approved")))
    result = run("approve", ID)
    assert (result.exit_code, result.stdout) == (4, "")


def test_what_was_erased_is_not_decided(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", PATH, samples.approval() | {"context": {}, "nonce": ""})
    result = run("approve", ID)
    assert result.exit_code == 1
    assert "erased" in result.stderr
    assert len(fake.asked) == 1


@pytest.mark.parametrize("command", [("approve",), ("reject", "--reason", "x"), ("show",), ("cancel",)])
def test_an_unknown_id_says_where_to_look(command: tuple[str, ...], run: Run) -> None:
    result = run(command[0], ID, *command[1:])
    assert result.exit_code == 1
    assert f"There is no {ID}" in result.stderr
    assert "signoff approvals" in result.stderr


@pytest.mark.parametrize(("outcome", "said"), [("succeeded", "resolved as succeeded"), ("release", "released")])
def test_resolving(outcome: str, said: str, run: Run, fake: FakeServer) -> None:
    fake.tell("POST", f"{PATH}/resolve", samples.decided())
    result = run("resolve", ID, "--outcome", outcome, "--reason", "the bank says so")
    assert result.exit_code == 0
    assert said in result.stdout
    assert fake.asked[-1].body == {"outcome": outcome, "reason": "the bank says so"}


def test_there_is_nothing_to_resolve(run: Run, fake: FakeServer) -> None:
    held = {"fence": 1, "redeemed_at": samples.at(minutes=1), "outcome": "succeeded"}
    refused = problem(409, "nothing_to_resolve", "Only that.", current=current("approved", redemption=held))
    fake.tell("POST", f"{PATH}/resolve", refused)
    result = run("resolve", ID, "--outcome", "failed", "--reason", "x")
    assert result.exit_code == 4
    assert "Only that. (nothing_to_resolve) It is approved, redeemed with the outcome succeeded." in result.stderr


def test_cancelling(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", f"{PATH}/cancel", samples.approval(status="cancelled"))
    assert run("cancel", ID).stdout == f"{ID} cancelled.\n"
    run("cancel", ID, "--reason", "not wanted")
    assert [asked.body for asked in fake.asked] == [{}, {"reason": "not wanted"}]
