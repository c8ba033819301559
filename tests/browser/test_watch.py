"""That the watch sees what it is there to see: a page that really misbehaves, of the test's own."""

import pytest
from playwright.sync_api import Page

from tests.browser.site import Site
from tests.browser.watch import Visits

POLICY = "default-src 'none'; script-src 'unsafe-inline'"
# What the page holds, the policy that it is sent with, and what is said of it.
MISDEEDS = {
    "script": ("<script>null.x</script>", None, "a script failed"),
    "console": ("<script>console.error('x')</script>", None, "the console says: x"),
    "dialog": ("<script>alert('x')</script>", None, "a dialog opened: alert x"),
    "foreign": ("<img src='https://evil.example/x.png'>", None, "another address was asked"),
    "stopped": ("<img src='/x.png'>", POLICY, "the policy stopped img-src"),
}


def show(page: Page, html: str, policy: str | None = None) -> None:
    """A page of the test's own, under an address of the server."""
    headers = {"Content-Security-Policy": policy} if policy else {}
    page.route("**/own", lambda route: route.fulfill(body=html, content_type="text/html", headers=headers))
    page.goto("/own")


@pytest.mark.parametrize("deed", sorted(MISDEEDS))
def test_what_a_page_must_not_do_is_seen(site: Site, visits: Visits, deed: str) -> None:
    html, policy, told = MISDEEDS[deed]
    page = visits.open(site, None, None)
    show(page, html, policy)
    watch = visits.watch(page)
    page.wait_for_load_state("networkidle")
    assert [fault for fault in watch.unexpected() if told in fault]
    watch.allow("")


def test_a_page_that_does_nothing_of_it_passes(site: Site, visits: Visits) -> None:
    page = visits.open(site, "alice")
    page.wait_for_load_state("load")
    assert visits.watch(page).unexpected() == []
