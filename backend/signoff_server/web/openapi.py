"""`openapi.yaml` from the table of routes and the models: `python -m signoff_server.web.openapi` prints it."""

import re
import sys
from collections import defaultdict
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from signoff.protocol import models
from signoff_server.core.refusals import CODES
from signoff_server.web.route import Route
from signoff_server.web.routes import ROUTES

_REF: Final = "#/components/schemas/{model}"
_SOCKET: Final = (models.Watch, models.Watching, models.Resolved, models.WatchError)


def document() -> str:
    """The OpenAPI 3.1 document, as YAML."""
    return yaml.safe_dump(build(), sort_keys=False, allow_unicode=True, width=120)


def build() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in ROUTES:
        paths[route.path][route.method.lower()] = _operation(route)
    paths["/v1/approvals/watch"] = {"get": _watch()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "signoff",
            "version": "1",
            "description": "A human decision before a risky action. Errors are RFC 9457 problems: switch on `code`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "an API key, `sgo_…`"}},
            "schemas": _schemas(ROUTES),
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary}
    if route.scopes is not None:
        needs = "Needs a key with one of: " + ", ".join(f"`{scope}`" for scope in route.scopes)
        operation["description"] = f"{needs}. {route.about}" if route.about else needs
        operation["security"] = [{"key": []}]
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _body(route.body)
    operation["responses"] = {
        **{str(status): _reply(route, status) for status in sorted(route.replies)},
        **_problems(route.codes),
    }
    return operation


def _body(body: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(body, str):
        return {"required": True, "content": {body: {"schema": {"type": "object"}}}}
    schema = {"$ref": _REF.format(model=body.__name__)}
    required = any(member.is_required() for member in body.model_fields.values())
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _parameters(route: Route) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query is not None:
        for name, schema in route.query.model_json_schema()["properties"].items():
            parameters.append({"name": name, "in": "query", "schema": _not_null(schema)})
    if route.keyed:
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}
        parameters.append({"name": "Idempotency-Key", "in": "header", "schema": schema})
    if route.resumed:
        schema = {"type": "integer", "minimum": 0, "maximum": models.MAX_SEQ}
        parameters.append({"name": "Last-Event-ID", "in": "header", "schema": schema})
    return parameters


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: a parameter stands there or does not."""
    kept = {key: value for key, value in schema.items() if key not in ("title", "anyOf", "default")}
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            kept.update(choice)
    if schema.get("default") is not None:
        kept["default"] = schema["default"]
    return kept


def _reply(route: Route, status: int) -> dict[str, Any]:
    model = route.replies[status]
    reply: dict[str, Any] = {"description": {200: "Done", 201: "Made", 204: "Done, and nothing to say"}[status]}
    if route.keyed and route.method == "POST" and len(route.replies) > 1 and status == 200:
        reply["description"] = "There was one under this Idempotency-Key"
        reply["headers"] = {"Idempotent-Replayed": {"schema": {"type": "string", "const": "true"}}}
    if isinstance(model, str):
        # The schema is of what the text holds.
        reply["content"] = {model: {"schema": {"type": "string" if model.startswith("text/") else "object"}}}
    elif model is not None:
        reply["content"] = {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
    return reply


def _problems(codes: frozenset[str]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in CODES:
        if code in codes:
            by_status[CODES[code].status].append(code)
    return {str(status): _problem(by_status[status]) for status in sorted(by_status)}


def _problem(codes: list[str]) -> dict[str, Any]:
    schema = {"allOf": [{"$ref": _REF.format(model="Problem")}, {"properties": {"code": {"enum": codes}}}]}
    told = "; ".join(f"`{code}`: {CODES[code].title}" for code in codes)
    return {"description": told, "content": {"application/problem+json": {"schema": schema}}}


def _watch() -> dict[str, Any]:
    said = ", ".join(f"`{model.__name__}`" for model in _SOCKET)
    return {
        "operationId": "watch_approvals",
        "summary": "Wait for many approvals on one websocket",
        "description": f"A websocket with the subprotocol `{models.WATCH_SUBPROTOCOL}`. Its messages: {said}. "
        "Close codes: 4401 the key was revoked or has expired, 4429 too many watches, 1012 the server is restarting.",
        "security": [{"key": []}],
        "responses": {
            "101": {"description": "Switching to websocket"},
            **_problems(frozenset({"malformed_request", "unauthenticated", "forbidden", "host_not_allowed"})),
        },
    }


def _schemas(routes: tuple[Route, ...]) -> dict[str, Any]:
    requests = [route.body for route in routes if isinstance(route.body, type)]
    replies: list[type[BaseModel]] = [
        model for route in routes for model in route.replies.values() if isinstance(model, type)
    ]
    wanted: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in dict.fromkeys(requests)]
    answers: list[type[BaseModel]] = [*replies, models.Problem, *_SOCKET[1:]]
    wanted += [(model, "serialization") for model in dict.fromkeys(answers)]
    wanted.append((models.Watch, "validation"))
    _, definitions = models_json_schema(wanted, ref_template=_REF)
    schemas: dict[str, Any] = definitions["$defs"]
    told = "\n".join(f"- `{code}` ({found.status}): {found.title}" for code, found in CODES.items())
    schemas["ProblemCode"] = {"type": "string", "enum": list(CODES), "description": told}
    schemas["Problem"]["properties"]["code"] = {"$ref": _REF.format(model="ProblemCode")}
    return dict(sorted(schemas.items()))


if __name__ == "__main__":
    sys.stdout.write(document())
