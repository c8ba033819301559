"""A reviewer decides: by mouse, by keys alone, without script, several together, and beside another reviewer."""

import re
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site
from tests.browser.watch import PHONE, Visits

WIRE: Final = {"amount": "50000.00", "currency": "EUR"}


def standing(page: Page, text: str) -> None:
    expect(page.locator("#standing .stand")).to_contain_text(text)


def open_one(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


# ---------------------------------------------------------------- by mouse, and without script


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_reviewer_approves_and_rejects(site: Site, visits: Visits, script: bool) -> None:
    first = site.ask(name="payments.wire", context=WIRE)["id"]
    second = site.ask(name="payments.refund", context=WIRE)["id"]
    page = visits.open(site, "alice", java_script_enabled=script)
    open_one(page, "payments.wire")
    page.get_by_role("button", name="Approve").click()
    standing(page, "approved by alice")
    page.get_by_role("link", name="Pending").first.click()
    open_one(page, "payments.refund")
    page.get_by_label("Reason").fill("Not in the budget.")
    page.get_by_role("button", name="Reject").click()
    standing(page, "rejected by alice")
    expect(page.locator("#standing")).to_contain_text("Not in the budget.")
    assert site.get(first)["decisions"][0]["via"] == "dashboard"
    assert site.get(second)["reason"] == "Not in the budget."


def test_a_rejection_without_a_reason_is_asked_for_one(site: Site, visits: Visits) -> None:
    asked = site.ask()["id"]
    page = visits.open(site, "alice", f"/approvals/{asked}")
    visits.watch(page).allow("status of 422")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("alert")).to_contain_text("needs a reason")
    assert site.get(asked)["status"] == "pending"


def test_a_phone_is_enough(site: Site, visits: Visits) -> None:
    site.ask(name="payments.wire", context=WIRE)
    page = visits.open(site, "alice", viewport=PHONE, has_touch=True, is_mobile=True)
    page.get_by_role("link", name="payments.wire", exact=True).tap()
    page.get_by_role("button", name="Approve").tap()
    standing(page, "approved by alice")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_filters_live_in_the_address(site: Site, visits: Visits, script: bool) -> None:
    for name in ("payments.wire", "payments.refund", "mail.send"):
        site.ask(name=name, summary=f"about {name}")
    page = visits.open(site, "alice", java_script_enabled=script)
    page.get_by_label("Name").fill("payments.*")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile(r"name=payments\."))
    rows = page.locator("#pending .rows > li")
    expect(rows).to_have_count(2)
    shared = visits.open(site, "bob", page.url.removeprefix(site.url), java_script_enabled=script)
    expect(shared.locator("#pending .rows > li")).to_have_count(2)
    page.get_by_label("Name").fill("")
    page.get_by_label("Text").fill("about mail.send")
    page.get_by_role("button", name="Filter").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("mail.send")
    page.get_by_role("link", name="Show all").click()
    expect(rows).to_have_count(3)


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_several_are_decided_together_each_with_its_result(site: Site, visits: Visits, script: bool) -> None:
    asked = [site.ask(name=f"batch.{name}")["id"] for name in ("one", "two", "three")]
    page = visits.open(site, "alice", java_script_enabled=script)
    for name in ("batch.one", "batch.two"):
        page.get_by_label(f"Select {name}").check()
    page.get_by_role("button", name="Decide together").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Decide 2 together")
    # Somebody is faster with one of them.
    site.decide(asked[1], "rejected", "bob")
    page.get_by_role("button", name="Approve 2").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1 of 2 approved")
    expect(page.locator("main")).to_contain_text("bob was faster")
    assert [site.get(each)["status"] for each in asked] == ["approved", "rejected", "pending"]


# ---------------------------------------------------------------- by keys alone


def test_keys_find_open_and_approve(site: Site, visits: Visits) -> None:
    for name in ("keys.third", "keys.second", "keys.first"):
        site.ask(name=name)
    page = visits.open(site, "alice")
    press = page.keyboard.press
    here = page.locator("li.here")
    press("j")
    expect(here).to_contain_text("keys.first")
    press("j")
    expect(here).to_contain_text("keys.second")
    press("k")
    expect(here).to_contain_text("keys.first")
    press("j")
    press("Enter")
    expect(page.get_by_role("heading", level=1, name="keys.second")).to_be_visible()
    press("a")
    expect(page.get_by_role("button", name="Approve")).to_be_focused()
    press("Enter")
    standing(page, "approved by alice")


def test_keys_reject_with_a_reason(site: Site, visits: Visits) -> None:
    asked = site.ask(name="keys.only")["id"]
    page = visits.open(site, "alice")
    page.keyboard.press("j")
    page.keyboard.press("r")
    reason = page.get_by_label("Reason")
    expect(reason).to_be_focused()
    # The letters of the reason are letters, not keys.
    page.keyboard.type("just a reason? j/k")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Reject")).to_be_focused()
    page.keyboard.press("Enter")
    standing(page, "rejected by alice")
    assert site.get(asked)["reason"] == "just a reason? j/k"


def test_keys_search_select_and_explain_themselves(site: Site, visits: Visits) -> None:
    site.ask(name="keys.one")
    page = visits.open(site, "alice")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_label("Select keys.one")).to_be_checked()
    page.keyboard.press("/")
    expect(page.get_by_label("Text")).to_be_focused()
    page.keyboard.type("nothing like it")
    page.keyboard.press("Enter")
    expect(page.locator("#pending")).to_contain_text("Nothing that is pending fits")


def test_a_keyboard_leads_through_the_page_from_its_top(site: Site, visits: Visits) -> None:
    page = visits.open(site, "alice")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


# ---------------------------------------------------------------- beside others


def test_what_is_decided_elsewhere_leaves_and_says_who_decided(site: Site, visits: Visits) -> None:
    asked = site.ask(name="live.leaves")["id"]
    page = visits.open(site, "alice")
    expect(page.locator(f"#row-{asked}")).to_be_visible()
    site.decide(asked, who="bob")
    expect(page.locator(f"#row-{asked}")).to_have_count(0)
    expect(page.locator(f"#gone-{asked}")).to_contain_text(re.compile("approved.*by bob", re.DOTALL))


def test_the_second_of_two_reviewers_sees_who_decided_while_they_read(site: Site, visits: Visits) -> None:
    asked = site.ask()["id"]
    first, second = (visits.open(site, who, None) for who in ("bob", "alice"))
    for page in (first, second):
        with page.expect_response("**/live"):
            page.goto(f"/approvals/{asked}")
    second.get_by_label("Reason").fill("I am still typing")
    first.get_by_role("button", name="Approve").click()
    standing(second, "approved by bob")
    expect(second.get_by_role("button", name="Approve")).to_be_disabled()
    expect(second.get_by_text("It is no longer pending")).to_be_visible()


def test_the_second_of_two_reviewers_is_told_who_was_faster(site: Site, visits: Visits) -> None:
    asked = site.ask()["id"]
    # Without script the page stays as it was.
    page = visits.open(site, "alice", f"/approvals/{asked}", java_script_enabled=False)
    visits.watch(page).allow("status of 409")
    site.decide(asked, "rejected", "bob", reason="No.")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("alert")).to_contain_text("bob was faster: it is rejected.")
    assert len(site.get(asked)["decisions"]) == 1


def test_the_title_counts_what_waits(site: Site, visits: Visits) -> None:
    page = visits.open(site, "alice")
    expect(page).to_have_title("Pending · signoff")
    for number in (1, 2):
        site.ask()
        expect(page).to_have_title(f"({number}) Pending · signoff")


# ---------------------------------------------------------------- what must not decide


def test_to_open_an_address_decides_nothing(site: Site, visits: Visits) -> None:
    asked = site.ask()["id"]
    page = visits.open(site, "alice", None)
    visits.watch(page).allow("status of 40[45]")
    for address in (
        f"/approvals/{asked}",
        f"/approvals/{asked}?decision=approved&seen=x&csrf=y",
        f"/approvals/{asked}/decision?decision=approved",
        f"/decide?id={asked}&decision=approved",
        f"/approvals/{asked}#approve",
    ):
        page.goto(address)
        page.reload()
    assert site.get(asked)["status"] == "pending"
    assert len(site.call("bob", "GET", f"/v1/approvals/{asked}/events")["data"]) == 1


def test_an_auditor_reads_and_has_nothing_to_press(site: Site, visits: Visits) -> None:
    asked = site.ask()["id"]
    page = visits.open(site, "auditor", f"/approvals/{asked}")
    expect(page.locator("#standing")).to_contain_text("You cannot decide this.")
    expect(page.locator("main button")).to_have_count(0)
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    assert site.get(asked)["status"] == "pending"
