"""A browser, a server for it, and visits that nothing may go wrong in."""

import os
import shutil
from collections.abc import Iterator
from itertools import count

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.site import Site
from tests.browser.watch import Visits
from tests.conftest import missing
from tests.support import stage
from tests.support.server import RunningServer

REQUIRED = "SIGNOFF_REQUIRE_BROWSER"
# A browser for pages of one server and nothing else: it asks nobody for updates, and knows no other address. Not even
# a hostile page gets further than this machine.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_NUMBERS = count(1)


# For these tests and no longer: while Playwright's loop waits in a thread, no other loop can run in it.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing("there is no chromium to show the dashboard in (Debian: apt-get install chromium)", REQUIRED)
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS, *root])
        yield started
        started.close()


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for the tests of this process: each has a project of its own on it."""
    with RunningServer(tmp_path_factory.mktemp("served"), code=stage.CODE, env=stage.ENVIRONMENT) as server:
        yield server


@pytest.fixture
def site(served: RunningServer) -> Iterator[Site]:
    """A project of this test alone."""
    with Site(served, f"project-{next(_NUMBERS)}") as made:
        yield made


@pytest.fixture
def own_site(tmp_path: str) -> Iterator[Site]:
    """On a server of this test alone, which may be killed."""
    with RunningServer(tmp_path, code=stage.CODE, env=stage.ENVIRONMENT) as server, Site(server, "own") as made:
        yield made


@pytest.fixture
def visits(browser: Browser) -> Iterator[Visits]:
    """Opens pages, and fails the test where one of them did what none should."""
    made = Visits(browser)
    yield made
    made.close()
