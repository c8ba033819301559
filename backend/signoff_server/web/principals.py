"""The handlers of principals and keys."""

from starlette.responses import Response

from signoff.protocol import models
from signoff_server.web import render
from signoff_server.web.call import Call, answer, cursor


async def create_principal(call: Call) -> Response:
    body: models.CreatePrincipal = call.body
    view = await call.server.principals.create(
        call.caller.project, call.caller.actor, name=body.name, kind=body.kind, role=body.role, owner=body.owner
    )
    return answer(render.principal(view), 201)


async def list_principals(call: Call) -> Response:
    query: models.Paging = call.query
    views, following = await call.server.principals.list_principals(
        call.caller.project, query.limit, cursor(query.cursor)
    )
    data = [render.principal(view) for view in views]
    return answer(models.PrincipalList(data=data, next_cursor=None if following is None else str(following)))


async def issue_key(call: Call) -> Response:
    body: models.IssueKey = call.body
    issued = await call.server.principals.issue(
        call.caller.project,
        call.caller.actor,
        principal=body.principal,
        scopes=tuple(body.scopes),
        expires_in=body.expires_in,
    )
    return answer(render.issued_key(issued.view, issued.text), 201)


async def list_keys(call: Call) -> Response:
    query: models.Paging = call.query
    views, following = await call.server.principals.list_keys(call.caller.project, query.limit, cursor(query.cursor))
    data = [render.key(view) for view in views]
    return answer(models.KeyList(data=data, next_cursor=None if following is None else str(following)))


async def revoke_key(call: Call) -> Response:
    await call.server.principals.revoke(call.caller, call.path("id"))
    return Response(status_code=204)
