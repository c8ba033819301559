"""Workflows, runs and the policy, by both clients: what is sent, what is believed, and what is raised."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
import respx
from pydantic import BaseModel

from signoff import errors
from tests.sdk import replies
from tests.sdk import workflow_replies as say
from tests.sdk.colours import Colour

WORKFLOWS = "/v1/workflows"
RUNS = "/v1/executions"
RUN = f"{RUNS}/{say.ID}"
POLICY = "/v1/policy"
EVENT = {
    "seq": 1,
    "id": "evt_1",
    "type": "execution.started",
    "subject": say.ID,
    "version": 1,
    "at": replies.THEN,
    "actor": {"id": None, "kind": "system", "via": "system"},
    "facts": {},
    "data": None,
}


@pytest.fixture
def api() -> Iterator[respx.Router]:
    with respx.mock(base_url="http://127.0.0.1:9", assert_all_called=False) as router:
        yield router


class Use(NamedTuple):
    """One method as it is called, what it sends to, and replies that are of its form and not its answer."""

    group: str
    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    verb: str
    path: str
    good: dict[str, Any]
    others: tuple[dict[str, Any], ...] = ()
    keyed: bool = False
    created: bool = False


OTHER_RUN = (say.execution(id=say.OTHER_ID),)
NO_WORKFLOWS: dict[str, Any] = {"workflows": []}
USES: dict[str, Use] = {
    "register": Use(
        "workflows",
        "register",
        (say.YAML,),
        {},
        "POST",
        WORKFLOWS,
        say.registered(),
        (NO_WORKFLOWS,),
        created=True,
    ),
    "validate": Use(
        "workflows", "validate", (say.YAML,), {}, "POST", f"{WORKFLOWS}/validate", say.registered(), (NO_WORKFLOWS,)
    ),
    "workflow": Use(
        "workflows",
        "get",
        (say.WORKFLOW, "0.1.0"),
        {},
        "GET",
        f"{WORKFLOWS}/{say.WORKFLOW}",
        say.workflow(),
        (say.workflow(workflow_id="other"), say.workflow(version="0.1.1")),
    ),
    "start": Use(
        "executions",
        "start",
        (say.WORKFLOW, {"a": 1}),
        {"version": "0.1.0"},
        "POST",
        RUNS,
        say.execution(),
        (say.execution(workflow_id="other"), say.execution(version="0.1.1")),
        keyed=True,
        created=True,
    ),
    "get": Use("executions", "get", (say.ID,), {}, "GET", RUN, say.execution(), OTHER_RUN),
    "approvals": Use(
        "executions", "approvals", (say.ID,), {}, "GET", f"{RUN}/approvals", {"pending": [say.asked()], "decided": []}
    ),
    "node": Use(
        "executions",
        "node",
        (say.ID, say.NODE),
        {},
        "GET",
        f"{RUN}/nodes/{say.NODE}",
        {**say.node(), "input": {"a": 1}, "output": None},
        (say.node(node_id="other"),),
    ),
    "approve": Use(
        "executions",
        "approve",
        (say.ID, "approved"),
        {"node_id": say.NODE, "approval_id": say.APPROVAL_ID, "comment": "checked"},
        "POST",
        f"{RUN}/approve",
        say.decided(),
        (
            say.decided(execution_id=say.OTHER_ID),
            say.decided(node_id="other"),
            say.decided(approval_id=replies.OTHER_ID),
            say.decided(decision="rejected"),
        ),
        keyed=True,
    ),
    "cancel": Use(
        "executions",
        "cancel",
        (say.ID,),
        {"reason": "oops"},
        "POST",
        f"{RUN}/cancel",
        say.execution("cancelled"),
        OTHER_RUN,
        keyed=True,
    ),
    "signal": Use(
        "executions",
        "signal",
        (say.ID, "signed", {"by": "ada"}),
        {},
        "POST",
        f"{RUN}/signal",
        say.execution(),
        OTHER_RUN,
        keyed=True,
    ),
    "resolve": Use(
        "executions",
        "resolve",
        (say.ID, say.NODE, "succeeded"),
        {"reason": "the bank says so", "output": {"id": "1"}},
        "POST",
        f"{RUN}/nodes/{say.NODE}/resolve",
        say.execution(),
        OTHER_RUN,
        keyed=True,
    ),
    "policy": Use("policy", "get", (), {}, "GET", POLICY, say.policy()),
    "set policy": Use("policy", "set", ("blocked_tools: ['*.delete']",), {}, "PUT", POLICY, say.policy()),
    "judge": Use("policy", "judge", ("a.delete",), {}, "POST", f"{POLICY}/judge", say.verdict()),
}
SENT: dict[str, Any] = {
    "start": {"workflow_id": say.WORKFLOW, "version": "0.1.0", "input": {"a": 1}},
    "approve": {
        "decision": "approved",
        "node_id": say.NODE,
        "approval_id": say.APPROVAL_ID,
        "comment": "checked",
    },
    "cancel": {"reason": "oops"},
    "signal": {"name": "signed", "payload": {"by": "ada"}},
    "resolve": {"outcome": "succeeded", "reason": "the bank says so", "output": {"id": "1"}},
    "judge": {"name": "a.delete"},
}


def use(colour: Colour, name: str) -> Any:
    called = USES[name]
    return colour.call(called.group, called.method, *called.arguments, **called.options)


def route(api: respx.Router, name: str) -> respx.Route:
    return api.route(method=USES[name].verb, path=USES[name].path)


@pytest.mark.parametrize("name", USES)
def test_a_good_answer_returns(name: str, colour: Colour, api: respx.Router) -> None:
    statuses = (200, 201) if USES[name].created else (200,)
    route(api, name).mock(side_effect=[replies.ok(USES[name].good, status) for status in statuses])
    for _ in statuses:
        found = use(colour, name)
        assert found.model_dump(mode="json") == USES[name].good


@pytest.mark.parametrize("name", USES)
def test_every_call_is_repeated_with_one_key(name: str, colour: Colour, api: respx.Router) -> None:
    answers = [httpx.ReadTimeout("lost"), replies.problem(503, "unavailable"), replies.ok(USES[name].good)]
    sent = route(api, name).mock(side_effect=answers)
    use(colour, name)
    requests = [call.request for call in sent.calls]
    keys = {request.headers.get("idempotency-key") for request in requests}
    assert len(requests) == 3
    assert len(keys) == 1
    assert (None not in keys) is USES[name].keyed
    assert len({request.content for request in requests}) == 1


@pytest.mark.parametrize("name", SENT)
def test_what_is_sent(name: str, colour: Colour, api: respx.Router) -> None:
    sent = route(api, name).mock(return_value=replies.ok(USES[name].good))
    use(colour, name)
    assert json.loads(sent.calls[0].request.content) == SENT[name]
    assert sent.calls[0].request.headers["content-type"] == "application/json"


def test_what_was_left_out_is_not_sent(colour: Colour, api: respx.Router) -> None:
    start = api.post(RUNS).mock(return_value=replies.ok(say.execution(), 201))
    approve = api.post(f"{RUN}/approve").mock(return_value=replies.ok(say.decided()))
    cancel = api.post(f"{RUN}/cancel").mock(return_value=replies.ok(say.execution("cancelled")))
    colour.call("executions", "start", say.WORKFLOW)
    colour.call("executions", "approve", say.ID, "approved")
    colour.call("executions", "cancel", say.ID)
    bodies = [json.loads(each.calls[0].request.content) for each in (start, approve, cancel)]
    assert bodies == [{"workflow_id": say.WORKFLOW}, {"decision": "approved"}, {}]


def raw(body: bytes, status: int = 200, kind: str = "application/json") -> httpx.Response:
    return httpx.Response(status, content=body, headers={"content-type": kind})


def hostile(good: dict[str, Any]) -> Iterator[httpx.Response]:
    """A right answer made wrong on the way."""
    body = json.dumps(good).encode()
    yield from (raw(body, status) for status in (202, 203, 204, 206, 302, 307))
    yield from (raw(body, 200, kind) for kind in ("", "text/html", "application/problem+json", "application/yaml"))
    yield from (raw(each) for each in (b"", b"null", b"{}", b"[]", body[:-2], b"[" + body + b"]", body + b"x"))
    yield raw(b'{"status": "completed", "status": "completed", ' + body[1:])
    yield raw(json.dumps({"data": good}).encode().replace(b'"data"', b'"approval"'))
    for member in good:
        yield raw(json.dumps({name: value for name, value in good.items() if name != member}).encode())
        yield raw(json.dumps({**good, member: {"x": 1} if isinstance(good[member], str) else "x"}).encode())


@pytest.mark.parametrize("name", USES)
def test_what_is_not_the_answer_is_not_believed(name: str, colour: Colour, api: respx.Router) -> None:
    # Members that may be anything, or that may be missing.
    free = {"input", "output", "failure"}
    good = {member: value for member, value in USES[name].good.items() if name != "node" or member not in free}
    wrong = [*hostile(good), *(replies.ok(other) for other in USES[name].others)]
    wrong = [each for each in wrong if not _is_right(each, good)]
    if not USES[name].created:
        wrong.append(raw(json.dumps(good).encode(), 201))
    assert len(wrong) > 15
    answer = route(api, name)
    for reply in wrong:
        answer.mock(return_value=reply)
        with pytest.raises(errors.ServerError, match="cannot be trusted"):
            use(colour, name)


def _is_right(reply: httpx.Response, good: dict[str, Any]) -> bool:
    """Where text may stand in the place of null, or a member has no fixed value, nothing was made wrong."""
    if reply.status_code != 200 or reply.headers["content-type"] != "application/json":
        return False
    try:
        said = json.loads(reply.content)
    except ValueError:
        return False
    if not isinstance(said, dict) or set(said) != set(good):
        return False
    return all(said[name] == good[name] or (good[name] is None and said[name] == "x") for name in good)


@pytest.mark.parametrize("made", ["text", "bytes", "path"])
@pytest.mark.parametrize("method", ["register", "validate"])
def test_a_file_is_sent_as_it_is(method: str, made: str, colour: Colour, api: respx.Router, tmp_path: Path) -> None:
    text = "# naïve\r\n" + say.YAML
    file = tmp_path / "workflow.yaml"
    file.write_bytes(text.encode())
    sent = route(api, method).mock(return_value=replies.ok(say.registered()))
    source = {"text": text, "bytes": text.encode(), "path": file}[made]
    assert colour.call("workflows", method, source).workflows[0].workflow_id == say.WORKFLOW
    request = sent.calls[0].request
    assert request.content == text.encode()
    assert request.headers["content-type"] == "application/yaml"
    assert not request.url.params


@pytest.mark.parametrize(
    "source", ["workflow.yaml", "flows/pay.yml", b"x" * (256 * 1024 + 1), "\ud800", None, {"workflow": {}}]
)
def test_what_is_no_file_is_refused_before_anything_is_sent(source: Any, colour: Colour, api: respx.Router) -> None:
    for group, method in (("workflows", "register"), ("workflows", "validate"), ("policy", "set")):
        with pytest.raises(errors.InvalidRequest) as raised:
            colour.call(group, method, source)
        assert [pointer for pointer, _ in raised.value.errors] == ["/source"]
    assert not api.calls


def test_a_file_that_is_too_large_or_not_there(colour: Colour, api: respx.Router, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"#" * (256 * 1024 + 1))
    with pytest.raises(errors.InvalidRequest, match="256 KiB"):
        colour.call("workflows", "register", large)
    with pytest.raises(FileNotFoundError):
        colour.call("workflows", "register", tmp_path / "none")
    assert not api.calls


def test_a_build_is_asked_for(colour: Colour, api: respx.Router) -> None:
    build = say.registered(version="0.1.0+1234abcd")
    sent = api.post(WORKFLOWS).mock(return_value=replies.ok(build, 201))
    found = colour.call("workflows", "register", say.YAML, on_conflict="build")
    assert found.workflows[0].version == "0.1.0+1234abcd"
    assert dict(sent.calls[0].request.url.params) == {"on_conflict": "build"}
    with pytest.raises(errors.InvalidRequest):
        colour.call("workflows", "register", say.YAML, on_conflict="replace")
    assert sent.call_count == 1


def test_faults_are_told_by_their_places(colour: Colour, api: respx.Router) -> None:
    faults = [
        {"pointer": "/nodes/a/next", "message": "line 7, column 11: there is no node `b`"},
        {"pointer": "/nodes/a/typo", "message": "line 8, column 5: an unknown key"},
    ]
    refusal = replies.problem(422, "workflow_invalid", errors=faults)
    api.post(WORKFLOWS).mock(return_value=refusal)
    api.post(f"{WORKFLOWS}/validate").mock(return_value=refusal)
    for method in ("register", "validate"):
        with pytest.raises(errors.WorkflowInvalid) as raised:
            colour.call("workflows", method, say.YAML)
        assert raised.value.errors == tuple((each["pointer"], each["message"]) for each in faults)
        assert "line 8, column 5" in str(raised.value)


def test_another_content_under_a_version(colour: Colour, api: respx.Router) -> None:
    api.post(WORKFLOWS).mock(return_value=replies.problem(409, "version_exists"))
    with pytest.raises(errors.VersionExists) as raised:
        colour.call("workflows", "register", say.YAML)
    assert raised.value.code == "version_exists"


@pytest.mark.parametrize("version", [None, "0.1.0"])
def test_the_version_asked_for(version: str | None, colour: Colour, api: respx.Router) -> None:
    sent = api.get(f"{WORKFLOWS}/{say.WORKFLOW}").mock(return_value=replies.ok(say.workflow()))
    assert colour.call("workflows", "get", say.WORKFLOW, version).source == say.YAML
    assert dict(sent.calls[0].request.url.params) == ({} if version is None else {"version": version})


def test_the_events_of_a_run_are_read_through_all_pages(colour: Colour, api: respx.Router) -> None:
    pages = [{"data": [EVENT], "next_after": 1}, {"data": [{**EVENT, "version": 2}], "next_after": None}]
    sent = api.get(f"{RUN}/events").mock(side_effect=[replies.ok(page) for page in pages])
    assert [each.version for each in colour.all("executions", "events", say.ID)] == [EVENT["version"], 2]
    assert [call.request.url.params["after"] for call in sent.calls] == ["0", "1"]


def test_a_page_of_events_that_leads_back_is_the_last(colour: Colour, api: respx.Router) -> None:
    api.get(f"{RUN}/events").mock(return_value=replies.ok({"data": [EVENT], "next_after": 0}))
    assert len(colour.all("executions", "events", say.ID)) == 1


@pytest.mark.parametrize(
    ("group", "path", "member", "filters"),
    [
        ("workflows", WORKFLOWS, say.summary, {"workflow_id": say.WORKFLOW, "limit": 1}),
        ("executions", RUNS, say.run, {"status": "parked", "workflow_id": say.WORKFLOW, "limit": 1}),
    ],
)
def test_lists_go_through_all_pages(
    group: str, path: str, member: Any, filters: dict[str, Any], colour: Colour, api: respx.Router
) -> None:
    pages = [
        {"data": [member(version=version)], "next_cursor": cursor} for version, cursor in (("2", "7"), ("1", None))
    ]
    sent = api.get(path).mock(side_effect=[replies.ok(page) for page in pages])
    assert [each.version for each in colour.all(group, "list", **filters)] == ["2", "1"]
    asked = [dict(call.request.url.params) for call in sent.calls]
    first = {name: str(value) for name, value in filters.items()}
    assert asked == [first, {**first, "cursor": "7"}]


class Money(BaseModel):
    amount: Decimal


@dataclass
class Payment:
    money: Money
    reference: UUID


def test_an_input_is_made_as_a_context_is(colour: Colour, api: respx.Router) -> None:
    sent = api.post(RUNS).mock(return_value=replies.ok(say.execution(), 201))
    reference = UUID(int=7)
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    payment = Payment(Money(amount=Decimal("50000.00")), reference)
    colour.call("executions", "start", say.WORKFLOW, payment, traceparent=trace, idempotency_key="run:17")
    assert json.loads(sent.calls[0].request.content) == {
        "workflow_id": say.WORKFLOW,
        "input": {"money": {"amount": "50000.00"}, "reference": str(reference)},
        "traceparent": trace,
    }
    assert sent.calls[0].request.headers["idempotency-key"] == "run:17"


def test_a_made_key_is_another_for_each_start(colour: Colour, api: respx.Router) -> None:
    sent = api.post(RUNS).mock(return_value=replies.ok(say.execution(), 201))
    for _ in range(2):
        colour.call("executions", "start", say.WORKFLOW)
    first, second = (call.request.headers["idempotency-key"] for call in sent.calls)
    assert first != second


def test_a_signal_takes_a_key(colour: Colour, api: respx.Router) -> None:
    sent = api.post(f"{RUN}/signal").mock(return_value=replies.ok(say.execution()))
    colour.call("executions", "signal", say.ID, "signed", idempotency_key="signed:17")
    assert sent.calls[0].request.headers["idempotency-key"] == "signed:17"
    assert json.loads(sent.calls[0].request.content) == {"name": "signed"}


@pytest.mark.parametrize(
    ("group", "method", "arguments", "options", "pointer"),
    [
        ("workflows", "get", ("../keys",), {}, "/workflow_id"),
        ("workflows", "get", ("a", "v" * 129), {}, "/version"),
        ("executions", "start", ("Not An Id",), {}, "/workflow_id"),
        ("executions", "start", ("a", {"x": float("nan")}), {}, "/input/x"),
        ("executions", "start", ("a", {"x": {1}}), {}, "/input/x"),
        ("executions", "start", ("a", [1]), {}, "/input"),
        ("executions", "start", ("a",), {"version": ""}, "/version"),
        ("executions", "start", ("a",), {"idempotency_key": "é"}, "/idempotency_key"),
        ("executions", "start", ("a",), {"traceparent": "x"}, "/traceparent"),
        ("executions", "get", ("../keys",), {}, "/id"),
        ("executions", "wait", ("",), {}, "/id"),
        ("executions", "node", (say.ID, "../approve"), {}, "/node_id"),
        ("executions", "approve", (say.ID, "maybe"), {}, "/decision"),
        ("executions", "approve", (say.ID, "approved"), {"node_id": "a/b"}, "/node_id"),
        ("executions", "approve", (say.ID, "approved"), {"comment": ""}, "/comment"),
        ("executions", "cancel", (say.ID,), {"reason": "x" * 2_001}, "/reason"),
        ("executions", "signal", (say.ID, "a b"), {}, "/name"),
        ("executions", "signal", (say.ID, "a", {"x": b""}), {}, "/payload/x"),
        ("executions", "signal", (say.ID, "a"), {"idempotency_key": ""}, "/idempotency_key"),
        ("executions", "resolve", (say.ID, "a\n", "retry"), {"reason": "x"}, "/node_id"),
        ("executions", "resolve", (say.ID, "a", "released"), {"reason": "x"}, "/outcome"),
        ("executions", "resolve", (say.ID, "a", "failed"), {"reason": ""}, "/reason"),
        ("executions", "resolve", (say.ID, "a", "succeeded"), {"reason": "x", "output": "text"}, "/output"),
        ("policy", "judge", ("",), {}, "/name"),
        ("policy", "judge", ("a",), {"node_id": "a.b"}, "/node_id"),
        ("policy", "judge", ("a",), {"workflow": b"\xff"}, "/source"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    group: str,
    method: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    pointer: str,
    colour: Colour,
    api: respx.Router,
) -> None:
    with pytest.raises(errors.InvalidRequest) as raised:
        colour.call(group, method, *arguments, **options)
    assert [place for place, _ in raised.value.errors] == [pointer]
    assert not api.calls


def test_a_filter_that_is_none_is_refused(colour: Colour, api: respx.Router) -> None:
    for filters in ({"status": "lost"}, {"limit": 0}, {"limit": 201}):
        with pytest.raises(errors.InvalidRequest):
            colour.all("executions", "list", **filters)
    assert not api.calls


def test_deciding_needs_a_key_that_was_given_for_it(
    colour: Colour, api: respx.Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNOFF_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SIGNOFF_API_KEY", "sgo_app")
    monkeypatch.setattr(colour, "client", type(colour.client)())
    with pytest.raises(errors.ConfigurationError, match="given for it"):
        colour.call("executions", "approve", say.ID, "approved")
    assert not api.calls


def test_several_pending_nodes_are_named(colour: Colour, api: respx.Router) -> None:
    refusal = replies.problem(400, "ambiguous_node", current={"pending": ["check_a", "check_b"]})
    api.post(f"{RUN}/approve").mock(return_value=refusal)
    with pytest.raises(errors.AmbiguousNode) as raised:
        colour.call("executions", "approve", say.ID, "approved")
    assert raised.value.pending == ("check_a", "check_b")


STANDING = {"id": say.APPROVAL_ID, "status": "approved", "decided_by": replies.ADA, "decided_at": replies.THEN}


@pytest.mark.parametrize(
    ("status", "code", "current", "error"),
    [
        (409, "already_decided", STANDING, errors.AlreadyDecided),
        (409, "not_pending", {"status": "running"}, errors.ApprovalConflict),
        (409, "execution_finished", {"id": say.ID, "status": "failed"}, errors.ExecutionFinished),
        (403, "self_decision", None, errors.PermissionDenied),
        (404, "not_found", None, errors.NotFound),
        (422, "idempotency_key_reuse", None, errors.IdempotencyConflict),
    ],
)
def test_a_decision_that_is_refused(
    status: int, code: str, current: Any, error: type[errors.SignoffError], colour: Colour, api: respx.Router
) -> None:
    sent = api.post(f"{RUN}/approve").mock(return_value=replies.problem(status, code, current=current))
    with pytest.raises(errors.SignoffError) as raised:
        colour.call("executions", "approve", say.ID, "rejected", comment="no")
    assert type(raised.value) is error
    assert sent.call_count == 1
    if isinstance(raised.value, errors.ApprovalConflict | errors.ExecutionFinished):
        assert raised.value.current == current
    if isinstance(raised.value, errors.ExecutionFinished):
        assert raised.value.execution_id == say.ID


@pytest.mark.parametrize("name", ["cancel", "signal", "resolve"])
def test_a_run_that_is_over_takes_no_more(name: str, colour: Colour, api: respx.Router) -> None:
    refusal = replies.problem(409, "execution_finished", current={"status": "completed"})
    route(api, name).mock(return_value=refusal)
    with pytest.raises(errors.ExecutionFinished) as raised:
        use(colour, name)
    assert (raised.value.execution_id, raised.value.current) == (say.ID, {"status": "completed"})


def test_a_name_is_judged_with_a_file_and_its_node(colour: Colour, api: respx.Router, tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(say.YAML)
    sent = api.post(f"{POLICY}/judge").mock(return_value=replies.ok(say.verdict()))
    verdict = colour.call("policy", "judge", "a.delete", workflow=file, node_id=say.NODE)
    assert (verdict.verdict, verdict.rule.pattern) == ("block", "*.delete")
    body = {"name": "a.delete", "workflow": say.YAML, "node_id": say.NODE}
    assert json.loads(sent.calls[0].request.content) == body


def test_a_policy_is_sent_as_it_is(colour: Colour, api: respx.Router, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("default: block\n")
    sent = api.put(POLICY).mock(return_value=replies.ok(say.policy(default="block")))
    assert colour.call("policy", "set", file).default == "block"
    assert sent.calls[0].request.content == b"default: block\n"
    assert sent.calls[0].request.headers["content-type"] == "application/yaml"
