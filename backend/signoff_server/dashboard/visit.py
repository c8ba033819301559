"""One visit of a page: who visits, what they sent, and the page that answers.

Rules of the room: what comes from outside is text and stays text, `templates.py` escapes it; no GET changes anything;
whatever does change something comes from a form of ours, on a page of ours (`check_origin`, `check_token`).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.dashboard import templates
from signoff_server.web.call import bounded, id_at, name_at
from signoff_server.web.server import Server

_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 1_000
_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types htmx"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    # Not "no-referrer": a browser would then send the forms of these pages with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """`caller` is who is signed in, None on pages for everybody; `token` is the secret of their session.

    `nonce` is what scripts and htmx elements of this page are known by. `form` holds what was posted.
    """

    server: Server
    request: Request
    caller_or_none: Caller | None
    token: str
    nonce: str
    form: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def caller(self) -> Caller:
        assert self.caller_or_none is not None
        return self.caller_or_none

    # ------------------------------------------------------------ what was sent

    def path(self, name: str) -> str:
        """The id at this place of the path. Raises `Refusal`: 404 for what cannot be one."""
        return id_at(self.request, name)

    def name(self, place: str, pattern: re.Pattern[str]) -> str:
        """The name at this place of the path. Raises `Refusal`: 404 for what cannot be one."""
        return name_at(self.request, place, pattern)

    def asked(self, name: str) -> str:
        """A parameter of the query, stripped; "" where it is missing. Raises `Refusal`."""
        found = self.request.query_params.get(name, "").strip()
        if "\x00" in found:
            raise Refusal("invalid_parameter", "U+0000 is not allowed in a parameter.")
        return found

    def said(self, name: str) -> str:
        """A field of the form as it was written; "" where it is missing. Raises `Refusal`."""
        found = self.form.get(name, [""])[0]
        if "\x00" in found:
            raise Refusal("invalid", "U+0000 is not allowed in a form.")
        # Forms end lines as HTTP does (HTML, 4.10.22.4); who wrote it wrote one character.
        return found.replace("\r\n", "\n")

    # ------------------------------------------------------------ what answers

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page of `templates/`."""
        known = {
            "visit": self,
            "caller": self.caller_or_none,
            "nonce": self.nonce,
            "csrf": form_token(self.token) if self.token else "",
            "now": self.server.world.now(),
            "url": self.server.url,
        }
        body = templates.render(template, {**known, **context})
        return Response(body, status, headers(self.nonce), "text/html; charset=utf-8")

    def link(self, **changed: str | None) -> str:
        """The address of this page with these parameters of the query changed; None takes one away."""
        pairs = {name: value for name, value in self.request.query_params.items() if value} | changed
        kept = {name: value for name, value in pairs.items() if value is not None}
        return self.request.url.path + (f"?{urlencode(kept)}" if kept else "")


def headers(nonce: str) -> dict[str, str]:
    """What every page is sent with."""
    return {**_HEADERS, "Content-Security-Policy": _POLICY.format(nonce=nonce)}


def go_to(path: str) -> Response:
    """To another page of ours, by GET."""
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


def inner_path(text: str) -> str:
    """`text` where it is a path on this server, "/" for anything else: what `?next=` may lead to."""
    ours = re.fullmatch(r"/(?![/\\])[!-~]*", text) is not None and "\\" not in text
    return text if ours else "/"


def sign_in_path(request: Request) -> str:
    """Where somebody signs in who asked for this page and should come back to it."""
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = request.url.path + query if request.method == "GET" else "/"
    return "/sign-in" if wanted == "/" else f"/sign-in?next={quote(wanted, safe='')}"


def form_token(token: str) -> str:
    """What proves that a form came from a page of this session (a token tied to it by HMAC: no row, no state)."""
    return hmac.new(token.encode(), b"signoff-form/1", hashlib.sha256).hexdigest()


def check_token(token: str, form: Mapping[str, list[str]]) -> None:
    """Raises `Refusal` where the form did not come from a page of this session."""
    if not hmac.compare_digest(form.get("csrf", [""])[0].encode(), form_token(token).encode()):
        raise Refusal("forbidden", "This form is of another session. Go back, load the page again and repeat it.")


def check_origin(request: Request) -> None:
    """Raises `Refusal` where another site sent this form (Fetch Metadata, and Origin for browsers without it)."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    same = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if site not in (None, "same-origin") or not same:
        raise Refusal("forbidden", "Another site sent this form; nothing was done.")


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a posted form, each with its values in their order. Raises `Refusal`."""
    raw = await bounded(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise Refusal("media_type", f"Send a form, with Content-Type: {_FORM}.")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise Refusal("invalid", "The form cannot be read.") from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields
