"""Who may sign in, and the link that opens the pages."""

import json
import webbrowser

import pytest

from tests.cli import samples
from tests.cli.conftest import KEY, Answer, FakeServer, Run, problem

USERS = "/v1/users"
LINKS = "/v1/sign-in-links"
ADDED = samples.link() | {"id": "prn_dana", "name": "dana", "role": "auditor"}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a browser was told to open."""
    found: list[str] = []
    monkeypatch.setattr(webbrowser, "open", found.append)
    return found


@pytest.mark.parametrize("command", [["users"], ["users", "list"]])
def test_users_are_listed(command: list[str], run: Run, fake: FakeServer) -> None:
    fake.tell("GET", USERS, samples.page(samples.user("bob", has_password=False, sessions=0), samples.user()))
    assert [line.split() for line in run(*command).stdout.splitlines()] == [
        ["NAME", "ROLE", "PASSWORD", "SESSIONS", "AGE", "ID"],
        ["bob", "reviewer", "-", "0", "2h", "prn_bob"],
        ["alice", "reviewer", "chosen", "2", "2h", "prn_alice"],
    ]
    assert fake.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_link_of_who_is_added_stands_alone_on_stdout(run: Run, fake: FakeServer) -> None:
    fake.tell("POST", USERS, Answer.of(ADDED, 201))
    result = run("users", "add", "dana", "--role", "auditor")
    assert result.stdout == f"{ADDED['url']}\n"
    assert result.stderr.startswith("dana (auditor) may sign in. The link works once, until ")
    assert fake.asked[-1].body == {"name": "dana", "role": "auditor"}
    assert json.loads(run("users", "add", "dana", "--role", "auditor", "--json").stdout) == ADDED


@pytest.mark.parametrize("arguments", [["dana"], ["dana", "--role", "member"]])
def test_nobody_is_added_without_a_role_that_signs_in(arguments: list[str], run: Run, fake: FakeServer) -> None:
    assert run("users", "add", *arguments).exit_code == 2
    assert fake.asked == []


@pytest.mark.parametrize("name", ["ALICE", "prn_alice"])
def test_a_forgotten_password(name: str, run: Run, fake: FakeServer) -> None:
    fake.tell("GET", USERS, samples.page(samples.user()))
    fake.tell("POST", f"{USERS}/prn_alice/link", samples.link())
    result = run("users", "link", name)
    assert result.stdout == f"{samples.link()['url']}\n"
    assert result.stderr.startswith("A new password for alice. ")


@pytest.mark.parametrize(
    ("command", "path", "said", "document"),
    [
        ("remove", f"{USERS}/prn_alice", "alice may not sign in any more.", {"id": "prn_alice", "removed": True}),
        (
            "sign-out",
            f"{USERS}/prn_alice/sessions",
            "alice is signed out everywhere.",
            {"id": "prn_alice", "signed_out": True},
        ),
    ],
)
def test_endings(command: str, path: str, said: str, document: object, run: Run, fake: FakeServer) -> None:
    fake.tell("GET", USERS, samples.page(samples.user()))
    fake.tell("DELETE", path, Answer.of(b"", 204))
    assert run("users", command, "alice").stdout.startswith(said)
    assert json.loads(run("users", command, "alice", "--json").stdout) == document
    unknown = run("users", command, "bob")
    assert (unknown.exit_code, "Nobody named bob may sign in" in unknown.stderr) == (1, True)


def test_the_last_admin_stays(run: Run, fake: FakeServer) -> None:
    fake.tell("GET", USERS, samples.page(samples.user()))
    fake.tell("DELETE", f"{USERS}/prn_alice", problem(409, "last_admin", "This is the last admin."))
    result = run("users", "remove", "alice")
    assert (result.exit_code, "This is the last admin." in result.stderr) == (4, True)


def test_the_pages_are_opened_by_a_link(run: Run, fake: FakeServer, opened: list[str]) -> None:
    fake.tell("POST", LINKS, Answer.of(samples.link(), 201))
    result = run("open")
    assert result.stdout == f"{samples.link()['url']}\n"
    assert opened == [samples.link()["url"]]


def test_a_link_is_told_and_not_opened(run: Run, fake: FakeServer, opened: list[str]) -> None:
    told = samples.link()
    fake.tell("POST", LINKS, Answer.of(told, 201))
    assert run("open", "--no-browser").stdout == f"{told['url']}\n"
    assert json.loads(run("open", "--json").stdout) == told
    assert opened == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "-new-window", "http://x/\x1b[2J"])
def test_a_link_that_is_none_is_not_opened(url: str, run: Run, fake: FakeServer, opened: list[str]) -> None:
    fake.tell("POST", LINKS, Answer.of(samples.link(url=url), 201))
    result = run("open")
    assert (result.exit_code, opened, result.stdout) == (1, [], "")
    assert "cannot be trusted" in result.stderr


def test_a_server_that_makes_no_links_says_why(run: Run, fake: FakeServer, opened: list[str]) -> None:
    fake.tell("POST", LINKS, problem(403, "forbidden", "Only a server of the environment dev makes sign-in links."))
    result = run("open")
    assert (result.exit_code, opened) == (1, [])
    assert "Only a server of the environment dev" in result.stderr
