"""Starting a run, following it, and how it ends."""

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from signoff.cli import connection, live
from signoff.cli.run import is_build
from tests.cli import samples
from tests.cli import workflow_samples as told
from tests.cli.conftest import APP_KEY, Answer, FakeServer, Run, problem

START = "/v1/executions"
REGISTER = "/v1/workflows"
YAML = "workflow:\n  id: payment-processor\n"


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nothing waits; answers the pauses that were wanted."""
    wanted: list[float] = []
    monkeypatch.setattr("signoff.cli.live.time.sleep", wanted.append)
    return wanted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "workflow.yaml"
    path.write_text(YAML)
    return path


def started(fake: FakeServer, *states: Any, **first: Any) -> None:
    """A run that began, and how it stands each time that it is asked for."""
    fake.tell("POST", START, told.execution("running", told.node(status="running"), **{"events": 2} | first))
    if states:
        fake.tell("GET", told.PATH, *states)


# ---------------------------------------------------------------- starting


@pytest.mark.usefixtures("file")
def test_a_file_is_registered_first_and_the_id_stands_alone_on_stdout(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", REGISTER, Answer.of(told.registered(), 201))
    started(fake)
    result = run("run", "workflow.yaml", "--no-follow")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{told.EXE}\n", "")
    registering, starting = fake.asked
    assert registering.query == {"on_conflict": "build"}
    assert registering.headers["content-type"] == "application/yaml"
    assert registering.body == YAML
    assert starting.body == {"workflow_id": "payment-processor", "version": "0.1.0"}
    assert starting.headers["authorization"] == f"Bearer {APP_KEY}"
    assert starting.headers["idempotency-key"].startswith("cli:")


@pytest.mark.usefixtures("file")
def test_that_it_became_a_build_is_said(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", REGISTER, told.registered("0.1.0+01234567"))
    started(fake)
    result = run("run", "workflow.yaml", "--no-follow")
    assert result.stdout == f"{told.EXE}\n"
    assert "runs as the build 0.1.0+01234567" in result.stderr
    assert fake.asked[-1].body["version"] == "0.1.0+01234567"


def test_a_version_with_a_plus_of_its_own_is_no_build() -> None:
    assert is_build({"version": "0.1.0+01234567", "digest": told.DIGEST})
    assert not is_build({"version": "0.1.0+20261125", "digest": told.DIGEST})
    assert not is_build({"version": "0.1.0+", "digest": ""})


def test_a_registered_one_is_started_by_its_id(run: Run, fake: FakeServer) -> None:
    started(fake)
    options = ("--input", '{"payment_id": "pay_7"}', "--version", "0.2.0", "--idempotency-key", "order:17")
    assert run("run", "payment-processor", "--no-follow", *options).exit_code == 0
    (asked,) = fake.asked
    assert asked.body == {"workflow_id": "payment-processor", "version": "0.2.0", "input": {"payment_id": "pay_7"}}
    assert asked.headers["idempotency-key"] == "order:17"


def test_the_input_may_come_from_a_file(run: Run, fake: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"n": 9007199254740991}')
    started(fake)
    run("run", "payment-processor", "--no-follow", "--input", "@input.json")
    assert fake.asked[0].body["input"] == {"n": 9007199254740991}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("payment-processor", "--input", "[1]"),
        ("payment-processor", "--input", "{"),
        ("payment-processor", "--input", '{"a": 1, "a": 2}'),
        ("payment-processor", "--input", '{"a": 1e999}'),
        ("workflow.yaml", "--version", "0.1.0"),
        ("payment-processor", "--idempotency-key", ""),
        ("payment-processor", "--idempotency-key", "a\r\nX-Evil: b"),
        ("payment-processor", "--idempotency-key", "é"),
        ("payment-processor", "--idempotency-key", "k" * 256),
    ],
)
@pytest.mark.usefixtures("file")
def test_wrong_usage_asks_nothing(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    assert run("run", *arguments).exit_code == 2
    assert fake.asked == []


@pytest.mark.parametrize("arguments", [("none.yaml",), ("payment-processor", "--input", "@none.json"), (".",)])
def test_a_file_that_cannot_be_read_is_said(arguments: tuple[str, ...], run: Run, fake: FakeServer) -> None:
    result = run("run", *arguments)
    assert result.exit_code == 1
    assert "cannot be read" in result.stderr
    assert fake.asked == []


def test_a_file_that_is_far_too_large_is_not_sent(run: Run, fake: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * (256 * 1024 + 1))
    result = run("run", "large.yaml")
    assert result.exit_code == 1
    assert "larger than the 256 KiB" in result.stderr
    assert fake.asked == []


@pytest.mark.usefixtures("file")
def test_each_fault_of_the_file_has_its_place(run: Run, fake: FakeServer) -> None:
    errors = [
        {"pointer": "/nodes/a", "message": "line 7, column 5: it has no type\u202e"},
        {"pointer": "", "message": "Something is wrong with all of it."},
    ]
    fake.tell("POST", REGISTER, problem(422, "workflow_invalid", errors=errors))
    result = run("run", "workflow.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "signoff: workflow.yaml is not valid:",
        "workflow.yaml:7:5: it has no type\\u202e",
        "workflow.yaml: Something is wrong with all of it.",
    ]
    assert len(fake.asked) == 1


@pytest.mark.usefixtures("file")
def test_a_file_with_several_workflows_names_them(run: Run, fake: FakeServer) -> None:
    two = told.registered()["workflows"] + told.registered(workflow_id="other")["workflows"]
    fake.tell("POST", REGISTER, {"workflows": two})
    result = run("run", "workflow.yaml")
    assert result.exit_code == 2
    assert "payment-processor, other" in result.stderr


def test_an_unknown_workflow_says_where_to_look(run: Run) -> None:
    result = run("run", "payment-processor", "--version", "9.0.0")
    assert result.exit_code == 1
    assert "There is no workflow payment-processor in version 9.0.0 in this project: signoff workflows" in result.stderr


def test_the_reviewer_s_key_starts_nothing(run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGNOFF_API_KEY")
    result = run("run", "payment-processor")
    assert result.exit_code == 2
    assert "SIGNOFF_API_KEY" in result.stderr
    assert fake.asked == []


def test_a_key_that_is_refused_names_the_application_s_variable(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", START, problem(401, "unauthenticated"))
    assert "SIGNOFF_API_KEY" in run("run", "payment-processor").stderr


def test_a_start_without_an_answer_is_said_to_be_uncertain(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", START, Answer.of(b"{", Content_Length="9"))
    result = run("run", "payment-processor")
    assert result.exit_code == 3
    assert "whether it was done is not known; signoff executions tells" in result.stderr


@pytest.mark.usefixtures("file")
def test_a_registration_without_an_answer_is_said_to_be_uncertain(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", REGISTER, Answer.of(b"{", Content_Length="9"))
    result = run("run", "workflow.yaml")
    assert result.exit_code == 3
    assert "signoff workflows tells" in result.stderr
    assert len(fake.asked) == 1


@pytest.mark.usefixtures("file")
def test_a_server_without_workflows_is_told_by_its_path(run: Run) -> None:
    result = run("run", "workflow.yaml")
    assert result.exit_code == 1
    assert "The server knows no such path" in result.stderr


# ---------------------------------------------------------------- following


def test_following_prints_each_change_and_ends_with_the_run(run: Run, fake: FakeServer, pauses: list[float]) -> None:
    completed = told.execution("completed", told.node(), told.node("submit_payment"), events=9)
    started(fake, told.execution(events=5), told.execution(events=6), completed)
    result = run("run", "payment-processor")
    assert result.exit_code == 0
    head, *lines, last = result.stdout.splitlines()
    assert head == f"{told.EXE}  payment-processor 0.1.0"
    assert [re.sub(r"^\d\d:\d\d:\d\dZ  ", "", line) for line in lines] == [
        "fetch_details  running",
        "fetch_details  completed",
        "submit_payment  awaiting_approval  a decision",
        "submit_payment  completed",
    ]
    assert last == f"{told.EXE} completed in 2m."
    assert result.stderr == f"A person goes on with: signoff approve {told.EXE}\n"
    assert [asked.query for asked in fake.asked[1:]] == [{"wait": "25", "seen": str(seen)} for seen in (2, 5, 6)]
    assert set(pauses) == {live._PACE}


def test_as_json_it_is_one_object_for_each_change(run: Run, fake: FakeServer) -> None:
    states = [told.execution(events=5), told.execution(events=5), told.execution("completed", events=9)]
    started(fake, *states)
    result = run("run", "payment-processor", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["events"] for line in lines] == [2, 5, 9]
    assert lines[-1] == states[-1]


@pytest.mark.parametrize(
    ("status", "failure", "said"),
    [
        ("failed", told.failure(), "failed: approval_rejected at submit_payment by alice (human): too much"),
        (
            "failed",
            told.failure(code="tool_failed", decided_by=None, comment=None),
            "tool_failed at submit_payment: It",
        ),
        (
            "failed",
            told.failure(code="max_steps", node_id=None, decided_by=None, comment=None),
            "failed: max_steps: It",
        ),
        ("cancelled", None, "cancelled"),
    ],
)
def test_what_did_not_complete_is_said_and_is_no_success(
    status: str, failure: Any, said: str, run: Run, fake: FakeServer
) -> None:
    started(fake, told.execution(status, failure=failure, events=9))
    result = run("run", "payment-processor")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"signoff: {told.EXE} ")
    assert said in result.stderr


def test_following_outlives_a_restart_and_says_so_once(run: Run, fake: FakeServer, pauses: list[float]) -> None:
    away = problem(503, "unavailable", "Restarting.")
    cut = Answer.of(b"{", Content_Length="9")
    started(fake, told.execution(), away, cut, told.execution("completed", events=9))
    result = run("run", "payment-processor")
    assert result.exit_code == 0
    assert result.stderr.count("Waiting for it.") == 1
    assert result.stderr.count("The server is back.") == 1
    assert [asked.query["seen"] for asked in fake.asked[1:]] == ["2", "5", "5", "5"]
    assert pauses.count(1.0) == 2


def test_a_run_that_is_gone_ends_the_following(run: Run, fake: FakeServer) -> None:
    started(fake)
    result = run("run", "payment-processor")
    assert result.exit_code == 1
    assert f"There is no {told.EXE} in this project: signoff executions lists" in result.stderr


def test_ctrl_c_ends_the_following_and_not_the_run(run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("signoff.cli.live.time.sleep", interrupt)
    started(fake)
    result = run("run", "payment-processor")
    assert result.exit_code == 130
    assert f"{told.EXE} goes on" in result.stderr
    assert {asked.method for asked in fake.asked} == {"POST"}
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    ("method", "query", "patience"),
    [("GET", "?wait=25&seen=3", "held"), ("GET", "?limit=1", "read"), ("GET", "", "read"), ("POST", "", "change")],
)
def test_what_the_server_holds_is_waited_for_longer_than_it_holds(method: str, query: str, patience: str) -> None:
    assert connection._HeldPlain.answer == connection._HeldSecure.answer > connection.HOLD + 1
    request = urllib.request.Request(f"http://127.0.0.1{told.PATH}{query}", method=method)
    kinds = {"read": connection._Plain, "held": connection._HeldPlain, "change": connection._PatientPlain}
    assert connection._fitting(request, *kinds.values()) is kinds[patience]


# ---------------------------------------------------------------- the live view


def nodes(count: int, status: str = "completed") -> list[dict[str, Any]]:
    return [told.node(f"node_{at}", status, waiting_for="w" * 60) for at in range(count)]


def test_the_live_view_shows_the_nodes_and_how_to_go_on() -> None:
    retrying = told.node("call", "retrying", attempt=2, error="it broke", due_at="2026-11-25T08:00:00Z")
    head, first, second, third, step = live.drawn(
        told.execution("parked", told.node(), told.parked_node(), retrying), 100, 20
    )
    assert head == "payment-processor 0.1.0  parked (3m)"
    assert first == "  fetch_details   completed (2.0s)"
    assert second == "  submit_payment  awaiting_approval  a decision"
    assert third == "  call            retrying, attempt 2  due 2026-11-25 08:00:00 UTC; it broke"
    assert step == f"  > signoff approve {told.EXE}"


def test_several_that_wait_are_each_named() -> None:
    lost = told.node("lost", "outcome_unknown")
    lines = live.drawn(told.execution("parked", told.parked_node("a"), told.parked_node("b"), lost), 120, 20)
    assert lines[-3:] == [
        f"  > signoff approve {told.EXE} --node-id a",
        f"  > signoff approve {told.EXE} --node-id b",
        f"  > signoff resolve {told.EXE} --node-id lost --outcome succeeded|failed|retry --reason TEXT",
    ]


@pytest.mark.parametrize("rows", [4, 10, 24])
@pytest.mark.parametrize("columns", [39, 80])
def test_the_live_view_fits_the_screen(rows: int, columns: int) -> None:
    many = told.execution("running", *nodes(60), *nodes(8, "running"))
    lines = live.drawn(many, columns, rows)
    assert len(lines) <= rows
    assert max(map(len, lines)) <= columns
    assert "60 more: signoff inspect" in "".join(lines).replace("    ↳ ", "")


def test_it_is_drawn_over_what_was_drawn_but_not_over_what_was_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signoff.cli.live.click.echo", print)
    screen = live.Screen()
    for _ in range(2):
        screen.show(told.execution())
    first, again = capsys.readouterr().out.split("\x1b[", 1)
    assert len(first.splitlines()) == 4
    assert again.startswith("4A\r\x1b[J")
    screen.leave()
    screen.show(told.execution())
    assert "\x1b" not in capsys.readouterr().out


def test_a_view_is_chosen_by_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signoff.cli.live.sys.stdout.isatty", lambda: True, raising=False)
    assert isinstance(live.view_for(as_json=False), live.Screen)
    assert isinstance(live.view_for(as_json=True), live.Documents)


EVIL = "a\x1b[2J\u202e\nb\u200b"


def evil() -> dict[str, Any]:
    node = told.node(EVIL, EVIL, waiting_for=EVIL, error=EVIL)
    deciding = told.parked_node(EVIL)
    return told.execution("parked", node, deciding, workflow_id=EVIL, version=EVIL)


def test_whatever_others_wrote_is_made_visible_in_both_views(run: Run, fake: FakeServer) -> None:
    for line in live.drawn(evil(), 400, 30):
        assert line.isprintable()
    ended = evil() | {"status": "failed", "ended_at": samples.at(), "failure": told.failure(message=EVIL, comment=EVIL)}
    started(fake, evil(), ended)
    result = run("run", "payment-processor")
    assert result.exit_code == 1
    assert "\\u001b" in result.stdout
    for line in (result.stdout + result.stderr).split("\n"):
        assert line.isprintable(), line
    assert len(result.stderr.splitlines()) == 2
