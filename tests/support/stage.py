"""A real server for browsers, as a process: what `signoff dev` serves, and a side door by which tests make projects.

Run as `python -c "from tests.support.stage import main; main()"` with the options of `signoff dev`. It prints the same
line of JSON. The side door is at `/-stage/…`, answers POST alone, and is nowhere but here.
"""

import argparse
import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from signoff_server import serving
from signoff_server.app import build, open_server
from signoff_server.core.principals import Caller
from signoff_server.service.wanted import Wanted
from signoff_server.settings import Settings
from signoff_server.web.server import Server
from signoff_server.world import World
from tests.support.project import hire

DOOR: Final = "/-stage/"
CODE: Final = "from tests.support.stage import main; main()"
_AT_ONCE: Final = 500


def main() -> None:
    asked = _arguments()
    listener = serving.listen("127.0.0.1", asked.port)
    settings = Settings(
        database=asked.database, environment="test", port=asked.port, pending_cap=0, creations_per_second=0
    )
    logging.basicConfig(level=logging.WARNING)
    server = open_server(settings, World())
    line = {"url": server.url, "project": "", "app_key": "", "reviewer_key": "", "worker_key": ""}
    line |= {"sign_in_url": "", "database": asked.database, "pid": str(os.getpid())}
    app = SideDoor(build(server), server)
    serving.run(serving.serve(app, server, listener, lambda: print(json.dumps(line), flush=True)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", default="signoff.db")
    for flag in ("--json", "--no-worker"):
        parser.add_argument(flag, action="store_true")
    return parser.parse_args()


class SideDoor:
    """The application, and in front of it what tests need and no client may."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._server = server
        self._doors: dict[str, Callable[..., Awaitable[Any]]] = {
            "project": self._project,
            "link": self._link,
            "pending": self._pending,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(DOOR):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        assert request.method == "POST"
        found = await self._doors[scope["path"].removeprefix(DOOR)](**await request.json())
        await JSONResponse(found)(scope, receive, send)

    async def _project(self, name: str) -> Any:
        """A new project with the cast of `tests.support.project`."""
        project, ids, keys = await hire(self._server, name)
        return {"project": project, "ids": ids, "keys": keys}

    async def _link(self, project: str, principal: str) -> Any:
        """A link that signs this principal in once."""
        return {"token": (await self._server.accounts.sign_in_link(project, principal)).token}

    async def _pending(self, project: str, principal: str, name: str, count: int, decider: str | None = None) -> Any:
        """So many approvals, as by the service and without HTTP; approved by this person, where there is one."""
        approvals = self._server.approvals
        app = Caller(project, principal, "app", "service", None, frozenset({"approvals:create"}), "key_stage")
        person = Caller(project, decider or "", "bob", "human", None, frozenset({"approvals:decide"}), "key_stage")

        async def one(number: int) -> None:
            wanted = Wanted(f"{name}-{number}", {"number": number}, None, None, 86_400 + number, (), {}, None, None)
            asked = (await approvals.request(app, wanted, None)).view.state.id
            if decider is not None:
                await approvals.decide(person, asked, "approved", reason=None, seen=None, key=None)

        for start in range(0, count, _AT_ONCE):
            await asyncio.gather(*(one(number) for number in range(start, min(count, start + _AT_ONCE))))
        return {"made": count}


ROOT: Final = Path(__file__).parents[2]
ENVIRONMENT: Final = {"PYTHONPATH": str(ROOT)}
