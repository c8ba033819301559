"""A page as an ASGI application: the session at the door, the checks of a form, and a page for every refusal."""

import base64
import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from signoff_server.core.principals import Caller
from signoff_server.core.refusals import CODES, Refusal
from signoff_server.dashboard import cookies
from signoff_server.dashboard.page import Page
from signoff_server.dashboard.visit import (
    Visit,
    check_origin,
    check_token,
    go_to,
    read_form,
    sign_in_path,
)
from signoff_server.web.server import Server

_LOG: Final = logging.getLogger("signoff.dashboard")
_NONCE_BYTES: Final = 16


class PageEndpoint:
    """One page, which no error leaves."""

    def __init__(self, server: Server, page: Page) -> None:
        self._server = server
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response = await self._answer(request)
        self._server.metrics.requests.labels(self._page.path, response.status_code).inc()
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        token = cookies.read(request, self._server)
        nonce = base64.b64encode(self._server.world.random(_NONCE_BYTES)).decode()
        visit = Visit(self._server, request, None, token, nonce)
        try:
            caller = await self._caller(request, token)
            visit = Visit(self._server, request, caller, token, nonce, await self._form(request, token))
            return await self._page.handler(visit)
        except Refusal as refusal:
            return _refused(visit, refusal)
        except Exception:  # noqa: BLE001 - it is logged, and told as our mistake
            request_id = request.scope["request_id"]
            _LOG.exception("%s %s failed (%s)", self._page.method, self._page.path, request_id)
            return _refused(visit, Refusal("internal", f"Tell us about {request_id}; nothing is known to be lost."))

    async def _caller(self, request: Request, token: str) -> Caller | None:
        if self._page.scopes is None:
            return None
        if not token:
            raise Refusal("unauthenticated", "Sign in first.")
        # What a page asks for by itself keeps nobody signed in.
        by_hand = request.method != "GET" or "hx-request" not in request.headers
        caller = await self._server.accounts.caller(token, touch=by_hand)
        if not caller.has(*self._page.scopes):
            raise Refusal("forbidden", "Your role does not open this page.")
        return caller

    async def _form(self, request: Request, token: str) -> dict[str, list[str]]:
        if request.method in ("GET", "HEAD"):
            return {}
        check_origin(request)
        form = await read_form(request)
        if self._page.scopes is not None:
            check_token(token, form)
        return form


def _refused(visit: Visit, refusal: Refusal) -> Response:
    if refusal.code == "unauthenticated" and visit.request.url.path != "/sign-in":
        return _to_sign_in(visit)
    title = CODES[refusal.code].title
    response = visit.page("refused.html", refusal.status, refusal=refusal, title=title)
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def _to_sign_in(visit: Visit) -> Response:
    """Where htmx asked, the whole page goes there. From a link on another site the cookie is kept back by the browser
    (SameSite=Strict): the page comes once more, by itself, and then with it.
    """
    request = visit.request
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in", "Cache-Control": "no-store"})
    from_outside = request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
    if from_outside and request.method == "GET" and not visit.token:
        return visit.page("again.html", title="One moment")
    return go_to(sign_in_path(request))
