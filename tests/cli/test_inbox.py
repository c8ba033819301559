"""The list of what waits."""

import json
import re

import pytest

from tests.cli import samples
from tests.cli.conftest import KEY, FakeServer, Run, problem

LIST = "/v1/approvals"


def test_the_list_has_its_columns(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page(samples.approval(2), samples.approval(1, context={"path": "/srv"})))
    result = run("approvals")
    assert result.exit_code == 0
    header, first, second = result.stdout.splitlines()
    assert header.split() == ["AGE", "NAME", "CONTEXT", "ASKED", "BY", "LEFT", "ID"]
    assert first.split() == [
        "3m",
        "payments.wire_transfer",
        "amount=50000.00",
        "currency=EUR",
        "payments-app",
        "6d",
        f"apr_{2:026d}",
    ]
    assert "path=/srv" in second
    assert result.stderr == ""


def test_what_is_asked_of_the_server(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page())
    run("approvals")
    run("approvals", "--status", "all", "--name", "payments.*", "--limit", "7")
    first, second = fake.asked
    assert first.query == {"status": "pending", "limit": "50"}
    assert second.query == {"name": "payments.*", "limit": "7"}
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.headers["signoff-client"] == "cli"


@pytest.mark.parametrize("columns", [60, 80, 100, 119, 120, 200])
def test_the_list_fits_the_terminal(columns: int, run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    requester = samples.APP | {"name": "a-service-with-a-name-of-its-own"}
    long = samples.approval(
        1,
        name="a" * 60 + ".b",
        context={"note": "n" * 4000} | {f"k{at}": at for at in range(40)},
        requested_by=requester,
    )
    fake.tell("GET", LIST, samples.page(long, samples.approval(2)))
    result = run("approvals")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= max(columns, 79)
    assert result.stdout.count("more)") == 1
    assert "more characters" in result.stdout
    assert f"apr_{1:026d}" in result.stdout


def test_a_status_stands_where_no_time_is_left(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page(samples.decided(1, "rejected")))
    assert re.search(r"\brejected\s+apr_", run("approvals", "--status", "all").stdout)


def test_arguments_stand_in_for_an_empty_context(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page(samples.approval(context={}, arguments={"path": "/srv"})))
    assert "path=/srv" in run("approvals").stdout


def test_several_pages_are_one_list(run: Run, fake: FakeServer) -> None:
    one, two = samples.page(samples.approval(2), cursor="9"), samples.page(samples.approval(1), cursor="8")
    fake.tell("GET", LIST, one, two)
    result = run("approvals", "--limit", "2", "--json")
    assert [each["id"] for each in json.loads(result.stdout)["data"]] == [f"apr_{2:026d}", f"apr_{1:026d}"]
    assert [asked.query.get("cursor") for asked in fake.asked] == [None, "9"]
    assert [asked.query["limit"] for asked in fake.asked] == ["2", "1"]


def test_that_there_are_more_is_said(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page(samples.approval(), cursor="9"))
    assert "more than these 1" in run("approvals", "--limit", "1").stderr


def test_nothing_waits(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page())
    result = run("approvals")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing waits" in result.stderr


def test_json_is_one_document_that_no_terminal_obeys(run: Run, fake: FakeServer) -> None:
    sent = samples.approval(context={"evil": "\x1b[2J\u202e\x7f\x9b\U000e0041"})
    fake.tell("GET", LIST, samples.page(sent))
    result = run("approvals", "--json")
    assert json.loads(result.stdout)["data"] == [sent]
    assert result.stdout.isascii()
    assert result.stdout[:-1].isprintable()


@pytest.mark.parametrize("member", ["name", "id", "requested_by", "context"])
def test_whatever_others_wrote_is_made_visible(member: str, run: Run, fake: FakeServer) -> None:
    evil = "a\x1b]0;x\x07\u202eb\nc\u200b"
    changes = {
        "name": {"name": evil},
        "id": {"id": evil},
        "requested_by": {"requested_by": samples.APP | {"name": evil}},
        "context": {"context": {evil: evil}},
    }[member]
    fake.tell("GET", LIST, samples.page(samples.approval(**changes)))
    result = run("approvals")
    assert result.exit_code == 0
    assert "\\u001b" in result.stdout
    assert result.stdout.replace("\n", "").isprintable()
    assert len(result.stdout.splitlines()) in (2, 3)


def test_an_unknown_status_is_wrong_usage(run: Run) -> None:
    assert run("approvals", "--status", "open").exit_code == 2


def test_no_colour_ever(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page(samples.approval(), samples.decided(2)))
    assert "\x1b" not in run("approvals", "--status", "all").output


# ---------------------------------------------------------------- --watch


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C when the watch has paused as often as there are polls told."""
    paused = iter(range(3))

    def pause(_seconds: float) -> None:
        if next(paused, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr("signoff.cli.following.time.sleep", pause)


@pytest.mark.usefixtures("no_pause")
def test_watching_prints_what_is_new_and_what_is_decided(run: Run, fake: FakeServer) -> None:
    listed, new = samples.approval(1), samples.approval(2, name="files.delete")
    fake.tell("GET", LIST, samples.page(listed))
    fake.tell("GET", f"{LIST}/{listed['id']}", samples.decided(1, "rejected"))
    fake.tell("GET", f"{LIST}/{new['id']}", new)
    fake.tell(
        "GET",
        "/v1/events",
        samples.events(after=8),
        samples.events(
            samples.event(9, "approval.requested", new["id"]), samples.event(10, "approval.rejected", listed["id"])
        ),
        samples.events(after=10),
    )
    result = run("approvals", "--watch")
    assert result.exit_code == 0
    *_, first, second = result.stdout.splitlines()
    assert re.match(r"\d\d:\d\d:\d\dZ  new        files.delete", first)
    assert re.match(r"\d\d:\d\d:\d\dZ  rejected   payments.wire_transfer  by alice \(human\): fine", second)
    afters = [asked.query.get("after") for asked in fake.asked if asked.path == "/v1/events"]
    assert afters[1:3] == ["8", "10"]


@pytest.mark.usefixtures("no_pause")
def test_watching_as_json_is_one_object_a_line(run: Run, fake: FakeServer) -> None:
    listed = samples.approval(1)
    fake.tell("GET", LIST, samples.page(listed))
    fake.tell("GET", f"{LIST}/{listed['id']}", samples.decided(1))
    decided = samples.events(samples.event(2, "approval.approved", listed["id"]))
    fake.tell("GET", "/v1/events", samples.events(after=1), decided, samples.events(after=2))
    told = [json.loads(line) for line in run("approvals", "--watch", "--json").stdout.splitlines()]
    assert [each["change"] for each in told] == ["listed", "approved"]
    assert told[1]["approval"]["status"] == "approved"


@pytest.mark.usefixtures("no_pause")
def test_watching_minds_the_name(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page())
    fake.tell("GET", f"{LIST}/apr_1", samples.approval(id="apr_1", name="files.delete"))
    fake.tell("GET", f"{LIST}/apr_2", samples.approval(id="apr_2"))
    both = [samples.event(at, "approval.requested", f"apr_{at}") for at in (1, 2)]
    fake.tell("GET", "/v1/events", samples.events(), samples.events(*both), samples.events(after=2))
    shown = run("approvals", "--watch", "--name", "files.*").stdout
    assert "apr_1" in shown
    assert "apr_2" not in shown


@pytest.mark.usefixtures("no_pause")
def test_watching_outlives_an_outage_and_says_so_once(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", LIST, samples.page())
    away = problem(503, "unavailable", "Restarting.")
    fake.tell("GET", "/v1/events", samples.events(), away, away, samples.events())
    result = run("approvals", "--watch")
    assert result.exit_code == 0
    assert result.stderr.count("Waiting for it.") == 1
    assert result.stderr.count("The server is back.") == 1
