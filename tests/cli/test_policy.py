"""The project's policy, and what it says of a name."""

import json
from pathlib import Path

import pytest

from tests.cli import samples
from tests.cli import workflow_samples as told
from tests.cli.conftest import KEY, FakeServer, Run, problem

PATH = "/v1/policy"
JUDGE = f"{PATH}/judge"
EVIL = "a\x1b[2J\u202e\nb\u200b"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text('blocked_tools: ["*.delete"]\n')
    return path


@pytest.mark.parametrize("arguments", [(), ("show",)])
def test_the_policy_is_shown(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    fake.tell("GET", PATH, told.policy())
    result = run("policy", *arguments)
    assert result.exit_code == 0
    *lines, changed = result.stdout.splitlines()
    assert lines == [
        "blocked_tools",
        "  *.delete",
        "require_approval_for",
        "  payments.*",
        "allow",
        "  (no rule)",
        "default  allow, since none is set",
    ]
    assert changed.endswith("UTC by alice (human)")
    assert fake.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("arguments", [("--json",), ("show", "--json"), ("--json", "show")])
def test_json_is_what_the_server_sent(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    sent = told.policy(default="block", changed_at=None, changed_by=None)
    fake.tell("GET", PATH, sent)
    assert json.loads(run("policy", *arguments).stdout) == sent


@pytest.mark.usefixtures("file")
def test_a_file_is_set_as_it_is(run: Run, fake: FakeServer) -> None:
    fake.tell("PUT", PATH, told.policy())
    result = run("policy", "set", "policy.yaml")
    assert result.exit_code == 0
    assert "  *.delete" in result.stdout
    (asked,) = fake.asked
    assert asked.body == 'blocked_tools: ["*.delete"]\n'
    assert asked.headers["content-type"] == "application/yaml"


@pytest.mark.usefixtures("file")
def test_each_fault_of_the_file_has_its_place(run: Run, fake: FakeServer) -> None:
    errors = [{"pointer": "/blocked_tools/0", "message": "line 1, column 17: brackets are no pattern"}]
    fake.tell("PUT", PATH, problem(422, "workflow_invalid", errors=errors))
    result = run("policy", "set", "policy.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[1:] == ["policy.yaml:1:17: brackets are no pattern"]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (
            told.verdict("require_approval", told.rule()),
            "payments.submit: require_approval, project/require_approval_for/payments.*",
        ),
        (told.verdict("allow"), "payments.submit: allow, since no rule names it"),
        (told.verdict("block", told.rule("block", "default")), "payments.submit: block, project/default/block"),
    ],
)
def test_what_would_happen_and_which_rule_speaks(verdict: dict, words: str, run: Run, fake: FakeServer) -> None:
    fake.tell("POST", JUDGE, verdict)
    result = run("policy", "test", "payments.submit")
    assert (result.exit_code, result.stdout) == (0, f"{words}\n")
    assert fake.asked[0].body == {"name": "payments.submit"}
    assert json.loads(run("policy", "test", "payments.submit", "--json").stdout) == verdict


@pytest.mark.usefixtures("file")
def test_a_workflow_s_policy_counts_too(run: Run, fake: FakeServer) -> None:
    rules = told.rule("pay*", "blocked_tools", "node"), told.rule("payments.*", scope="workflow")
    fake.tell("POST", JUDGE, told.verdict("block", *rules))
    result = run("policy", "test", "payments.submit", "--workflow", "policy.yaml", "--node", "submit_payment")
    assert result.stdout.splitlines() == [
        "payments.submit: block, node/blocked_tools/pay*",
        "  also named by workflow/require_approval_for/payments.*",
    ]
    assert fake.asked[0].body == {
        "name": "payments.submit",
        "workflow": 'blocked_tools: ["*.delete"]\n',
        "node_id": "submit_payment",
    }


def test_wrong_usage_and_files_that_are_none(run: Run, fake: FakeServer, tmp_path: Path) -> None:
    assert run("policy", "test", "a", "--node", "b").exit_code == 2
    (tmp_path / "latin.yaml").write_bytes(b"# \xe9")
    result = run("policy", "test", "a", "--workflow", "latin.yaml")
    assert result.exit_code == 1
    assert "is not UTF-8" in result.stderr
    assert run("policy", "set", "none.yaml").exit_code == 1
    assert fake.asked == []


def test_whatever_others_wrote_is_made_visible(run: Run, fake: FakeServer) -> None:
    rules = [{"match": EVIL}]
    evil = told.policy(blocked_tools=rules, allow=rules, default=EVIL, changed_by=samples.ALICE | {"name": EVIL})
    fake.tell("GET", PATH, evil)
    rule = told.rule(EVIL, EVIL, EVIL)
    fake.tell("POST", JUDGE, told.verdict("allow", rule, rule | {"pattern": None}) | {"verdict": EVIL})
    shown = run("policy").stdout + run("policy", "test", EVIL).stdout
    assert shown.count("\\u001b[2J\\u202e\\nb\\u200b") == 11
    for line in shown.split("\n"):
        assert line.isprintable(), line
