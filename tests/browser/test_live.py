"""Pages that follow what happens: new requests, a burst of them, a server that dies and comes back."""

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site
from tests.browser.watch import Visits
from tests.support.server import RunningServer

# What a browser says of a server that is away.
_AWAY: Final = r"ERR_(CONNECTION|INCOMPLETE|EMPTY|NETWORK)|Failed to fetch|network error|NetworkError|fetch"
_SECOND: Final = 1_000
_TRIES: Final = 5
_PATIENCE: Final = 20_000
_BURST: Final = 1_000
_MANY: Final = 10_000
_BLOCKED_MS: Final = 500
_PAGE_BYTES: Final = 100 * 1024
_FIRST_BYTE_SECONDS: Final = 0.150
# The longest that the page could do nothing else, from now on.
_PROBE: Final = """
() => {
  let last = performance.now();
  window.longest = 0;
  const look = () => {
    const now = performance.now();
    window.longest = Math.max(window.longest, now - last);
    last = now;
    setTimeout(look, 5);
  };
  look();
}
"""


def following(visits: Visits, site: Site, who: str = "alice", path: str = "/") -> Page:
    """A page whose stream has begun."""
    page = visits.open(site, who, None)
    with page.expect_response("**/live"):
        page.goto(path)
    return page


def quiet(page: Page) -> None:
    """Until a second has passed in which the page asked nothing: what comes then is asked for at once."""
    page.evaluate(
        """() => new Promise((done) => {
          const seen = () => performance.getEntriesByType("resource").length;
          let count = seen(), at = performance.now();
          const timer = setInterval(() => {
            if (seen() !== count) { count = seen(); at = performance.now(); }
            if (performance.now() - at > 1100) { clearInterval(timer); done(); }
          }, 50);
        })"""
    )


def test_a_new_request_appears_within_a_second(site: Site, visits: Visits) -> None:
    page = following(visits, site)
    times = []
    for number in range(_TRIES):
        quiet(page)
        begun = page.evaluate("performance.now()")
        site.ask(name=f"live.number-{number}")
        page.wait_for_function(
            "(name) => document.querySelector('main').innerText.includes(name)", arg=f"number-{number}"
        )
        times.append(page.evaluate("performance.now()") - begun)
        if times[-1] <= _SECOND:
            return
    pytest.fail(f"it took {times} ms")


def test_a_page_whose_scripts_come_late_is_live_and_guarded_all_the_same(site: Site, visits: Visits) -> None:
    page = visits.open(site, "alice", None)
    held = []
    for late in ("hx-csp", "hx-sse"):
        page.route(f"**/{late}.min.js", lambda route: held.append(route))
    page.goto("/", wait_until="commit")
    page.wait_for_function("() => window.htmx !== undefined")
    # Whatever htmx put off until later has had its turn.
    page.evaluate(
        "() => new Promise((done) => { setTimeout(() => requestAnimationFrame(() => setTimeout(done)), 50); })"
    )
    with page.expect_response("**/live"):
        for route in held:
            route.continue_()
    site.ask(name="late.request")
    expect(page.locator("main")).to_contain_text("late.request")


def test_a_dead_server_is_told_and_found_again_with_nothing_missed(own_site: Site, visits: Visits) -> None:
    site, server = own_site, own_site.server
    site.ask(name="before.death")
    page = following(visits, site)
    visits.watch(page).allow(_AWAY)
    banner = page.locator("#connection")
    expect(page.locator("main")).to_contain_text("before.death")
    expect(banner).to_be_hidden()
    server.kill()
    expect(banner).to_be_visible(timeout=_PATIENCE)
    server.start()
    site.ask(name="after.death")
    expect(banner).to_be_hidden(timeout=_PATIENCE)
    expect(page.locator("main")).to_contain_text("after.death")
    expect(page.locator("main")).to_contain_text("before.death")


def test_a_burst_of_requests_leaves_the_page_free_and_small(site: Site, visits: Visits) -> None:
    page = following(visits, site)
    quiet(page)
    page.evaluate(_PROBE)
    site.stage("pending", project=site.id, principal=site.ids["app"], name="burst.of", count=_BURST)
    expect(page).to_have_title(f"({_BURST}) Pending · signoff", timeout=_PATIENCE)
    expect(page.locator("main")).to_contain_text("burst.of-")
    assert page.evaluate("window.longest") < _BLOCKED_MS
    assert len(page.content().encode()) <= _PAGE_BYTES


@pytest.fixture(scope="module")
def crowded(served: RunningServer) -> Iterator[Site]:
    """With ten thousand pending and as many decided, after which nothing else happens."""
    with Site(served, "crowded") as site:
        app, bob = site.ids["app"], site.ids["bob"]
        site.stage("pending", project=site.id, principal=app, name="done.of", count=_MANY, decider=bob)
        site.stage("pending", project=site.id, principal=app, name="many.of", count=_MANY)
        yield site


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?order=expiry",
        "/?name=many.of-77*",
        "/history",
        "/history?decider=nobody",
        "/events",
        "/events?type=workflow.*",
        "/activity",
    ],
)
def test_ten_thousand_are_as_quick_as_ten(crowded: Site, path: str) -> None:
    seconds, size = crowded.first_byte("alice", path)
    assert size <= _PAGE_BYTES
    assert seconds <= _FIRST_BYTE_SECONDS


def test_what_was_unfolded_stays_so_while_the_page_follows(site: Site, visits: Visits) -> None:
    site.ask(name="unfold.first")
    page = following(visits, site, path="/activity")
    line = page.locator("li", has_text="unfold.first").first
    line.locator("summary").click()
    site.ask(name="unfold.second")
    expect(page.locator("main")).to_contain_text("unfold.second")
    expect(line.locator("details")).to_have_attribute("open", "")
    line.locator("summary").click()
    site.ask(name="unfold.third")
    expect(page.locator("main")).to_contain_text("unfold.third")
    expect(line.locator("details")).not_to_have_attribute("open", "")
