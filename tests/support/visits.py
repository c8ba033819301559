"""Visits of the dashboard in this process: pages as they are sent, links followed and forms filled in by hand."""

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from tests.support.project import Project


@dataclass
class Visitor:
    """One of the cast at a browser that knows no script. `cookies` are theirs alone."""

    project: Project
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **more: Any) -> Any:
        return self.send("GET", path, **more)

    def post(self, path: str, fields: dict[str, Any] | None = None, *, csrf: str | None = None, **more: Any) -> Any:
        """The form is sent with the token of this session, unless another is given."""
        return self.send("POST", path, data={"csrf": self.csrf() if csrf is None else csrf, **(fields or {})}, **more)

    def csrf(self) -> str:
        """The token that the forms of this session hold; "" for who is not signed in."""
        found = re.search(r'name="csrf" value="([^"]*)"', self.get("/").text)
        return found[1] if found else ""

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **(headers or {})}
        reply = self.project.client.request(method, path, headers=sent, follow_redirects=False, **more)
        self.cookies |= dict(reply.cookies)
        self.project.client.cookies.clear()
        return reply


def visitor(project: Project, who: str | None) -> Visitor:
    """Somebody who is signed in by a link, or nobody in particular."""
    visiting = Visitor(project)
    if who is not None:
        accounts = project.server.accounts
        link = project.client.portal.call(accounts.sign_in_link, project.id, project.ids[who])
        entered = visiting.post("/sign-in/link", {"token": link.token}, csrf="")
        assert entered.status_code == 303, entered.text
    return visiting


def words(html: str) -> str:
    """What a page says, without its marks, on one line."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", bare)).split())


def leads_to(reply: Any) -> str:
    """Where a redirection goes, as a path."""
    assert reply.status_code == 303, reply.text
    target = urlsplit(reply.headers["location"])
    return target.path + (f"?{target.query}" if target.query else "")
