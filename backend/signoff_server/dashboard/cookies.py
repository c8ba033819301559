"""The cookie that holds the secret of a session.

`__Host-` and Secure where people reach the server by TLS; without it, on a machine of one's own, a name that holds the
port: cookies know no ports, and two servers on one machine would sign each other's people out.
"""

from starlette.requests import Request
from starlette.responses import Response

from signoff_server.web.server import Server


def read(request: Request, server: Server) -> str:
    """The secret, "" without one."""
    found = request.cookies.get(_name(server), "")
    return found if found.isascii() and len(found) <= 100 else ""


def put(response: Response, server: Server, token: str) -> None:
    response.set_cookie(_name(server), token, path="/", secure=_by_tls(server), httponly=True, samesite="strict")


def drop(response: Response, server: Server) -> None:
    response.delete_cookie(_name(server), path="/", secure=_by_tls(server), httponly=True, samesite="strict")


def _by_tls(server: Server) -> bool:
    return server.url.startswith("https://")


def _name(server: Server) -> str:
    return "__Host-signoff" if _by_tls(server) else f"signoff-{server.settings.port}"
