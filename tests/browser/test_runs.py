"""Runs in a browser: started by a form, followed while they go on, decided, ended."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.content import EXPENSES, work
from tests.browser.site import Site
from tests.browser.watch import PHONE, Visits

_CHECKS = ("receipts.check", "budgets.check")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_an_admin_starts_a_run_by_a_form_of_its_schema(site: Site, visits: Visits, script: bool) -> None:
    site.register(EXPENSES)
    page = visits.open(site, "admin", "/workflows", java_script_enabled=script)
    page.get_by_role("link", name="expense-report").first.click()
    page.get_by_role("link", name="Start a run").click()
    page.get_by_label("employee").fill("Ines Duarte")
    page.get_by_label("purpose").fill("Train to Porto")
    page.get_by_label("amount_cents").fill("4890")
    page.get_by_role("button", name="Start the run").click()
    expect(page).to_have_url(re.compile("/runs/exe_"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("expense-report")
    run = site.call("alice", "GET", f"/v1/executions/{page.url.rpartition('/')[2]}")
    assert run["input"] == {"employee": "Ines Duarte", "purpose": "Train to Porto", "amount_cents": 4890}


def test_a_page_follows_its_run_to_the_decision_and_on(site: Site, visits: Visits) -> None:
    site.register(EXPENSES)
    run = site.run("expense-report", employee="Sam", purpose="Conference", amount_cents=128_000)
    page = visits.open(site, "alice", None)
    with page.expect_response("**/live"):
        page.goto(f"/runs/{run}")
    expect(page.locator(".head .badge")).to_have_text("running")
    for _ in _CHECKS:
        work(site, *_CHECKS)
    expect(page.locator(".head .badge")).to_have_text("parked")
    page.get_by_role("link", name="open the approval").click()
    expect(page.get_by_role("link", name=run)).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#standing .stand")).to_contain_text("approved by alice")
    page.get_by_role("link", name=run).click()
    work(site, "expenses.reimburse")
    expect(page.locator(".head .badge")).to_have_text("completed")


def test_every_node_of_the_drawing_leads_to_its_page(site: Site, visits: Visits) -> None:
    site.register(EXPENSES)
    run = site.run("expense-report", employee="Sam", purpose="Lunch", amount_cents=1_200)
    for _ in _CHECKS:
        work(site, *_CHECKS)
    page = visits.open(site, "alice", f"/runs/{run}", viewport=PHONE)
    page.get_by_role("region", name="Graph").get_by_role("link", name=re.compile("check_receipt")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("check_receipt")
    expect(page.locator("main")).to_contain_text("RC-2291")


def test_an_admin_ends_a_run(site: Site, visits: Visits) -> None:
    site.register(EXPENSES)
    run = site.run("expense-report", employee="Sam", purpose="Lunch", amount_cents=1_200)
    page = visits.open(site, "admin", f"/runs/{run}")
    page.get_by_label("Reason").fill("Asked twice.")
    page.get_by_role("button", name="Cancel this run").click()
    expect(page.locator(".head .badge")).to_have_text("cancelled")
    expect(page.locator("main")).to_contain_text("Asked twice.")
    reader = visits.open(site, "auditor", f"/runs/{run}")
    expect(reader.locator("main button")).to_have_count(0)
