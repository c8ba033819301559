"""Stand-in, to be replaced whole."""

from starlette.requests import Request

from signoff_server.settings import Settings


def network_of(request: Request, settings: Settings) -> str:
    return request.client.host if request.client else ""
