"""The list of what waits: contents, orders, filters that live in the URL, pages, and what was just decided."""

import re
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.visits import leads_to, visitor, words
from tests.support.workflows import parked

HOUR = 3_600


def listed(html: str) -> list[str]:
    """The ids of the rows, in their order."""
    return re.findall(r'<li id="row-(apr_\w+)"', html)


def gone(html: str) -> list[str]:
    return re.findall(r'<li id="gone-(apr_\w+)"', html)


def pages(project: Project, path: str) -> list[str]:
    """The rows of all pages from this one on."""
    alice, found = visitor(project, "alice"), []
    while path:
        html = alice.get(path).text
        found += listed(html)
        following = re.search(r'href="([^"]*)">(Older|Later)<', html)
        path = following[1].replace("&amp;", "&") if following else ""
    return found


def test_nothing_pending_teaches_how_to_ask(project: Project) -> None:
    html = visitor(project, "alice").get("/").text
    assert "Nothing waits for you" in words(html)
    assert f"export SIGNOFF_URL={project.server.url}" in words(html)
    assert 'data-pending="0"' in html


def test_a_row_says_what_by_whom_and_how_long(project: Project) -> None:
    context, arguments = {"why": "rent"}, {"amount": "50000.00", "to": {"iban": "DE89"}, "n": [1, 2], "ok": True}
    asked = project.ask(context=context, arguments=arguments, on_behalf_of="carol", expires_in=2 * HOUR)
    project.world.advance(90)
    html = visitor(project, "alice").get("/").text
    assert listed(html) == [asked["id"]]
    told = words(html)
    assert "payments.wire 1 h 58 min left amount: 50000.00 · to: {1} · n: [2] · ok: true" in told
    assert "app service for carol · 1 min 30 s ago" in told
    assert "(1) Pending" in told
    assert 'data-pending="1"' in html


def test_the_count_is_that_of_all_whatever_is_filtered(project: Project) -> None:
    for _ in range(3):
        project.ask()
    html = visitor(project, "alice").get("/?name=mail.*").text
    assert 'data-pending="3"' in html
    assert listed(html) == []
    assert "Nothing that is pending fits. 3 pending in all." in words(html)


def test_newest_first_and_nearest_to_expiry_first(project: Project) -> None:
    late, soon, middle = (project.ask(expires_in=hours * HOUR)["id"] for hours in (9, 1, 5))
    assert pages(project, "/") == [middle, soon, late]
    assert pages(project, "/?order=expiry") == [soon, middle, late]


@pytest.mark.parametrize("order", ["newest", "expiry"])
def test_pages_hang_together(project: Project, order: str) -> None:
    # Many expire at the same moment: the cursor must tell them apart.
    every = [project.ask(expires_in=(1 + at % 2) * HOUR)["id"] for at in range(103)]
    found = pages(project, f"/?order={order}")
    assert len(found) == 103
    assert set(found) == set(every)


def test_filters(project: Project) -> None:
    wire = project.ask(context={"to": "ACME"})["id"]
    mail = project.ask("agent", name="mail.send", context={"to": "Straße"})["id"]
    run = parked(project)
    (of_run,) = project.call("alice", "GET", f"/v1/executions/{run['id']}/approvals").json()["pending"]
    alice = visitor(project, "alice")
    found: dict[str, set[str]] = {
        "": {wire, mail, of_run["approval_id"]},
        "name=PAYMENTS.w*": {wire},
        "name=mail.send": {mail},
        "by=agent": {mail},
        "by=Starter": {of_run["approval_id"]},
        "source=workflow": {of_run["approval_id"]},
        "source=sdk": {wire, mail},
        "q=acme": {wire},
        "q=STRASSE": {mail},
        "q=acme&by=agent": set(),
        "age=5m": {wire, mail, of_run["approval_id"]},
        "age=over-1h": set(),
    }
    for query, ids in found.items():
        assert set(listed(alice.get(f"/?{query}").text)) == ids, query
    assert 'value="PAYMENTS.w*"' in alice.get("/?name=PAYMENTS.w*").text


def test_age_bounds_both_ways(project: Project) -> None:
    old = project.ask()["id"]
    project.world.advance(2 * HOUR)
    new = project.ask()["id"]
    project.world.advance(60)
    alice = visitor(project, "alice")
    assert listed(alice.get("/?age=1h").text) == [new]
    assert listed(alice.get("/?age=over-1h").text) == [old]
    assert listed(alice.get("/?age=1d&order=expiry").text) == [old, new]


@pytest.mark.parametrize(
    "query",
    ["age=x", "order=x", "source=x", "at=x", "order=expiry&at=1", "order=expiry&at=1-x", "q=%00", f"q={'x' * 201}"],
)
def test_what_no_form_of_ours_sends_is_refused(project: Project, query: str) -> None:
    assert visitor(project, "alice").get(f"/?{query}").status_code == 400


def test_what_was_decided_elsewhere_says_by_whom_before_it_is_gone(project: Project) -> None:
    asked = project.ask()
    alice = visitor(project, "alice")
    assert listed(alice.get("/").text) == [asked["id"]]
    project.world.advance(10)
    project.decide(asked["id"], "rejected", "bob")
    html = alice.get("/").text
    assert (listed(html), gone(html)) == ([], [asked["id"]])
    assert "payments.wire rejected by bob , 0 s ago" in words(html)
    assert gone(alice.get("/?name=mail.*").text) == []
    project.world.advance(61)
    assert gone(alice.get("/").text) == []


def test_of_many_that_were_decided_the_last_ones_are_told(project: Project) -> None:
    ids = [project.ask()["id"] for _ in range(25)]
    for approval in ids:
        project.decide(approval)
    assert gone(visitor(project, "alice").get("/").text) == list(reversed(ids))[:20]


def test_another_project_is_never_shown(projects: tuple[Project, Project]) -> None:
    project, other = projects
    theirs = other.ask()
    other.decide(other.ask()["id"])
    html = visitor(project, "alice").get("/").text
    assert theirs["id"] not in html
    assert (listed(html), gone(html)) == ([], [])


def test_only_who_decides_can_select(project: Project) -> None:
    project.ask()
    assert "Decide together" in visitor(project, "alice").get("/").text
    html = visitor(project, "auditor").get("/").text
    assert listed(html)
    assert "Decide together" not in html
    assert 'type="checkbox"' not in html


def test_hostile_text_is_escaped_and_shown(project: Project) -> None:
    bad = '"><script>alert(1)</script><img src=x onerror=y> \u202e раypal'
    project.ask(context={bad: bad}, on_behalf_of=bad)
    html = visitor(project, "alice").get("/").text
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "\u202e" not in html
    assert "\\u202e" in html
    assert "CYRILLIC SMALL LETTER ER" in html


def test_a_page_full_of_large_and_hostile_ones_stays_small(project: Project) -> None:
    for at in range(50):
        project.ask(context={f"k{at}": "\u202e" * 10_000, "раypal": "рa" * 5_000}, on_behalf_of="\u202e" * 100)
    assert len(visitor(project, "alice").get("/").content) < 200_000


def test_many_decisions_do_not_hide_the_rest_of_the_ledger(project: Project) -> None:
    """The list of what was just decided looks at the last events alone, and finds those of the last minute in them."""
    first = project.ask()["id"]
    project.decide(first)
    project.world.advance(30)
    second = project.ask()["id"]
    project.decide(second)
    project.world.advance(40)
    assert gone(visitor(project, "alice").get("/").text) == [second]


def test_a_reader_who_is_nobody_is_led_to_the_door(project: Project) -> None:
    path: Any = leads_to(visitor(project, None).get("/?order=expiry"))
    assert path == "/sign-in?next=%2F%3Forder%3Dexpiry"
