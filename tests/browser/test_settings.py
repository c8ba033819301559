"""An admin says who may act and who may sign in, and what a name would get."""

import re

from playwright.sync_api import expect

from tests.browser.site import Site
from tests.browser.watch import Visits

_PASSWORD = "four plain words here"


def test_a_key_is_shown_once_works_and_ends(site: Site, visits: Visits) -> None:
    page = visits.open(site, "admin", "/settings")
    page.get_by_label("Name").fill("billing-app")
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("row", name="billing-app").get_by_role("link", name="Issue").click()
    page.get_by_label("approvals:create").check()
    page.get_by_role("button", name="Issue it").click()
    key = page.locator("main").get_by_role("status").locator("pre").inner_text().strip()
    site.keys["billing-app"] = key
    site.ask("billing-app", name="billing.charge")
    page.goto("/settings/keys")
    assert key not in page.content()
    mine = page.get_by_role("row", name="billing-app")
    mine.locator("summary").click()
    mine.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_role("row", name="billing-app")).to_contain_text("revoked")
    reply = site.http.get("/v1/approvals", headers={"Authorization": f"Bearer {key}"})
    assert reply.status_code == 401


def test_a_user_chooses_a_password_by_the_link_and_signs_in_with_it(site: Site, visits: Visits) -> None:
    page = visits.open(site, "admin", "/settings/users")
    page.get_by_label("Name").fill("dana")
    page.get_by_role("button", name="Make a link").click()
    link = page.locator("main").get_by_role("status").locator("pre").inner_text().strip()
    theirs = visits.open(site, None, site.path(link))
    theirs.get_by_label(re.compile("^Password")).fill(_PASSWORD)
    theirs.get_by_label("Once more").fill(_PASSWORD)
    theirs.get_by_role("button", name="Set it and sign in").click()
    expect(theirs.get_by_role("heading", level=1, name="Pending")).to_be_visible()
    page.goto("/settings/users")
    expect(page.locator(".rows > li").filter(has_text="dana")).to_contain_text("1 session")
    mine = page.locator(".rows > li").filter(has_text="dana")
    mine.locator("summary").click()
    mine.get_by_role("button", name="Sign out everywhere").click()
    expect(mine).to_contain_text("0 sessions")
    theirs.goto("/")
    expect(theirs).to_have_url(re.compile("/sign-in"))


def test_a_policy_is_set_and_asked(site: Site, visits: Visits) -> None:
    page = visits.open(site, "admin", "/settings/policy")
    page.get_by_role("textbox", name="Blocked").fill("*.delete")
    page.get_by_label("Need a person").fill("payments.*\nmail.*")
    page.get_by_role("button", name="Set the policy").click()
    expect(page.get_by_label("Need a person")).to_have_value("payments.*\nmail.*")
    for name, verdict in (("payments.wire", "needs a person"), ("warehouse.delete", "is blocked")):
        page.get_by_role("textbox", name="Name", exact=True).fill(name)
        page.get_by_role("button", name="Test it").click()
        expect(page.locator("main").get_by_role("status")).to_contain_text(f"{name} {verdict}")


def test_settings_are_for_admins(site: Site, visits: Visits) -> None:
    page = visits.open(site, "alice")
    expect(page.get_by_role("link", name="Settings")).to_have_count(0)
    visits.watch(page).allow("status of 403")
    for path in ("/settings", "/settings/keys", "/settings/users", "/settings/policy"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).not_to_have_text(re.compile("Principals|keys|Users|Policy"))
