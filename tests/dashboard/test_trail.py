"""The audit trail: every sort of event has a sentence, and the list is readable, filterable and endless."""

import re
from pathlib import Path
from typing import Any

import pytest

import signoff_server.core
from signoff_server.core.events import SYSTEM, Actor, Recorded
from signoff_server.dashboard.sentences import SENTENCES, TONES, sentence
from tests.support.project import Project
from tests.support.visits import visitor, words
from tests.support.workflows import parked

CORE = "\n".join(path.read_text() for path in Path(str(signoff_server.core.__file__)).parent.glob("*.py"))
KINDS = "approval|execution|node|workflow|principal|key|policy"


def recorded_types() -> set[str]:
    """What the core can record: types that it spells out, and what turns and entries say of a node."""
    spelt = set(re.findall(rf'"((?:{KINDS})\.[a-z_]+)"', CORE))
    nodes = re.findall(r'(?:\.of\(\s*\w+,|_add\(\s*turn, entry,)\s*"([a-z_]+)"', CORE)
    return spelt | {f"node.{what}" for what in nodes}


def test_every_event_has_its_sentence() -> None:
    found = recorded_types()
    assert {"approval.requested", "node.retry_scheduled", "node.started", "policy.changed"} <= found
    assert found <= set(SENTENCES)
    assert set(TONES) <= set(SENTENCES)


def event(type_: str, facts: dict[str, Any], subject: str = "apr_1", actor: Actor = SYSTEM) -> Recorded:
    return Recorded(1, "evt_1", type_, 1, subject, 1, 0, actor, facts, "")


def test_a_sentence_escapes_what_others_wrote_and_links_to_what_it_is_about() -> None:
    told = sentence(event("execution.signalled", {"name": "<b>\u202e"}, "exe_1"), {}, {"exe_1": "a run of <i>"})
    assert told == (
        'The server sent the signal <code>&lt;b&gt;<span class="unseen" title="U+202E RIGHT-TO-LEFT OVERRIDE">'
        '\\u202e</span></code> to <a href="/runs/exe_1">a run of &lt;i&gt;</a>'
    )
    unknown = sentence(event("thing.{actor}", {}, "x", Actor("prn_1", "human", "api")), {"prn_1": "Ann"}, {})
    assert "Ann" in unknown


def test_the_trail_tells_what_happened_the_last_first(project: Project) -> None:
    made = project.approved(context={"to": "<script>"})
    run = parked(project)
    page = visitor(project, "auditor").get("/events")
    told = words(page.text)
    assert told.index("started a run of gated") < told.index("alice approved payments.wire")
    assert told.index("alice approved payments.wire") < told.index("app asked for payments.wire")
    assert "The node pay of a run of gated waits for a decision" in told
    for id_ in (made["id"], run["id"]):
        assert f'/{"approvals" if id_.startswith("apr") else "runs"}/{id_}"' in page.text
    assert "<script>" not in page.text.partition("<main")[2]
    assert "&lt;script&gt;" in page.text


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("type=approval.approved", "alice approved", "asked for"),
        ("actor=alice", "alice approved", "asked for"),
        ("actor=nobody", "No event fits.", "alice approved"),
        ("to=2001-01-01", "No event fits.", "alice approved"),
        ("from=2001-01-01", "alice approved", "No event fits."),
    ],
)
def test_the_trail_is_filtered(project: Project, query: str, there: str, gone: str) -> None:
    project.approved()
    told = words(visitor(project, "alice").get(f"/events?{query}").text)
    assert there in told
    assert gone not in told


def test_the_events_of_one_approval_are_shown_alone(project: Project) -> None:
    first, second = project.approved(), project.ask()
    page = visitor(project, "alice").get(f"/events?subject={first['id']}").text
    assert first["id"] in page
    assert second["id"] not in page


def test_the_trail_is_endless(project: Project) -> None:
    asked = [project.ask(name=f"n{at}")["id"] for at in range(120)]
    alice, path, seen = visitor(project, "alice"), "/events?type=approval.*", []
    for _ in range(5):
        page = alice.get(path).text
        seen += re.findall(r'href="/approvals/(apr_\w+)"', page)
        following = re.search(r'class="button second" href="([^"]+)"', page)
        if following is None:
            break
        path = following[1].replace("&amp;", "&")
    assert seen == asked[::-1]


@pytest.mark.parametrize("text", ['"' * 4_000, "名" * 4_000, "\u202e" * 1_000])
def test_a_page_of_long_events_stays_small_and_says_what_it_left_out(project: Project, text: str) -> None:
    for _ in range(50):
        project.ask(context={"text": text})
    page = visitor(project, "alice").get("/events")
    assert len(page.content) <= 100 * 1024
    assert "more characters; all of it is in the export." in page.text


def test_what_is_new_comes_above_an_open_page(project: Project) -> None:
    project.ask(name="before")
    alice = visitor(project, "alice")
    link = re.search(r'id="fresh".*?hx-get="([^"]+)"', alice.get("/events").text, re.DOTALL)
    assert link is not None
    project.ask(name="after")
    fresh = words(alice.get(link[1].replace("&amp;", "&")).text)
    assert "asked for after" in fresh
    assert "asked for before" not in fresh


@pytest.mark.parametrize("query", ["at=x", "subject=x", "from=yesterday", "type=" + "x" * 300])
def test_a_filter_that_cannot_be_is_told(project: Project, query: str) -> None:
    refused = visitor(project, "alice").get(f"/events?{query}")
    assert (refused.status_code, "invalid_parameter" in words(refused.text)) == (400, True)
