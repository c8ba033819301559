"""The endpoints of workflows, executions and the policy, once for both clients.

Rules of the room: those of `calls`; and a reply is about the very workflow, run, node and decision that the request
named, or it is not believed. Whatever changes something carries an idempotency key, or may be sent twice by its nature.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel

from signoff.asking import check_idempotency_key, checked, fresh_key
from signoff.calls import Call, check_id, given, json_body, json_headers, page, reader
from signoff.errors import InvalidRequest
from signoff.normalise import normalise
from signoff.problems import About
from signoff.protocol import workflows as w
from signoff.transport import Outgoing

Source: TypeAlias = str | bytes | Path
M = TypeVar("M", bound=BaseModel)
MAX_SOURCE: Final = 256 * 1024
_YAML: Final = {"Content-Type": w.YAML}
_FILE_NAME: Final = re.compile(r"[^\s:]*\.ya?ml")
_ANOTHER_RUN: Final = "another run than was asked for"


# ---------------------------------------------------------------- workflows


def register(source: Source, on_conflict: Any) -> Call[w.RegisteredWorkflows]:
    options = checked(lambda: w.RegisterWorkflows(on_conflict=on_conflict))
    params = () if options.on_conflict == "refuse" else (("on_conflict", options.on_conflict),)
    request = Outgoing("POST", "/v1/workflows", params=params, body=read_source(source), headers=_YAML)
    # The same bytes are registered once, however often they are sent.
    return Call(request, reader(w.RegisteredWorkflows, _has_some, "nothing was registered"), statuses=(200, 201))


def validate(source: Source) -> Call[w.RegisteredWorkflows]:
    request = Outgoing("POST", "/v1/workflows/validate", body=read_source(source), headers=_YAML)
    return Call(request, reader(w.RegisteredWorkflows, _has_some, "nothing was read"))


def get_workflow(workflow_id: str, version: str | None) -> Call[w.Workflow]:
    fields = given(version=version)
    checked(lambda: w.GetWorkflow(**fields))
    path = f"/v1/workflows/{_fitting(workflow_id, w.WORKFLOW_ID_PATTERN, '/workflow_id')}"

    def fits(reply: w.Workflow) -> bool:
        return reply.workflow_id == workflow_id and version in (None, reply.version)

    return Call(Outgoing("GET", path, params=tuple(fields.items())), reader(w.Workflow, fits, "another workflow"))


def list_workflows(filters: Mapping[str, Any], cursor: str | None) -> Call[w.WorkflowList]:
    return page("/v1/workflows", {**filters, "cursor": cursor}, w.WorkflowList, w.ListWorkflows)


# ---------------------------------------------------------------- executions


def start(
    workflow_id: str, data: Any, *, version: str | None, idempotency_key: str | None, traceparent: str | None
) -> Call[w.Execution]:
    fields = normalise(input=data) | given(workflow_id=workflow_id, version=version, traceparent=traceparent)
    body = checked(lambda: w.StartExecution(**fields))
    request = Outgoing("POST", "/v1/executions", body=json_body(body), headers=json_headers(_key(idempotency_key)))

    def fits(reply: w.Execution) -> bool:
        return reply.workflow_id == workflow_id and version in (None, reply.version)

    return Call(request, reader(w.Execution, fits, "a run of another workflow"), statuses=(200, 201))


def get_execution(execution_id: str, wait: int = 0, seen: int | None = None) -> Call[w.Execution]:
    """With `wait` the server holds it while the run is `running`; with `seen` until it has more events than that."""
    params = tuple((name, str(value)) for name, value in given(wait=wait or None, seen=seen).items())
    request = Outgoing("GET", _path(execution_id), params=params, hold=wait)
    return Call(request, reader(w.Execution, _the_run(execution_id), _ANOTHER_RUN), about=_about(execution_id))


def list_executions(filters: Mapping[str, Any], cursor: str | None) -> Call[w.ExecutionList]:
    return page("/v1/executions", {**filters, "cursor": cursor}, w.ExecutionList, w.ListExecutions)


def execution_events(execution_id: str, after: int) -> Call[w.RunEvents]:
    request = Outgoing("GET", _path(execution_id, "events"), params=(("after", str(after)),))
    return Call(request, reader(w.RunEvents), about=_about(execution_id))


def execution_approvals(execution_id: str) -> Call[w.ExecutionApprovals]:
    request = Outgoing("GET", _path(execution_id, "approvals"))
    return Call(request, reader(w.ExecutionApprovals), about=_about(execution_id))


def node(execution_id: str, node_id: str) -> Call[w.NodeDetail]:
    request = Outgoing("GET", _path(execution_id, "nodes", _node(node_id)))
    accept = reader(w.NodeDetail, lambda reply: reply.node_id == node_id, "another node than was asked for")
    return Call(request, accept, about=_about(execution_id))


def approve(execution_id: str, **fields: Any) -> Call[w.ExecutionDecided]:
    named = given(**fields)
    body = checked(lambda: w.ApproveExecution(**named))
    wanted = {name: value for name, value in named.items() if name != "comment"} | {"execution_id": execution_id}

    def fits(reply: w.ExecutionDecided) -> bool:
        return all(getattr(reply, name) == value for name, value in wanted.items())

    request = _posting(execution_id, ("approve",), body, fresh_key())
    about = About(named.get("approval_id"), execution_id=execution_id)
    return Call(request, reader(w.ExecutionDecided, fits, "another decision than was made"), about=about)


def cancel(execution_id: str, reason: str | None) -> Call[w.Execution]:
    body = checked(lambda: w.CancelExecution(**given(reason=reason)))
    return _change(execution_id, ("cancel",), body, fresh_key())


def signal(execution_id: str, name: str, payload: Any, idempotency_key: str | None) -> Call[w.Execution]:
    fields = normalise(payload=payload) | given(name=name)
    return _change(execution_id, ("signal",), checked(lambda: w.SignalExecution(**fields)), _key(idempotency_key))


def resolve(execution_id: str, node_id: str, outcome: Any, reason: str, output: Any) -> Call[w.Execution]:
    fields = normalise(output=output) | given(outcome=outcome, reason=reason)
    body = checked(lambda: w.ResolveNode(**fields))
    return _change(execution_id, ("nodes", _node(node_id), "resolve"), body, fresh_key())


# ---------------------------------------------------------------- the policy


def get_policy() -> Call[w.PolicyDocument]:
    return Call(Outgoing("GET", "/v1/policy"), reader(w.PolicyDocument))


def set_policy(source: Source) -> Call[w.PolicyDocument]:
    return Call(Outgoing("PUT", "/v1/policy", body=read_source(source), headers=_YAML), reader(w.PolicyDocument))


def judge(name: str, workflow: Source | None, node_id: str | None) -> Call[w.PolicyVerdict]:
    text = None if workflow is None else _text(read_source(workflow))
    body = checked(lambda: w.JudgeName(**given(name=name, workflow=text, node_id=node_id)))
    request = Outgoing("POST", "/v1/policy/judge", body=json_body(body), headers=json_headers(None))
    return Call(request, reader(w.PolicyVerdict))


# ---------------------------------------------------------------- what they are made of


def read_source(source: Source) -> bytes:
    """The bytes of a file, or of a text that is YAML itself. Raises `InvalidRequest`, and `OSError` for a file."""
    if isinstance(source, Path):
        with source.open("rb") as stream:
            found = stream.read(MAX_SOURCE + 1)
    else:
        found = _bytes(source)
    if len(found) > MAX_SOURCE:
        raise _refusal(f"a file of {MAX_SOURCE // 1024} KiB at most is wanted")
    return found


def _bytes(source: str | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    if not isinstance(source, str):
        raise _refusal(f"YAML as text or bytes, or a pathlib.Path is wanted, not {type(source).__name__}")
    if _FILE_NAME.fullmatch(source):
        raise _refusal("a text is taken for the YAML itself; give the name of a file as a pathlib.Path")
    try:
        return source.encode()
    except UnicodeEncodeError:
        raise _refusal("a text without lone surrogates is wanted") from None


def _text(source: bytes) -> str:
    try:
        return source.decode()
    except UnicodeDecodeError:
        raise _refusal("a file in UTF-8 is wanted") from None


def _refusal(why: str) -> InvalidRequest:
    return InvalidRequest("This source cannot be sent", errors=[("/source", why)])


def _key(idempotency_key: str | None) -> str:
    if idempotency_key is None:
        return fresh_key()
    check_idempotency_key(idempotency_key)
    return idempotency_key


def _path(execution_id: str, *rest: str) -> str:
    return "/".join(("/v1/executions", check_id(execution_id, "exe"), *rest))


def _node(node_id: str) -> str:
    return _fitting(node_id, w.NODE_ID_PATTERN, "/node_id")


def _fitting(text: str, pattern: str, pointer: str) -> str:
    if not isinstance(text, str) or not re.fullmatch(pattern, text):
        raise InvalidRequest("This cannot be asked", errors=[(pointer, f"a text like {pattern} is wanted")])
    return text


def _posting(execution_id: str, verb: tuple[str, ...], body: BaseModel, key: str) -> Outgoing:
    return Outgoing("POST", _path(execution_id, *verb), body=json_body(body), headers=json_headers(key))


def _change(execution_id: str, verb: tuple[str, ...], body: BaseModel, key: str) -> Call[w.Execution]:
    request = _posting(execution_id, verb, body, key)
    return Call(request, reader(w.Execution, _the_run(execution_id), _ANOTHER_RUN), about=_about(execution_id))


def _about(execution_id: str) -> About:
    return About(execution_id=execution_id)


def _the_run(execution_id: str) -> Callable[[w.Execution], bool]:
    return lambda reply: reply.id == execution_id


def _has_some(reply: w.RegisteredWorkflows) -> bool:
    return bool(reply.workflows)
