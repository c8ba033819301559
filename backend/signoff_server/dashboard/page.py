"""A page: what answers where, and for whom."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from signoff_server.dashboard.visit import Visit

Handler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """`scopes`: whoever visits needs one of them; None is for everybody, signed in or not."""

    method: str
    path: str
    handler: Handler
    scopes: tuple[str, ...] | None = None
