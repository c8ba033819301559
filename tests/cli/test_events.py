"""The ledger on the screen."""

import json

import pytest

from tests.cli import samples
from tests.cli.conftest import FakeServer, Run

PATH = "/v1/events"


def test_a_line_an_event_with_what_is_telling_in_it(run: Run, fake: FakeServer) -> None:
    asked = samples.event(1, "approval.requested", "apr_1", facts={"name": "a.b"}, data={"context": {"x": "secret"}})
    said = samples.event(2, "approval.rejected", "apr_1", data={"reason": "no\u202e"})
    late = samples.event(
        3, "approval.expired", "apr_2", actor={"id": None, "kind": "system", "via": "system"}, data=None
    )
    fake.tell("GET", PATH, samples.events(asked, said, late))
    result = run("events")
    first, second, third = result.stdout.splitlines()
    assert first.split()[0] == "1"
    assert "approval.requested" in first
    assert "prn_app (service via api)" in first
    assert first.endswith("name=a.b")
    assert second.endswith("reason=no\\u202e")
    assert "the system (system via system)" in third


def test_what_is_asked_of_the_server(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", PATH, samples.events(after=3))
    run("events", "apr_1", "--type", "approval.*", "--after", "3")
    assert fake.asked[0].query == {"after": "3", "type": "approval.*", "subject": "apr_1", "limit": "200"}


def test_all_pages_are_read(run: Run, fake: FakeServer) -> None:
    full = samples.events(*(samples.event(at, "a.b", "apr_1") for at in range(1, 201)))
    fake.tell("GET", PATH, full, samples.events(samples.event(201, "a.b", "apr_1")))
    told = json.loads(run("events", "--json").stdout)
    assert [each["seq"] for each in told["data"]] == list(range(1, 202))
    assert told["next_after"] == 201


def test_an_unknown_subject_is_said(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", PATH, samples.events())
    result = run("events", "apr_1")
    assert result.exit_code == 1
    assert "There is no apr_1" in result.stderr


def test_an_unknown_run_says_where_to_look(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", PATH, samples.events())
    result = run("events", "exe_1")
    assert result.exit_code == 1
    assert "There is no exe_1 in this project: signoff executions lists" in result.stderr


def test_what_a_run_did_is_told_with_its_nodes(run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    started = samples.event(
        1, "node.started", "exe_1", facts={"node": "pay\u202e", "visit": 2, "attempt": 1, "fence": 3}
    )
    data = {"message": "It was rejected.", "comment": "too\nmuch"}
    failed = samples.event(
        2, "execution.failed", "exe_1", facts={"code": "approval_rejected", "node": "pay"}, data=data
    )
    fake.tell("GET", PATH, samples.events(started, failed))
    result = run("events", "exe_1")
    assert fake.asked[0].query["subject"] == "exe_1"
    shown = " ".join(result.stdout.split())
    assert "node=pay\\u202e visit=2 attempt=1 fence=3" in shown
    assert 'node=pay code=approval_rejected message="It was rejected." comment=too\\nmuch' in shown


def test_following_reads_on_and_ctrl_c_ends_it(run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    polls = iter([None])

    def pause(_seconds: float) -> None:
        if next(polls, "over") == "over":
            raise KeyboardInterrupt

    monkeypatch.setattr("signoff.cli.following.time.sleep", pause)
    fake.tell(
        "GET",
        PATH,
        samples.events(samples.event(1, "approval.requested", "apr_1")),
        samples.events(samples.event(3, "approval.approved", "apr_1")),
        samples.events(after=4),
    )
    result = run("events", "apr_1", "--type", "approval.*", "--follow", "--json")
    assert result.exit_code == 0
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == [1, 3]
    assert [asked.query["after"] for asked in fake.asked] == ["0", "1", "3"]
    assert {(asked.query["subject"], asked.query["type"]) for asked in fake.asked} == {("apr_1", "approval.*")}
