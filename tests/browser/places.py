"""Every page that a person may open, each with addresses that show what it can show."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.browser.content import Content
from tests.browser.site import Site

# Path of a page -> addresses of it.
Addresses = Callable[[Site, Content], tuple[str, ...]]

PLACES: Final[Mapping[str, Addresses]] = {
    "/": lambda _site, _content: ("/", "/nothing-is-here"),
    "/approvals/{id}": lambda _site, content: tuple(f"/approvals/{each}" for each in content.approvals.values()),
    "/approvals/{id}/raw": lambda _site, content: (f"/approvals/{content.approvals['paid']}/raw",),
    "/decide": lambda _site, content: ("/decide?" + "&".join(f"id={each}" for each in content.approvals.values()),),
    "/history": lambda _site, _content: ("/history", "/history?status=expired"),
    "/events": lambda _site, content: ("/events", f"/events?subject={content.approvals['paid']}", "/events?type=x"),
    "/activity": lambda _site, _content: ("/activity",),
    "/runs": lambda _site, _content: ("/runs", "/runs?status=failed", "/runs?status=cancelled"),
    "/runs/{id}": lambda _site, content: tuple(f"/runs/{each}" for each in content.runs.values()),
    "/runs/{id}/nodes/{node}": lambda _site, content: (
        f"/runs/{content.runs['small']}/nodes/check_budget",
        f"/runs/{content.runs['broken']}/nodes/check_receipt",
        f"/runs/{content.runs['parked']}/nodes/manager",
        f"/runs/{content.runs['stopped']}/nodes/drop",
    ),
    "/workflows": lambda _site, _content: ("/workflows",),
    "/workflows/{workflow}": lambda _site, _content: ("/workflows/expense-report", "/workflows/clean-up"),
    "/workflows/{workflow}/start": lambda _site, _content: (
        "/workflows/expense-report/start",
        "/workflows/clean-up/start",
    ),
    "/sign-in": lambda _site, _content: ("/sign-in", "/sign-in?next=%2Fhistory"),
    "/sign-in/link": lambda site, _content: (site.path(site.link("bob")), "/sign-in/link?token=used"),
    "/sign-in/password": lambda _site, _content: ("/sign-in/password?token=used",),
    "/settings": lambda _site, _content: ("/settings",),
    "/settings/keys": lambda site, _content: ("/settings/keys", f"/settings/keys?principal={site.ids['app']}"),
    "/settings/users": lambda _site, _content: ("/settings/users",),
    "/settings/policy": lambda _site, _content: ("/settings/policy", "/settings/policy?name=payments.wire"),
}
# Answered to programs and to the browser itself, or taken along; a part of a page is looked at in its page.
NO_PAGES: Final = frozenset(
    {
        "/live",
        "/static/{digest}/{name}",
        "/approvals/{id}/standing",
        "/history.csv",
        "/history.ndjson",
        "/events.csv",
        "/events.ndjson",
    }
)
