"""The composition root: settings in, a running application out. Nobody imports it but the commands and the tests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.routing import Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from signoff.protocol.models import WATCH_SUBPROTOCOL
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.dashboard.endpoint import PageEndpoint
from signoff_server.dashboard.pages import MISSING, PAGES
from signoff_server.runner.handlers import handlers
from signoff_server.runner.loop import Agenda, Follower
from signoff_server.service.accounts import Accounts
from signoff_server.service.approvals import Approvals
from signoff_server.service.execute import Execute
from signoff_server.service.executions import Executions
from signoff_server.service.principals import Principals
from signoff_server.service.work import Work
from signoff_server.service.workflows import Workflows
from signoff_server.settings import Settings, host_name
from signoff_server.store import agenda
from signoff_server.store.database import Committed, Database
from signoff_server.store.dialects import open_engines
from signoff_server.store.migrations import upgrade
from signoff_server.wakeups import Hub
from signoff_server.web import openapi
from signoff_server.web.auth import Authenticator
from signoff_server.web.call import Call, idempotency_key, read_body, read_query, read_yaml
from signoff_server.web.feed import Feed
from signoff_server.web.metrics import Metrics
from signoff_server.web.problems import problem, send_problem
from signoff_server.web.quotas import Pace, Waits
from signoff_server.web.route import Route
from signoff_server.web.routes import ROUTES
from signoff_server.web.server import Server
from signoff_server.web.watch import WatchSocket
from signoff_server.world import World

_LOG: Final = logging.getLogger("signoff.web")
_AtPath = StarletteRoute | WebSocketRoute
_SEES: Final = ("approvals:create", "approvals:redeem", "approvals:decide", "admin")


def open_server(settings: Settings, world: World) -> Server:
    """A server on its database, the schema brought up to date; nothing runs yet. Raises `DatabaseRefused`."""
    engines = open_engines(settings.database)
    try:
        world.failpoint("start.before_migrate")
        upgrade(engines)
        if engines.lock is not None:
            # The lock says that whoever claimed something here is dead: their work is due again at once.
            with engines.writer.begin() as connection:
                agenda.release_claims(connection, world.now())
    except BaseException:
        engines.close()
        raise
    execute, hub, metrics = Execute(world), Hub(), Metrics()
    database = execute.database = Database(engines, execute.run_group, world)
    database.on_group = metrics.committed
    principals = Principals(database, execute, world, settings.environment)
    return Server(
        settings=settings,
        world=world,
        database=database,
        hub=hub,
        feed=Feed(database, hub),
        approvals=Approvals(database, execute, world, most_pending=settings.pending_cap),
        principals=principals,
        accounts=Accounts(database, execute, world),
        workflows=Workflows(database, execute, world),
        executions=Executions(database, execute, world),
        work=Work(database, execute, world),
        authenticator=Authenticator(principals, world, alone=engines.lock is not None),
        metrics=metrics,
        waits=Waits(),
        creations=Pace(settings.creations_per_second, world),
        url=settings.public_url or f"http://{settings.host}:{settings.port}",
        document=openapi.document,
    )


def build(server: Server, *, hints: bool = True) -> ASGIApp:
    """The application of `server`. Without `hints` nobody is woken but by the follower, and no run goes on but by the
    agenda: slower, and just as right.
    """

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        # What another process recorded is heard from the ledger.
        heard = server.authenticator.touched
        follower = Follower(server.database, server.hub, hints=hints, heard=heard)
        await follower.start()

        def committed(what: Committed) -> None:
            server.authenticator.touched(what.subjects)
            server.approvals.views.keep(what)
            follower.hint(what)
            if hints:
                server.executions.committed(what)

        server.database.on_commit = committed
        runner = Agenda(server.database, handlers(server.approvals, server.executions, server.work), server.world)
        tasks = [asyncio.create_task(follower.run()), asyncio.create_task(runner.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            server.accounts.close()
            await asyncio.to_thread(server.database.close)

    paths: dict[str, dict[str, ASGIApp]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _Endpoint(server, route)
    for page in PAGES:
        paths.setdefault(page.path, {})[page.method] = PageEndpoint(server, page)
    routes: list[_AtPath] = [StarletteRoute(path, _Path(methods)) for path, methods in paths.items()]
    # Before the routes with an id in their path, which would take "watch" for one.
    routes.insert(0, WebSocketRoute("/v1/approvals/watch", _watch(server)))
    router = _Areas(routes, lifespan, _Elsewhere(PageEndpoint(server, MISSING)))
    return Front(router, server)


class Front:
    """In front of everything: a request id, the Host allowlist, and an answer also where we made a mistake."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._server = server
        self._hosts = server.settings.hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = self._server.world.new_id("req")
        scope["request_id"] = request_id
        if host_name(Headers(scope=scope).get("host", "")) not in self._hosts:
            detail = "This server does not answer to that name; see the setting allowed_hosts."
            await send_problem(Refusal("host_not_allowed", detail), request_id, scope, receive, send)
            return
        await self._app(scope, receive, send)


class _Areas:
    """Routes by the beginning of their paths, so that a request is held against those of its area alone."""

    def __init__(self, routes: Sequence[_AtPath], lifespan: Callable[[Any], Any], elsewhere: ASGIApp) -> None:
        areas: dict[str, list[_AtPath]] = {}
        for route in routes:
            areas.setdefault(_area(route.path), []).append(route)
        self._routers = {area: _router(each, elsewhere) for area, each in areas.items()}
        self._elsewhere = _router([], elsewhere, lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        router = self._elsewhere if scope["type"] == "lifespan" else self._routers.get(_area(scope["path"]))
        await (router or self._elsewhere)(scope, receive, send)


def _area(path: str) -> str:
    """`/v1/work` of `/v1/work/ID/complete`, `/runs` of `/runs/ID`."""
    parts = path.split("/", 3)
    return "/".join(parts[: 3 if parts[1] == "v1" else 2])


def _router(routes: Sequence[_AtPath], elsewhere: ASGIApp, lifespan: Callable[[Any], Any] | None = None) -> Router:
    # A path with a slash too many is no other path: a client would have to send its key once more.
    every = [*routes, WebSocketRoute("/{path:path}", _no_socket)]
    return Router(every, redirect_slashes=False, default=elsewhere, lifespan=lifespan)


class _Path:
    """What answers at one path, by method. HEAD is answered as GET, and uvicorn keeps the body back."""

    def __init__(self, methods: Mapping[str, ASGIApp]) -> None:
        self._methods = dict(methods)
        if "GET" in methods:
            self._methods["HEAD"] = methods["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._methods.get(scope["method"])
        if endpoint is not None:
            await endpoint(scope, receive, send)
            return
        refusal = Refusal("method_not_allowed", "This path answers other methods; see /openapi.yaml.")
        response = problem(refusal, scope["request_id"])
        # RFC 9110, section 15.5.6
        response.headers["Allow"] = ", ".join(sorted(self._methods))
        await response(scope, receive, send)


class _Endpoint:
    """One route as an ASGI application, which no error leaves."""

    def __init__(self, server: Server, route: Route) -> None:
        self._server = server
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        server, route = self._server, self._route
        request_id: str = request.scope["request_id"]
        try:
            response = await route.handler(await _call(server, route, request))
            if route.method != "GET":
                server.world.failpoint("reply.before_send")
        except Refusal as refusal:
            response = problem(refusal, request_id)
        except Exception:  # noqa: BLE001 - it is logged, and told as our mistake
            _LOG.exception("%s %s failed (%s)", route.method, route.path, request_id)
            response = problem(
                Refusal("internal", f"Tell us about {request_id}; nothing is known to be lost."), request_id
            )
        server.metrics.requests.labels(route.path, response.status_code).inc()
        return response


async def _call(server: Server, route: Route, request: Request) -> Call:
    caller = _NOBODY
    if route.scopes is not None:
        caller = await server.authenticator.caller(request.headers)
        _check_scopes(caller, route.scopes)
    query = None if route.query is None else read_query(request, route.query)
    key = idempotency_key(request) if route.keyed else None
    body: Any = None
    if isinstance(route.body, type):
        body = await read_body(request, route.body)
    elif route.body is not None:
        body = await read_yaml(request)
    return Call(server, request, caller, body, query, key)


def _check_scopes(caller: Caller, scopes: tuple[str, ...]) -> None:
    if not caller.has(*scopes):
        raise Refusal("forbidden", f"This key has none of the scopes: {', '.join(scopes)}.")


def _watch(server: Server) -> Any:
    async def endpoint(websocket: WebSocket) -> None:
        try:
            caller = await server.authenticator.caller(websocket.headers)
            _check_scopes(caller, _SEES)
        except Refusal as refusal:
            await websocket.send_denial_response(problem(refusal, websocket.scope["request_id"]))
            return
        asked = websocket.scope.get("subprotocols", [])
        await websocket.accept(WATCH_SUBPROTOCOL if WATCH_SUBPROTOCOL in asked else None)
        with server.metrics.sockets.track_inprogress():
            await WatchSocket(server, caller, websocket).run()

    return endpoint


async def _no_socket(websocket: WebSocket) -> None:
    refusal = Refusal("not_found", "No websocket is at this path; see /openapi.yaml.")
    await websocket.send_denial_response(problem(refusal, websocket.scope["request_id"]))


class _Elsewhere:
    """What answers where nothing is: a page to a browser, a problem to everybody else."""

    def __init__(self, page: ASGIApp) -> None:
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wants = Headers(scope=scope).get("accept", "")
        if scope["method"] == "GET" and "text/html" in wants and not scope["path"].startswith("/v1/"):
            await self._page(scope, receive, send)
            return
        refusal = Refusal("not_found", "Nothing answers at this path; see /openapi.yaml.")
        await send_problem(refusal, scope["request_id"], scope, receive, send)


_NOBODY: Final = Caller("", "", "", "system", None, frozenset(), "")
