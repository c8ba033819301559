"""Text of others stays text: every string of the corpus goes through the pages of a real browser, many to a page.

No script runs, no request leaves, no element or attribute comes of it, and nothing of it is hidden.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page

from tests.browser import haunted
from tests.browser.detector import HOOKS, faults, hidden, missing, strays, text_of
from tests.browser.haunted import Planted
from tests.browser.site import Site
from tests.browser.watch import Visits
from tests.support.hostile import HOSTILE, MARK

# A list shows the beginning of each text.
_BEGINNING: Final = 24
_MOST_PAGES: Final = 30
# Raw, each of them must be found out.
_TELLING: Final = (
    "<script>__pwned='evil'</script>",
    "<img src=/evil-img onerror=__pwned='evil'>",
    "<svg onload=__pwned='evil'>",
    "<details open class=evil ontoggle=__pwned='evil'>x</details>",
    "<iframe src=/evil-frame></iframe>",
    "<meta http-equiv=refresh content='600;url=/evil-refresh'>",
    "<link rel=stylesheet href=/evil-style.css>",
    "<style>body{background:url(/evil-background)}</style>",
    "<div style='background:url(/evil-inline)'>x</div>",
    "<form action=/evil-form method=post><input name=csrf><button>Approve</button></form>",
    "<a href=//evil.example target=_blank>x</a>",
    "<div hx-get=/evil-hx hx-trigger=load>x</div>",
    "<h1 class=evil>Approved by alice</h1>",
    "<textarea class=evil>",
    "</main></body></html><h1 class=evil>",
)


def opened(visits: Visits, site: Site, who: str = "admin") -> Page:
    page = visits.open(site, who, None)
    page.context.add_init_script(HOOKS)
    return page


def read(visits: Visits, page: Page) -> str:
    """What the page says; that there is nothing else in it, and nothing hidden."""
    assert not faults(page)
    assert not strays(visits.watch(page))
    shown = text_of(page)
    assert not hidden(shown)
    return shown


def check(visits: Visits, page: Page, texts: Sequence[str]) -> None:
    """That this page shows these texts, and made nothing else of them."""
    lost = missing(read(visits, page), texts)
    assert not lost, "\n".join(lost)


def check_list(visits: Visits, page: Page, address: str, planted: Sequence[Planted]) -> None:
    """That the pages of a list show the beginnings of what was planted, and made nothing else of it."""
    shown = "\n".join(read(visits, each) for each in each_page(page, address))
    lost = missing(shown, [text[:_BEGINNING].rstrip("\\ ") for each in planted for text in each.texts])
    assert not lost, "\n".join(lost)


def each_page(page: Page, address: str) -> Iterator[Page]:
    """The page at this address, and those that its link to older ones leads to."""
    following: str | None = address
    for _ in range(_MOST_PAGES):
        page.goto(following)
        yield page
        older = page.get_by_role("link", name=re.compile("^(Older|Next|Later)"))
        if not older.count():
            return
        following = older.first.get_attribute("href")
    raise AssertionError(f"{address} has no end")


# ---------------------------------------------------------------- the corpus and the detector


def test_the_corpus_is_large_and_marked() -> None:
    assert len(HOSTILE) >= 300
    assert len(set(HOSTILE)) == len(HOSTILE)
    for text in HOSTILE:
        assert "\x00" not in text
        assert text.encode("utf-8") is not None
        if re.search(r"<[a-zA-Z][^>]*[\s/][a-z]+=", text):
            assert MARK in text


@pytest.mark.parametrize("html", _TELLING)
def test_what_is_really_injected_is_found(site: Site, visits: Visits, html: str) -> None:
    page = opened(visits, site)
    whole = f"<!doctype html><title>x</title><script src=/own.js></script><main>{html}</main>"
    page.route("**/own", lambda route: route.fulfill(body=whole, content_type="text/html"))
    page.route("**/own.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto("/own")
    watch = visits.watch(page)
    watch.allow("")
    assert faults(page) or watch.unexpected() or strays(watch)


def test_what_a_page_leaves_out_is_found(site: Site, visits: Visits) -> None:
    page = opened(visits, site)
    whole = "<!doctype html><title>x</title><main>a &lt;b&gt; <details><summary>s</summary>c\\u200bd</details></main>"
    page.route("**/own", lambda route: route.fulfill(body=whole, content_type="text/html"))
    page.goto("/own")
    visits.watch(page).allow("status of 404")
    shown = text_of(page)
    assert missing(shown, ["a <b>", "c\u200bd"]) == []
    assert len(missing(shown, ["a<b>", "cd", "c\u200dd"])) == 3
    assert hidden("a\u200bb") == {"0x200b"}


@pytest.mark.parametrize("nonce", [None, "", "evil"])
def test_an_element_without_the_nonce_asks_nothing_even_if_it_got_in(
    site: Site, visits: Visits, nonce: str | None
) -> None:
    page = opened(visits, site)
    page.goto("/")
    watch = visits.watch(page)
    watch.allow("hx-csp")
    page.evaluate(
        """(nonce) => {
          const element = document.createElement("div");
          element.setAttribute("hx-get", "/evil-hx");
          element.setAttribute("hx-trigger", "load");
          if (nonce !== null) element.setAttribute("hx-nonce", nonce);
          document.querySelector("main").append(element);
          htmx.process(element);
          element.dispatchEvent(new Event("load"));
        }""",
        nonce,
    )
    page.reload()
    assert not strays(watch)
    assert [fault for fault in watch.faults if "blocked" in fault]


# ---------------------------------------------------------------- the pages


def test_a_context_says_and_hides_nothing(site: Site, visits: Visits) -> None:
    page = opened(visits, site)
    for planted in haunted.values(site):
        page.goto(f"/approvals/{planted.id}")
        check(visits, page, planted.texts)


def test_keys_are_text_too(site: Site, visits: Visits) -> None:
    page = opened(visits, site)
    for planted in haunted.keys(site):
        page.goto(f"/approvals/{planted.id}")
        check(visits, page, planted.texts)


def test_what_a_requester_says_of_it_is_text_too(site: Site, visits: Visits) -> None:
    page = opened(visits, site)
    for planted in haunted.claims(site, 25):
        page.goto(f"/approvals/{planted.id}")
        check(visits, page, planted.texts)


@pytest.mark.parametrize("order", ["newest", "expiry"])
def test_the_list_of_what_is_pending(site: Site, visits: Visits, order: str) -> None:
    planted = haunted.claims(site, 150)
    check_list(visits, opened(visits, site), f"/?order={order}", planted)


def test_a_page_that_decides_many(site: Site, visits: Visits) -> None:
    page = opened(visits, site, "alice")
    for planted in haunted.pieces(haunted.claims(site, 100)):
        page.goto("/decide?" + "&".join(f"id={each.id}" for each in planted))
        check(visits, page, [text for each in planted for text in each.texts])


def test_what_is_searched_for(site: Site, visits: Visits) -> None:
    page = opened(visits, site)
    for text in haunted.SHORT[::40]:
        page.goto(f"/?{urlencode({'q': text[:200], 'name': text[:128], 'by': text[:128]})}")
        read(visits, page)
        # HTML, 4.10.5.1.2: a field of one line leaves out the ends of lines.
        assert page.locator("input[name=q]").input_value() == re.sub("[\r\n]", "", text[:200].strip())
        page.goto(f"/settings/policy?{urlencode({'name': text[:128]})}")
        read(visits, page)


def test_the_history(site: Site, visits: Visits) -> None:
    planted = haunted.claims(site, 100)
    haunted.reasons(site, planted)
    check_list(visits, opened(visits, site), "/history", planted)


def test_the_trail(site: Site, visits: Visits) -> None:
    planted = haunted.claims(site, 60)
    haunted.reasons(site, planted)
    page = opened(visits, site)
    page.goto("/events")
    older = page.get_by_role("link", name="Older")
    for _ in range(_MOST_PAGES):
        if not older.count():
            break
        # Whoever comes to the end of the page sees on.
        was = older.get_attribute("href")
        older.scroll_into_view_if_needed()
        page.wait_for_function("(was) => document.querySelector('.pages a')?.getAttribute('href') !== was", arg=was)
    check(visits, page, [json.dumps(text, ensure_ascii=False) for each in planted for text in each.texts])


def test_the_activity(site: Site, visits: Visits) -> None:
    page = opened(visits, site)
    haunted.reasons(site, haunted.claims(site, 60))
    page.goto("/activity")
    check(visits, page, ())


def test_what_a_run_is_given_and_what_its_tools_return(site: Site, visits: Visits) -> None:
    page = opened(visits, site)
    for planted in haunted.runs(site):
        written = [json.dumps(text, ensure_ascii=False) for text in planted.texts]
        for address in (f"/runs/{planted.id}", f"/runs/{planted.id}/nodes/first"):
            page.goto(address)
            check(visits, page, written)


def test_what_a_worker_says_of_a_failure(site: Site, visits: Visits) -> None:
    page = opened(visits, site)
    planted = haunted.failures(site, 12)
    for each in planted:
        for address in (f"/runs/{each.id}", f"/runs/{each.id}/nodes/first"):
            page.goto(address)
            check(visits, page, each.texts)
    check_list(visits, page, "/runs", planted)


def test_what_a_workflow_says_of_its_input(site: Site, visits: Visits) -> None:
    page = opened(visits, site)
    texts = [text for text in haunted.SHORT if "<" in text and text.isascii() and text.isprintable()][::6]
    workflow = haunted.described(site, texts)
    page.goto(f"/workflows/{workflow}")
    check(visits, page, [json.dumps(text, ensure_ascii=False) for text in texts])
    page.goto(f"/workflows/{workflow}/start")
    check(visits, page, texts)
