"""It fails closed: whatever a server sends, only a true approval returns."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signoff import Config, Signoff, errors
from signoff.asking import ask
from signoff.transport import Incoming, Outgoing
from tests.sdk import replies
from tests.sdk.colours import Colour, FakePace

GOOD = replies.approved()
JSON = {"content-type": "application/json"}


def raw(body: bytes | str, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, content=body, headers={**JSON, **headers})


HOSTILE: dict[str, httpx.Response] = {
    "a portal page": httpx.Response(200, html="<html>please log in</html>"),
    "an approval that says it is a page": raw(json.dumps(GOOD), **{"content-type": "text/html"}),
    "an approval without a type": httpx.Response(200, content=json.dumps(GOOD).encode(), headers={"content-type": ""}),
    "a redirect": httpx.Response(302, headers={"location": "http://127.0.0.1:9/elsewhere"}),
    "a redirect with an approval": raw(json.dumps(GOOD), status=307, location="http://127.0.0.1:9/"),
    "accepted": raw(json.dumps(GOOD), status=202),
    "no content": httpx.Response(204),
    "partial content": raw(json.dumps(GOOD), status=206),
    "an error with an approval": raw(json.dumps(GOOD), status=404),
    "empty": raw(b""),
    "cut": raw(json.dumps(GOOD)[:-20]),
    "null": raw("null"),
    "true": raw("true"),
    "a list": raw(json.dumps([GOOD])),
    "an envelope": raw(json.dumps({"data": GOOD})),
    "two statuses": raw('{"status": "rejected", ' + json.dumps(GOOD)[1:]),
    "not UTF-8": raw(json.dumps(GOOD).encode("utf-16")),
    "NaN": raw(json.dumps({**GOOD, "extra": float("nan")})),
    "too deep": raw("[" * 100_000 + "]" * 100_000),
    "a lone surrogate": raw('{"extra": "\\ud800", ' + json.dumps(GOOD)[1:]),
    "status in capitals": raw(json.dumps({**GOOD, "status": "APPROVED"})),
    "status with a space": raw(json.dumps({**GOOD, "status": "approved "})),
    "status true": raw(json.dumps({**GOOD, "status": True})),
    "status in a list": raw(json.dumps({**GOOD, "status": ["approved"]})),
    "lapsed as text": raw(json.dumps({**GOOD, "lapsed": "false"})),
    "lapsed": raw(json.dumps({**GOOD, "lapsed": True})),
    "without lapsed": raw(json.dumps({name: GOOD[name] for name in GOOD if name != "lapsed"})),
    "another binding": raw(json.dumps({**GOOD, "binding": "sha256:" + "0" * 64})),
    "another name": raw(json.dumps(replies.approved(name="payments.other"))),
    "another context": raw(json.dumps(replies.approved(context={"amount": "1.00"}))),
    "a context beside the binding": raw(json.dumps({**GOOD, "context": {"amount": "1.00"}})),
    "arguments that were not asked": raw(json.dumps(replies.approved(arguments={}))),
    "rejected": raw(json.dumps({**GOOD, "status": "rejected"})),
    "a problem that is approved": replies.problem(409, "approved", current=GOOD),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_answer_to_asking_never_returns(case: str, colour: Colour) -> None:
    with respx.mock(base_url="http://127.0.0.1:9") as api:
        create = api.post("/v1/approvals").mock(return_value=HOSTILE[case])
        with pytest.raises(errors.SignoffError):
            colour.require(replies.NAME, replies.CONTEXT, idempotency_key="k", timeout=1)
        assert create.call_count == 1


@pytest.mark.parametrize("case", [*HOSTILE, "another id"])
def test_a_hostile_answer_to_waiting_never_returns(case: str, colour: Colour) -> None:
    answer = HOSTILE.get(case) or raw(json.dumps(replies.approved(id=replies.OTHER_ID)))
    with respx.mock(base_url="http://127.0.0.1:9") as api:
        api.post("/v1/approvals").mock(return_value=replies.ok(replies.approval(), 201))
        api.get(f"/v1/approvals/{replies.ID}").mock(return_value=answer)
        with pytest.raises(errors.SignoffError):
            colour.require(replies.NAME, replies.CONTEXT, idempotency_key="k", timeout=5)


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_answer_to_redeeming_never_enters(case: str, colour: Colour) -> None:
    entered: list[Any] = []
    with respx.mock(base_url="http://127.0.0.1:9") as api:
        api.post("/v1/approvals").mock(return_value=replies.ok(GOOD, 201))
        api.post(f"/v1/approvals/{replies.ID}/redeem").mock(return_value=HOSTILE[case])
        with pytest.raises(errors.SignoffError):
            colour.enter(entered.append, replies.NAME, replies.CONTEXT, idempotency_key="k", timeout=5)
    assert entered == []


class _Wire:
    """A wire whose every answer is what `reply` makes."""

    def __init__(self, reply: Callable[[], Incoming]) -> None:
        self._reply = reply

    def transport(self) -> "_Wire":
        return self

    def async_transport(self, connections: int) -> "_Wire":
        return self

    def send(self, request: Outgoing, patience: float | None) -> Incoming:
        return self._reply()

    def close(self) -> None:
        pass

    async def dial(self) -> Any:
        raise AssertionError


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_reply_with_anything_changed_returns_only_if_it_still_approves(data: st.DataObject) -> None:
    changed = dict(GOOD)
    for name in data.draw(st.sets(st.sampled_from(sorted(GOOD)), min_size=1, max_size=3)):
        if data.draw(st.booleans()):
            changed[name] = data.draw(anything)
        else:
            del changed[name]
    body = json.dumps(changed).encode()
    wire = _Wire(lambda: Incoming(200, JSON, body))
    config = Config("http://127.0.0.1:9", "k")
    client = Signoff._over(config, lambda: wire, mode="poll", pace=FakePace().pace())
    try:
        approval = client.approvals.create(replies.NAME, replies.CONTEXT, idempotency_key="k")
    except errors.SignoffError:
        return
    assert approval.binding == GOOD["binding"]
    assert approval.context == replies.CONTEXT
    try:
        approval.raise_unless_approved()
    except errors.SignoffError:
        return
    assert changed["status"] == "approved"
    assert changed["lapsed"] is False


@settings(max_examples=100, deadline=None)
@given(st.integers(100, 599), st.binary(max_size=60), st.sampled_from(["application/json", "application/problem+json"]))
def test_bytes_are_never_an_approval(status: int, body: bytes, kind: str) -> None:
    from signoff import calls

    call = calls.create(ask(replies.NAME, replies.CONTEXT, idempotency_key="k"))
    with pytest.raises(errors.SignoffError):
        call.read(Incoming(status, {"content-type": kind}, body))
