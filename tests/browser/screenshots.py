"""`make screenshots`: the pictures of the README, taken of a server that has just been filled.

`python -m tests.browser.screenshots FOLDER`. A picture is what its reader sees without scrolling; none is larger than
`MOST_BYTES`, so that a clone stays small.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import Browser

from tests.browser.chromium import started
from tests.browser.content import Content, furnish
from tests.browser.site import Site
from tests.browser.watch import PHONE, WIDE, Visits
from tests.support import stage
from tests.support.server import RunningServer

MOST_BYTES: Final = 150 * 1024


class Picture(NamedTuple):
    address: Callable[[Content], str]
    theme: str = "light"
    size: dict[str, int] = WIDE


PICTURES: Final = {
    "pending-dark": Picture(lambda _content: "/", "dark"),
    "approval-light": Picture(lambda content: f"/approvals/{content.approvals['new_payee']}"),
    "approval-phone": Picture(lambda content: f"/approvals/{content.approvals['database.migrate']}", "dark", PHONE),
    "run-light": Picture(lambda content: f"/runs/{content.runs['parked']}"),
    "activity-dark": Picture(lambda _content: "/activity", "dark"),
    "history-light": Picture(lambda _content: "/history"),
}


def take(browser: Browser, site: Site, content: Content, folder: Path) -> None:
    """Every picture, into this folder. Raises `AssertionError` where a page does what none should."""
    for name, picture in PICTURES.items():
        visits = Visits(browser)
        page = visits.open(
            site,
            "alice",
            picture.address(content),
            viewport=picture.size,
            color_scheme=picture.theme,
            reduced_motion="reduce",
        )
        page.wait_for_function("() => document.fonts.status === 'loaded'")
        path = folder / f"{name}.png"
        page.screenshot(path=path, animations="disabled", caret="hide")
        visits.close()
        size = path.stat().st_size
        print(f"{path}  {size // 1024} KiB")
        assert size <= MOST_BYTES, f"{path} is larger than {MOST_BYTES // 1024} KiB"


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        started() as browser,
        RunningServer(Path(scratch), code=stage.CODE, env=stage.ENVIRONMENT) as server,
        Site(server, "shop") as site,
    ):
        take(browser, site, furnish(site), folder)


if __name__ == "__main__":
    main()
