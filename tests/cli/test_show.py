"""Everything about one approval."""

import json
from typing import Any

import pytest

from signoff.protocol.visible import is_invisible
from tests.cli import samples
from tests.cli.conftest import FakeServer, Run

ID = f"apr_{1:026d}"
PATH = f"/v1/approvals/{ID}"


def show(run: Run, fake: FakeServer, approval: dict[str, Any]) -> str:
    fake.tell("GET", PATH, approval)
    result = run("show", ID)
    assert result.exit_code == 0, result.stderr
    assert not any(is_invisible(character) for character in result.stdout.replace("\n", ""))
    return result.stdout


def whole() -> dict[str, Any]:
    return samples.decided(
        context={"amount": "50000.00", "n": 5, "to": {"iban": "DE89 3704"}},
        arguments={"paths": ["/a", "/b"]},
        summary="A harmless payment",
        metadata={"team": "ops"},
        on_behalf_of="bob",
        source={"kind": "workflow", "execution_id": "exe_1", "node_id": "pay", "tool": "bank"},
        requirement={
            "rule": "large",
            "approvals": 1,
            "kinds": ["human"],
            "reviewers": ["user:alice"],
            "on_expiry": "expire",
        },
        redemption={
            "fence": 2,
            "redeemed_at": samples.at(minutes=1),
            "lease_until": None,
            "outcome": "failed",
            "detail": "OSError",
        },
    )


def test_everything_is_there_facts_first(run: Run, fake: FakeServer) -> None:
    approval = whole()
    shown = show(run, fake, approval)
    order = [
        "payments.wire_transfer",
        "arguments: what will be executed",
        "    - /b",
        "context",
        '  amount: "50000.00"',
        "  n: 5",
        "    iban: DE89 3704",
        "asked by      payments-app (service) prn_app",
        "on behalf of  bob",
        "workflow, execution exe_1, node pay, tool bank",
        "rule          large",
        "1 by: human, only user:alice",
        "expires ",
        approval["binding"],
        "team: ops",
        "claimed by the requester",
        "A harmless payment",
        "approved by alice (human) via cli at ",
        ": fine",
        "redemption",
        "failed: OSError",
        "fence 2",
    ]
    places = [shown.index(text) for text in order]
    assert places == sorted(places)


def test_a_long_value_is_shown_whole(run: Run, fake: FakeServer) -> None:
    long = "word " * 5_000
    assert long.strip() in show(run, fake, samples.approval(context={"note": long.strip()}))


@pytest.mark.parametrize(
    "changes",
    [
        {"context": {"k\u202e": "v\x1b[2J\n\u200b"}},
        {"arguments": {"k": ["v\u202e"]}},
        {"summary": "\u202eforged\nbinding  sha256:0"},
        {"on_behalf_of": "\x9b2J\x07"},
        {"metadata": {"a\u2066": "b\U000e0041"}},
        {"reason": "x\ny", "status": "cancelled", "decided_by": samples.ALICE, "decided_at": samples.at(minutes=1)},
        {"requested_by": {"id": "p\n", "name": "n\u200b", "kind": "agent"}},
        {"url": "http://x/\x1b]8;;"},
    ],
)
def test_what_others_wrote_stays_on_its_line(changes: dict[str, Any], run: Run, fake: FakeServer) -> None:
    plain = show(run, fake, samples.approval(**{name: _tame(value) for name, value in changes.items()}))
    evil = show(run, fake, samples.approval(**changes))
    assert len(evil.splitlines()) == len(plain.splitlines())
    assert "\\" in evil


def _tame(value: Any) -> Any:
    if isinstance(value, dict):
        return {_tame(key): _tame(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_tame(each) for each in value]
    return "".join(filter(str.isprintable, value)) if isinstance(value, str) else value


@pytest.mark.parametrize("member", ["context", "name", "arguments", "binding", "project", "nonce"])
@pytest.mark.parametrize("command", ["show", "approve"])
def test_a_binding_that_is_not_that_of_what_is_shown_is_refused(
    command: str, member: str, run: Run, fake: FakeServer
) -> None:
    forged = {"context": {"amount": "5.00"}, "arguments": {"x": 1}}.get(member, "sha256:0")
    fake.tell("GET", PATH, samples.approval() | {member: forged})
    result = run(command, ID)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "its binding is not that of what it shows" in result.stderr
    assert len(fake.asked) == 1


def test_an_erased_one_says_so(run: Run, fake: FakeServer) -> None:
    shown = show(run, fake, samples.decided() | {"context": {}, "nonce": "", "binding": "sha256:0"})
    assert "context and arguments were erased" in shown
    assert "cannot be checked" in shown


def test_one_that_lapsed_and_one_that_runs(run: Run, fake: FakeServer) -> None:
    assert "approved, lapsed" in show(run, fake, samples.decided(lapsed=True))
    running = {"fence": 1, "redeemed_at": samples.at(), "lease_until": samples.at(minutes=-1), "outcome": None}
    assert "running, its lease lasts until" in show(run, fake, samples.decided(redemption=running | {"detail": None}))


def test_json_is_what_the_server_sent(run: Run, fake: FakeServer) -> None:
    approval = whole()
    fake.tell("GET", PATH, approval)
    assert json.loads(run("show", ID, "--json").stdout) == approval
