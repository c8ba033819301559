"""Visits under watch: what a page did that none should is written down, and fails the test that it happened in."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request

from tests.browser.site import Site

WIDE: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
_TELLS: Final = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`the policy stopped ${event.violatedDirective} of ${event.blockedURI} ${event.sample}`));
"""
_INNER: Final = ("data", "blob", "about")


class Watch:
    """One browser window of one visitor. `requests` are all that left it, as method and address."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.faults: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self._url = url
        self._allowed: list[str] = []
        context.set_default_timeout(10_000)
        context.add_init_script(_TELLS)
        context.on("weberror", lambda error: self.faults.append(f"a script failed: {error.error}"))
        context.on("console", self._said)
        context.on("request", self._asked)
        context.on("dialog", self._dialog)

    def allow(self, pattern: str) -> None:
        """What is expected: the browser itself logs every answer that is not a success as an error."""
        self._allowed.append(pattern)

    def unexpected(self) -> list[str]:
        return [fault for fault in self.faults if not any(re.search(each, fault) for each in self._allowed)]

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"the console says: {message.text} ({message.location.get('url')})")

    def _asked(self, request: Request) -> None:
        self.requests.append((request.method, request.url))
        parts = urlsplit(request.url)
        if parts.scheme not in _INNER and f"{parts.scheme}://{parts.netloc}" != self._url:
            self.faults.append(f"another address was asked: {request.method} {request.url}")

    def _dialog(self, dialog: Any) -> None:
        self.faults.append(f"a dialog opened: {dialog.type} {dialog.message}")
        dialog.dismiss()


class Visits:
    """The windows of one test."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._watches: list[Watch] = []

    def open(self, site: Site, who: str | None, path: str | None = "/", **options: Any) -> Page:
        """A page in a new window of somebody who is signed in, or of nobody in particular; options of a context."""
        page = self._window(site.url, options)
        if who is not None:
            name, value = site.session(who)
            cookie = {"name": name, "value": value, "url": site.url, "httpOnly": True, "sameSite": "Strict"}
            page.context.add_cookies([cookie])
        if path is not None:
            page.goto(path)
        return page

    def open_at(self, url: str, path: str) -> Page:
        """A page of another server in a new window."""
        page = self._window(url, {})
        page.goto(path)
        return page

    def watch(self, page: Page) -> Watch:
        return next(watch for watch in self._watches if watch.context == page.context)

    def _window(self, url: str, options: dict[str, Any]) -> Page:
        context = self._browser.new_context(**{"viewport": WIDE, "base_url": url, "locale": "en", **options})
        self._watches.append(Watch(context, url))
        return context.new_page()

    def close(self) -> None:
        """Raises `AssertionError` for whatever went wrong in any of them."""
        unexpected = [fault for watch in self._watches for fault in watch.unexpected()]
        for watch in self._watches:
            watch.context.close()
        assert not unexpected, "\n".join(unexpected)
