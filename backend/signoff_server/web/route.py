"""A route: what answers where, to whom, with which models and refusals."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel
from starlette.responses import Response

from signoff_server.web.call import Call

Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """`scopes`: a key needs one of them; None is public. `keyed`: an `Idempotency-Key` counts. `resumed`: a
    `Last-Event-ID` does. `body` is a model of JSON, or the media type of what is taken as it comes. `about` is what the
    summary leaves to be said.

    `refuses` lists what this route itself may refuse; what follows from having a body, a key or a query is added.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    replies: Mapping[int, type[BaseModel] | str | None]
    scopes: tuple[str, ...] | None = None
    body: type[BaseModel] | str | None = None
    query: type[BaseModel] | None = None
    keyed: bool = False
    resumed: bool = False
    about: str = ""
    of: str = ""
    refuses: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """The handler's, with the thing that it is about where that does not say it."""
        said = self.handler.__name__
        return said if "_" in said or self.of == "" else f"{said}_{self.of}"

    @property
    def codes(self) -> frozenset[str]:
        """Every code that an answer of this route can carry."""
        codes = {*_AT_THE_DOOR, "internal", *self.refuses}
        if self.scopes is not None:
            codes |= {"unauthenticated", "forbidden", "unavailable"}
        if self.body is not None:
            codes.add("media_type")
        if isinstance(self.body, type):
            codes |= {"malformed_json", "invalid"}
        if self.query is not None or self.keyed:
            codes.add("invalid_parameter")
        if self.method != "GET":
            codes.add("storage_full")
        return frozenset(codes)


_AT_THE_DOOR: Final = ("malformed_request", "host_not_allowed", "request_timeout", "too_large", "headers_too_large")
