"""Finds what a page would hold or do if text of others had become more than text in it."""

import re
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Page

from signoff.protocol.visible import is_invisible
from signoff_server import dashboard
from signoff_server.dashboard.pages import PAGES
from signoff_server.dashboard.text import seen
from tests.browser.watch import Watch
from tests.support.hostile import MARK

# Before any script of the page: whatever the strings would run says so on the console, where the watch listens.
HOOKS: Final = """
(() => {
  const ran = (how) => console.error("a script ran: " + how);
  Object.defineProperty(window, "__pwned", { set: () => ran("__pwned"), get: () => undefined });
  for (const name of ["alert", "confirm", "prompt", "print"]) window[name] = () => ran(name);
})();
"""
# An attribute may show a text of others, or carry it as a parameter of an address of ours, and nothing else.
_LOOK: Final = """
({ tags, mark }) => {
  const found = [], shows = ["title", "value", "aria-label", "alt", "placeholder"];
  const leads = ["href", "src", "action", "formaction", "hx-get", "hx-post", "poster", "data", "ping", "srcset"];
  const nonce = document.querySelector("script")?.nonce;
  for (const element of document.querySelectorAll("*")) {
    const at = `<${element.localName}> ${element.outerHTML.slice(0, 200)}`;
    if (!tags.includes(element.localName)) found.push(`an element of no template: ${at}`);
    if (["script", "link", "style", "base"].includes(element.localName) && !element.closest("head"))
      found.push(`an element in the wrong place: ${at}`);
    if (element.shadowRoot) found.push(`a shadow root: ${at}`);
    for (const { name, value } of element.attributes) {
      if (/^on/i.test(name) || /hx-on/i.test(name)) found.push(`a handler: ${at}`);
      if (name.includes(mark)) found.push(`an attribute: ${at}`);
      if (leads.includes(name)) {
        const to = new URL(value, location.href);
        const icon = element.matches("link[rel=icon]") && to.protocol === "data:";
        if (!icon && (to.origin !== location.origin || to.pathname.includes(mark))) found.push(`a link: ${at}`);
      } else if (!shows.includes(name) && value.includes(mark)) found.push(`a value of an attribute: ${at}`);
      if (/^(data-)?hx-/.test(name) && (!nonce || element.getAttribute("hx-nonce") !== nonce))
        found.push(`an htmx attribute without the nonce: ${at}`);
    }
  }
  return found;
}
"""
_READ: Final = """
() => {
  document.querySelectorAll("main details").forEach((one) => { one.open = true; });
  return document.querySelector("main").innerText;
}
"""
# Of whole pages alone, and not of what a template or a filter draws.
_FRAME: Final = ("html", "head", "body", "title")
_JOINERS: Final = "\u200d\ufe0f"
_SOURCES: Final = Path(dashboard.__file__).parent


@cache
def known_tags() -> list[str]:
    """Every element that the templates, and what draws for them, can make."""
    sources = [path for ending in ("html", "py") for path in _SOURCES.rglob(f"*.{ending}")]
    found = {tag for path in sources for tag in re.findall(r"<([a-z][a-z0-9-]*)\b", path.read_text())}
    return sorted(found | set(_FRAME))


def faults(page: Page) -> list[str]:
    """What is in the page that no template put there."""
    return [str(fault) for fault in page.evaluate(_LOOK, {"tags": known_tags(), "mark": MARK})]


def strays(watch: Watch) -> list[str]:
    """Requests to what is no page of ours."""
    patterns = [re.sub(r"\{\w+(:path)?\}", "[^/]+", page.path) for page in PAGES]
    found = []
    for method, address in watch.requests:
        path = urlsplit(address).path
        ours = any(re.fullmatch(pattern, path) for pattern in patterns) and MARK not in path
        if not ours and not address.startswith("data:"):
            found.append(f"{method} {address}")
    return found


def text_of(page: Page) -> str:
    """What a person reads, with everything unfolded, on one line."""
    return on_one_line(page.evaluate(_READ))


def drawn(text: str) -> str:
    """What a page shows for this text, on one line."""
    return on_one_line(unescape(re.sub(r"<[^>]*>", "", str(seen(text)))))


def hidden(text: str) -> set[str]:
    """What a reader could not see in the text of a page; what joins emoji is part of them."""
    return {hex(ord(each)) for each in text if is_invisible(each) and each not in _JOINERS}


def on_one_line(text: str) -> str:
    # Where lines are kept, a real end follows the drawn one.
    return re.sub(r"[ \t\r\n\f]+", " ", text).replace("\\n ", "\\n").strip()


def missing(shown: str, texts: Any) -> list[str]:
    """The texts of others that the text of a page does not hold, each with how it should be drawn."""
    return [f"{text!r} as {drawn(text)!r}" for text in texts if drawn(text) not in shown]
