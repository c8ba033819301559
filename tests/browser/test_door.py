"""Signing in and out in a browser, with script and without."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.site import Site
from tests.browser.watch import Visits
from tests.support.server import RunningServer


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_link_signs_in_by_its_button_and_once(site: Site, visits: Visits, script: bool) -> None:
    page = visits.open(site, None, None, java_script_enabled=script)
    link = site.link("alice")
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1, name="Pending")).to_be_visible()
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_contain_text("This link was used")


def test_to_open_a_link_signs_nobody_in(site: Site, visits: Visits) -> None:
    link = site.link("alice")
    for _ in range(2):
        page = visits.open(site, None, None)
        page.goto(link)
        page.goto("/")
        expect(page).to_have_url(re.compile("/sign-in$"))


def test_whoever_signs_out_is_out_in_every_window(site: Site, visits: Visits) -> None:
    page = visits.open(site, "alice")
    other = page.context.new_page()
    other.goto("/")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in$"))
    other.goto("/")
    expect(other).to_have_url(re.compile("/sign-in"))


def test_a_link_in_a_mail_opens_an_approval_for_whoever_is_signed_in(site: Site, visits: Visits) -> None:
    asked = site.ask(name="payments.wire")["id"]
    page = visits.open(site, "alice", None)
    visits.watch(page).allow("another address was asked: GET https://mail.example/")
    mail = f'<!doctype html><title>Mail</title><a href="{site.url}/approvals/{asked}">Approve it here</a>'
    page.route("https://mail.example/", lambda route: route.fulfill(body=mail, content_type="text/html"))
    page.goto("https://mail.example/")
    # The browser keeps the cookie back from what another site leads to; the page comes once more, by itself.
    page.get_by_role("link", name="Approve it here").click()
    expect(page.get_by_role("heading", level=1, name="payments.wire")).to_be_visible()
    assert site.get(asked)["status"] == "pending"


def test_the_link_that_dev_prints_opens_the_dashboard(visits: Visits, tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        page = visits.open_at(server.url, server.sign_in_url.removeprefix(server.url))
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1, name="Pending")).to_be_visible()
        expect(page.get_by_role("link", name="Settings")).to_be_visible()
