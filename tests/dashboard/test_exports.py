"""Exports: whole, filtered, and harmless in a spreadsheet."""

import csv
import io
import json
import re

import pytest

from signoff.protocol.visible import is_invisible
from signoff_server.core.refusals import Refusal
from signoff_server.dashboard import exports, history
from signoff_server.dashboard.visit import Visit
from tests.support.project import Project
from tests.support.visits import visitor

HOSTILE = (
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x")'),
    *("\u3000=1", "\u00a0=1", "\ufe66x", "\u2212x", "\uff0bx", "\uff0dx", "\uff20x", "\n=1", "\u200b\t=1", "\x00=1"),
    *("a;=1", "a; =1", 'a;"=1', "a|@x", "a;\uff1d1", ";;=1"),
    *('a"b', "a,b", "a\nb", "a\r\nb", "\u202eevil", "\u200b=1", "\x1b[31m", "'", "", "plain", "1,5", "1e5"),
)
SIGNS = ("=", "+", "-", "@", "\u2212", "\ufe66", "\uff0b", "\uff0d", "\uff1d", "\uff20")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_is_a_formula_or_breaks_its_row(text: str) -> None:
    ((cell, other),) = csv.reader(io.StringIO(exports.table([[text, "x"]])))
    assert other == "x"
    for part in re.split("[;|]", cell):
        assert part.strip(' "\u3000\xa0')[:1] not in SIGNS
    assert not any(is_invisible(character) for character in cell)
    assert text != "plain" or cell == "plain"


def test_the_events_are_exported_whole_as_the_api_shows_them(project: Project) -> None:
    for at in range(30):
        project.ask(name=f"n{at}", context={"to": "=1"})
    auditor = visitor(project, "auditor")
    reply = auditor.get("/events.ndjson")
    assert reply.headers["content-disposition"] == 'attachment; filename="signoff-events.ndjson"'
    lines = [json.loads(line) for line in reply.text.splitlines()]
    api = project.call("auditor", "GET", "/v1/events?limit=200").json()["data"]
    assert lines == api
    rows = list(csv.DictReader(io.StringIO(auditor.get("/events.csv").text)))
    assert [int(row["seq"]) for row in rows] == [each["seq"] for each in api]
    asked = [json.loads(row["data"]) for row in rows if row["type"] == "approval.requested"]
    assert asked[0]["context"] == {"to": "=1"}


def test_exports_take_pages_and_filters(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_PAGE", 7)
    asked = [project.ask(name="n")["id"] for _ in range(20)]
    project.decide(asked[0])
    alice = visitor(project, "alice")
    lines = [json.loads(line) for line in alice.get("/events.ndjson?type=approval.requested").text.splitlines()]
    assert [each["subject"] for each in lines] == asked
    lines = [json.loads(line) for line in alice.get("/events.ndjson?actor=alice").text.splitlines()]
    assert [each["type"] for each in lines] == ["approval.approved"]
    assert alice.get("/events.ndjson?to=2001-01-01").text == ""
    assert alice.get("/events.csv?subject=x").status_code == 400


def test_the_history_is_exported(project: Project) -> None:
    for at in range(60):
        project.decide(project.ask(name=f"n{at}", context={"a": at})["id"], "rejected", reason="=no")
    rows = list(csv.DictReader(io.StringIO(visitor(project, "auditor").get("/history.csv").text)))
    assert [row["name"] for row in rows] == [f"n{at}" for at in reversed(range(60))]
    assert {(row["status"], row["decided_by"], row["via"], row["reason"]) for row in rows} == {
        ("rejected", "alice", "api", "'=no")
    }
    assert json.loads(rows[0]["context"]) == {"a": 59}
    lines = [json.loads(line) for line in visitor(project, "alice").get("/history.ndjson?name=n1*").text.splitlines()]
    assert [each["name"] for each in lines] == [f"n{at}" for at in (*range(19, 9, -1), 1)]
    assert lines[-1] == project.get(lines[-1]["id"])


@pytest.mark.parametrize("text", ["a;b", "x = 1; y = 2", '{"a": "b;c"}', "mail@x.example", "1-2", "Zoë; 名"])
def test_what_harms_nobody_is_left_as_it_is(text: str) -> None:
    assert exports.cell(text) == text


@pytest.mark.parametrize("path", ["/events.csv", "/events.ndjson", "/history.csv", "/history.ndjson"])
def test_an_export_breaks_off_when_its_session_ends(
    project: Project, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(exports, "_PAGE", 1)
    monkeypatch.setattr(history, "ROWS", 1)
    for _ in range(3):
        project.approved()
    alice, asked = visitor(project, "alice"), []
    stands = exports._stands

    async def signed_out_meanwhile(visit: Visit) -> None:
        asked.append(visit)
        if len(asked) == 2:
            await visit.server.accounts.sign_out(visit.token)
        await stands(visit)

    monkeypatch.setattr(exports, "_stands", signed_out_meanwhile)
    with pytest.raises(Refusal, match="Sign in"):
        alice.get(path)
    assert len(asked) == 2


@pytest.mark.parametrize("path", ["/events.csv", "/events.ndjson", "/history.csv", "/history.ndjson"])
def test_nobody_else_exports(project: Project, path: str) -> None:
    assert visitor(project, None).get(path).status_code == 303
