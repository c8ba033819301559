"""Activity: counts, waiting times, and what happens."""

import pytest

from signoff_server.dashboard import activity as feed
from signoff_server.dashboard.activity import share
from signoff_server.dashboard.sentences import SENTENCES
from signoff_server.store import activity
from tests.support.project import Project
from tests.support.visits import visitor, words
from tests.support.workflows import parked


def test_activity_counts_what_happened_in_the_stretch(project: Project) -> None:
    project.decide(project.ask()["id"], "rejected")
    project.world.advance(30 * 60)
    asked = project.ask(name="slow")
    parked(project)
    project.world.advance(120)
    project.decide(asked["id"])
    auditor = visitor(project, "auditor")
    hour, quarter = (words(auditor.get(f"/activity?span={span}").text) for span in ("1h", "15m"))
    assert "3 Requested 1 Approved 1 Rejected 0 Expired 1 Runs started 1 Runs parked" in hour
    assert "2 Requested 1 Approved 0 Rejected" in quarter
    assert "2 min Median wait of 1 decided 2 min 95 % decided within" in quarter
    assert "alice approved slow" in quarter


def test_the_feed_tells_what_people_want_to_hear_of_and_not_each_step(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.ask(name="before.the.steps")
    parked(project)
    monkeypatch.setattr(feed, "_FEED", 3)
    told = words(visitor(project, "alice").get("/activity").text).partition("What happens")[2]
    assert "a run of gated parked" in told
    assert "The node pay of a run of gated is due" not in told
    assert told.count(" #") + told.startswith("#") <= 3
    assert set(feed.TELLING) <= set(SENTENCES)


def test_activity_shows_what_others_wrote_and_nothing_of_it_acts(project: Project) -> None:
    asked = project.ask(name="x.y", context={"to": "</code><script>\u202e"}, summary="<img src=x>")
    project.decide(asked["id"], "rejected", reason="<script>alert(1)</script>")
    page = visitor(project, "auditor").get("/activity").text.partition("<main")[2]
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page


def test_nobody_sees_activity_without_signing_in(project: Project) -> None:
    assert visitor(project, None).get("/activity").status_code == 303


def test_what_is_counted_is_bounded_and_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "MOST_EVENTS", 2)
    for _ in range(3):
        project.ask()
    told = words(visitor(project, "alice").get("/activity").text)
    assert "2 Requested" in told
    assert "More than 2 events: the last 2 are counted." in told


def test_a_stretch_that_cannot_be_is_told(project: Project) -> None:
    assert visitor(project, "alice").get("/activity?span=1y").status_code == 400


@pytest.mark.parametrize(
    ("values", "part", "found"),
    [([], 0.5, None), ([1], 0.5, 1), ([1], 0.95, 1), ([1, 2, 3, 4], 0.5, 2), (list(range(1, 101)), 0.95, 95)],
)
def test_a_share_is_the_nearest_rank(values: list[int], part: float, found: int | None) -> None:
    assert share(values, part) == found
