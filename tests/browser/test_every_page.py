"""Every page, in both themes and at both widths: nothing that keeps somebody out, and nothing that moves sideways.

Rules: WCAG 2.2, levels A and AA, as axe-core knows them.
"""

from collections.abc import Sequence
from itertools import chain, product, repeat
from typing import Any, Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from signoff_server.dashboard.pages import PAGES
from tests.browser.content import Content
from tests.browser.places import NO_PAGES, PLACES
from tests.browser.site import Site
from tests.browser.watch import PHONE, WIDE, Visits

_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# The size of targets is not checked unless it is asked for.
_OPTIONS: Final = {
    "runOnly": {"type": "tag", "values": _TAGS},
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}
# Theme and size. The first address of a page is looked at in every way, the others in two.
_Look = tuple[Literal["light", "dark"], Any]
_EVERY: Final[Sequence[_Look]] = tuple(product(("light", "dark"), (WIDE, PHONE)))
_SOME: Final[Sequence[_Look]] = (("light", WIDE), ("dark", PHONE))
# WCAG 2.2, 1.4.10: content reflows at 320 CSS pixels.
_NARROW: Final = {"width": 320, "height": 640}


def test_no_page_is_left_out() -> None:
    known = {page.path for page in PAGES if page.method == "GET"}
    assert known == {*PLACES, *NO_PAGES}


@pytest.mark.parametrize("place", PLACES)
def test_nobody_is_kept_out(browser: Browser, furnished: tuple[Site, Content], place: str) -> None:
    site, content = furnished
    page, found = _admitting(browser, site, "admin"), []
    for address, looks in zip(PLACES[place](site, content), chain((_EVERY,), repeat(_SOME)), strict=False):
        page.goto(address)
        found += [f"{address}: {fault}" for fault in _faults(page, looks)]
    page.context.close()
    assert not found, "\n".join(found)


def test_nobody_is_kept_out_of_what_answers_a_form(browser: Browser, site: Site) -> None:
    asked = [site.ask(name=name)["id"] for name in ("form.one", "form.two")]
    page, found = _admitting(browser, site, "admin"), []

    def look(what: str) -> None:
        found.extend(f"{what}: {fault}" for fault in _faults(page, _SOME))

    page.goto("/")
    page.keyboard.press("?")
    look("the keys")
    page.goto(f"/approvals/{asked[0]}")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look("a refusal")
    page.goto("/decide?" + "&".join(f"id={each}" for each in asked))
    site.decide(asked[0])
    page.get_by_role("button", name="Approve 2").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1 of 2 approved")
    look("what came of many")
    page.goto("/settings/keys")
    page.get_by_label("audit:read").check()
    page.get_by_role("button", name="Issue it").click()
    expect(page.locator("main").get_by_role("status")).to_be_visible()
    look("a key")
    page.goto("/sign-in")
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look("a refused sign-in")
    page.context.close()
    assert not found, "\n".join(found)


def _admitting(browser: Browser, site: Site, who: str) -> Page:
    """A page of somebody that lets axe in: pages of ours let no foreign script in."""
    context = browser.new_context(bypass_csp=True, base_url=site.url, reduced_motion="reduce", locale="en")
    name, value = site.session(who)
    context.add_cookies([{"name": name, "value": value, "url": site.url}])
    return context.new_page()


def _faults(page: Page, looks: Sequence[_Look]) -> list[str]:
    axe, found = Axe(), []
    for theme, size in looks:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size(size)
        results = axe.run(page, options=_OPTIONS).response["violations"]
        found += [
            f"{theme}, {size['width']} px: {each['id']}: {node['target']} {node['failureSummary']}"
            for each in results
            for node in each["nodes"]
        ]
    return found


@pytest.mark.parametrize("place", PLACES)
def test_no_page_moves_sideways_on_a_phone(visits: Visits, furnished: tuple[Site, Content], place: str) -> None:
    site, content = furnished
    page = visits.open(site, "admin", None, viewport=PHONE)
    visits.watch(page).allow("status of 4")
    for address in PLACES[place](site, content):
        page.goto(address)
        for size in (PHONE, _NARROW):
            page.set_viewport_size(size)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], f"{address} is {width} px wide at {size['width']}"
