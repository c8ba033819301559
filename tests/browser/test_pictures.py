"""The README's pictures: there, small, and of pages that nothing goes wrong in."""

import re
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.content import Content
from tests.browser.screenshots import MOST_BYTES, PICTURES, take
from tests.browser.site import Site
from tests.support.stage import ROOT


def test_the_readme_shows_pictures_that_are_there_and_small() -> None:
    kept = ROOT / ".github" / "screenshots"
    assert {path.stem for path in kept.glob("*.png")} == set(PICTURES)
    assert all(path.stat().st_size <= MOST_BYTES for path in kept.iterdir())
    shown = re.findall(r"\(\.github/screenshots/([a-z-]+)\.png\)", (ROOT / "README.md").read_text())
    assert shown
    assert set(shown) <= set(PICTURES)


def test_every_picture_can_be_taken_anew(browser: Browser, furnished: tuple[Site, Content], tmp_path: Path) -> None:
    take(browser, *furnished, tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(PICTURES)
