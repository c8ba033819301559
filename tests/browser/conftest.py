"""A browser, a server for it, and visits that nothing may go wrong in."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import chromium
from tests.browser.content import Content, furnish
from tests.browser.site import Site
from tests.browser.watch import Visits
from tests.conftest import missing
from tests.support import stage
from tests.support.server import RunningServer

# A machine that is busy with other tests takes its time.
expect.set_options(timeout=15_000)
REQUIRED: Final = "SIGNOFF_REQUIRE_BROWSER"
_NUMBERS: Final = count(1)


# For these tests and no longer: other tests of the same process have event loops of their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    try:
        with chromium.started() as started:
            yield started
    except chromium.NoBrowser as reason:
        missing(str(reason), REQUIRED)


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for the tests of this process: each has a project of its own on it."""
    with RunningServer(tmp_path_factory.mktemp("served"), code=stage.CODE, env=stage.ENVIRONMENT) as server:
        yield server


@pytest.fixture(scope="package")
def furnished(served: RunningServer) -> Iterator[tuple[Site, Content]]:
    """A project in which something happened, for those who only look."""
    with Site(served, "furnished") as made:
        yield made, furnish(made)


@pytest.fixture
def site(served: RunningServer) -> Iterator[Site]:
    """A project of this test alone."""
    with Site(served, f"project-{next(_NUMBERS)}") as made:
        yield made


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """On a server of this test alone, which may be killed."""
    with RunningServer(tmp_path, code=stage.CODE, env=stage.ENVIRONMENT) as server, Site(server, "own") as made:
        yield made


@pytest.fixture
def visits(browser: Browser) -> Iterator[Visits]:
    """Opens pages, and fails the test where one of them did what none should."""
    made = Visits(browser)
    yield made
    made.close()
