"""The browser of these tests: Debian's Chromium, or another that is installed; none is ever fetched."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

# A browser for pages of one server and nothing else: it asks nobody for updates, and knows no other address. Not even
# a hostile page gets further than this machine.
ARGUMENTS: Final = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


class NoBrowser(Exception):
    """There is none; the text says how to get one."""


@contextmanager
def started() -> Iterator[Browser]:
    """A browser until the end. While it runs, no other event loop can run in this thread. Raises `NoBrowser`."""
    program = next((found for found in map(shutil.which, _NAMES) if found), None)
    if program is None:
        raise NoBrowser("there is no chromium to show the dashboard in (Debian: apt-get install chromium)")
    # The sandbox of Chromium refuses to start as root.
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS, *root])
        yield browser
        browser.close()
