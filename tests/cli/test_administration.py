"""Principals and keys."""

import json
import re
from typing import Any, get_args

import pytest

from signoff.cli import inbox, keys, principals, users
from signoff.protocol import models
from tests.cli import samples
from tests.cli.conftest import Answer, FakeServer, Run, problem

PEOPLE = "/v1/principals"
KEYS = "/v1/keys"


def test_principals_are_listed_with_their_owner_s_name(run: Run, fake: FakeServer) -> None:
    bot = samples.principal("bot", kind="agent", owner="prn_alice")
    fake.tell("GET", PEOPLE, samples.page(bot, samples.principal("alice", role="admin")))
    result = run("principals")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["NAME", "KIND", "ROLE", "OWNER", "AGE", "ID"],
        ["bot", "agent", "member", "alice", "2h", "prn_bot"],
        ["alice", "human", "admin", "-", "2h", "prn_alice"],
    ]


@pytest.mark.parametrize("owner", ["alice", "ALICE", "prn_alice"])
def test_a_principal_is_made_with_an_owner_by_name_or_id(owner: str, run: Run, fake: FakeServer) -> None:
    fake.tell("GET", PEOPLE, samples.page(samples.principal("alice")))
    fake.tell("POST", PEOPLE, samples.principal("bot", kind="agent", owner="prn_alice"))
    result = run("principals", "create", "bot", "--kind", "agent", "--owner", owner)
    assert result.exit_code == 0
    assert result.stdout == "prn_bot bot (agent, member) was made.\n"
    assert fake.asked[-1].body == {"name": "bot", "kind": "agent", "owner": "prn_alice"}


def test_a_name_that_is_taken_is_a_conflict(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", PEOPLE, problem(409, "name_taken", "There is a principal named bob."))
    result = run("principals", "create", "bob", "--kind", "human")
    assert result.exit_code == 4
    assert "There is a principal named bob." in result.stderr


def test_options_count_before_and_after_the_sub_command(run: Run, fake: FakeServer) -> None:
    made = samples.principal("bob")
    fake.tell("POST", PEOPLE, made)
    before = run("principals", "--json", "create", "bob", "--kind", "human")
    after = run("principals", "create", "bob", "--kind", "human", "--json")
    assert json.loads(before.stdout) == json.loads(after.stdout) == made


def test_keys_are_listed_with_their_state(run: Run, fake: FakeServer) -> None:
    fake.tell(
        "GET",
        KEYS,
        samples.page(
            samples.key(4),
            samples.key(3, expires_at=samples.at(hours=-3, seconds=-5)),
            samples.key(2, expires_at=samples.at(hours=3)),
            samples.key(1, revoked_at=samples.at(hours=3)),
        ),
    )
    header, *lines = run("keys").stdout.splitlines()
    assert header.split() == ["ID", "PRINCIPAL", "STATE", "AGE", "SCOPES"]
    assert [re.split(r"\s{2,}", line)[2] for line in lines] == ["stands", "3h left", "expired", "revoked"]
    assert lines[0].endswith("approvals:decide audit:read")


@pytest.fixture
def issuing(fake: FakeServer) -> dict[str, Any]:
    fake.tell(
        "GET", PEOPLE, samples.page(samples.principal("bob"), cursor="5"), samples.page(samples.principal("alice"))
    )
    issued = samples.key(9) | {"key": "sgo_dev_x_secret"}
    fake.tell("POST", KEYS, issued)
    return issued


@pytest.mark.usefixtures("issuing")
def test_a_key_is_issued_and_stands_alone_on_stdout(run: Run, fake: FakeServer) -> None:
    result = run(
        "keys", "issue", "Alice", "--scope", "approvals:decide", "--scope", "audit:read", "--expires-in", "30d"
    )
    assert result.exit_code == 0
    assert result.stdout == "sgo_dev_x_secret\n"
    assert "shown this once" in result.stderr
    assert fake.asked[-1].body == {
        "principal": "prn_alice",
        "scopes": ["approvals:decide", "audit:read"],
        "expires_in": 30 * 86_400,
    }


def test_an_issued_key_as_json(run: Run, issuing: dict[str, Any]) -> None:
    assert json.loads(run("keys", "issue", "prn_bob", "--scope", "work", "--json").stdout) == issuing


@pytest.mark.usefixtures("issuing")
def test_an_unknown_principal_is_said(run: Run) -> None:
    result = run("keys", "issue", "carol", "--scope", "work")
    assert result.exit_code == 1
    assert "There is no principal carol" in result.stderr


@pytest.mark.parametrize(("text", "seconds"), [("3600", 3600), ("45s", 45), ("90m", 5400), ("12h", 43_200)])
def test_durations(text: str, seconds: int, run: Run, fake: FakeServer, issuing: dict[str, Any]) -> None:
    assert issuing
    run("keys", "issue", "bob", "--scope", "work", "--expires-in", text)
    assert fake.asked[-1].body["expires_in"] == seconds


@pytest.mark.parametrize("text", ["0", "-5", "1.5h", "soon", "1w", "٣", ""])
def test_no_durations(text: str, run: Run, fake: FakeServer) -> None:
    assert run("keys", "issue", "bob", "--scope", "work", "--expires-in", text).exit_code == 2
    assert fake.asked == []


def test_a_key_is_revoked(run: Run, fake: FakeServer) -> None:
    fake.tell("DELETE", f"{KEYS}/key_1", Answer.of(b"", 204))
    assert run("keys", "revoke", "key_1").stdout == "key_1 revoked.\n"
    assert json.loads(run("keys", "revoke", "key_1", "--json").stdout) == {"id": "key_1", "revoked": True}
    unknown = run("keys", "revoke", "key_2")
    assert unknown.exit_code == 1
    assert "signoff keys" in unknown.stderr


def test_the_scopes_and_kinds_offered_are_those_of_the_contract() -> None:
    assert set(keys.SCOPES) == set(get_args(models.Scope))
    assert get_args(models.Role) == principals.ROLES
    assert get_args(models.SignInRole) == users.ROLES
    assert set(inbox.STATUSES) - {"all"} == set(get_args(models.Status))
