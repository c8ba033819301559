"""Act three: the dashboard, with something in it to decide."""

import http.cookiejar
import re
import sys
import urllib.parse
import urllib.request
from typing import Any

from demo_stage import Program, Stage, check, say, show

ASKS = """
import threading
from signoff import ApprovalRejected, Signoff

WIRE = {"amount": "18250.00", "currency": "EUR", "to": "DE89 3704 0044 0532 0130 00", "invoice": "2026-1151"}
ASKED = [
    ("payments.wire_transfer", WIRE | {"amount": "24900.00", "to": "LT12 1000 0111 0100 1000", "invoice": "2026-1187"},
     "The monthly payment to our usual supplier."),
    ("deploy.production", {"service": "checkout", "version": "4.2.0", "commits": 3}, "Fixes rounding in refunds."),
    ("access.grant", {"who": "ben", "to": "payroll", "for_days": 7}, None),
]
with Signoff() as client:
    before = client.approvals.create("payments.wire_transfer", WIRE, idempotency_key="demo:before")
    print("asked", before.id, flush=True)
    client.approvals.wait(before.id)
    made = [client.approvals.create(name, context, summary=summary) for name, context, summary in ASKED]
    print("three requests wait", flush=True)
    for decided in client.approvals.as_completed([each.id for each in made]):
        by = decided.decided_by.name if decided.decided_by else "nobody"
        print(f"{decided.name}: {decided.status} by {by}{f' ({decided.reason})' if decided.reason else ''}", flush=True)
print("everything is decided", flush=True)
"""


class Dashboard:
    def __init__(self, on: Stage) -> None:
        self._on = on

    def run(self) -> None:
        say("1. Three requests wait. Of the wire transfer one like it was approved before.")
        self._on.server()
        application = self._on.start("app", sys.executable, "-c", ASKS)
        self._on.signoff("approve", application.line("asked").rpartition(" ")[2].strip())
        application.line("three requests wait")
        link = self._on.ready["sign_in_url"]
        if sys.stdin.isatty() and sys.stdout.isatty():
            self.by_hand(application, link)
        else:
            self.by_itself(link)

    def by_hand(self, application: Program, link: str) -> None:
        say(f"2. Open the dashboard; this link signs you in once. Approve one, reject one.\n\n   {link}\n")
        say("Ctrl-C ends the demo.")
        try:
            application.end()
        except KeyboardInterrupt:
            show("demo", "ended")

    def by_itself(self, link: str) -> None:
        """Nobody is there to look: the same pages, asked for and answered as a browser without script would."""
        say(f"2. The dashboard, which this link signs in to once:\n\n   {link}\n")
        browser = Browser(link)
        check("Sign in as" in browser.page, "the link leads to a page that signs in")
        browser.send("/sign-in/link", token=urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["token"][0])
        waiting = re.search(r'data-pending="(\d+)"', browser.page)
        check(waiting is not None and waiting[1] == "3", "three requests are shown as pending")
        show("dashboard", "three requests are pending")


class Browser:
    """Pages and forms, with the cookie of a session."""

    def __init__(self, url: str) -> None:
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
            urllib.request.ProxyHandler({}),
        )
        self._url = url
        self.page = self._opener.open(url).read().decode()

    def send(self, path: str, **fields: Any) -> None:
        data = urllib.parse.urlencode(fields).encode()
        self.page = self._opener.open(urllib.parse.urljoin(self._url, path), data).read().decode()
