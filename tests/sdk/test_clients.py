"""The same scripts for both clients, and the same outcomes."""

import json
import logging
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx

from signoff import errors
from tests.sdk import replies
from tests.sdk.colours import Colour, FakePace

CREATE = "/v1/approvals"
ONE = f"/v1/approvals/{replies.ID}"
KEY = {"idempotency_key": "k"}


@pytest.fixture
def api() -> Iterator[respx.Router]:
    with respx.mock(base_url="http://127.0.0.1:9", assert_all_called=False) as router:
        yield router


def ask(colour: Colour, **options: Any) -> Any:
    return colour.require(replies.NAME, replies.CONTEXT, **{**KEY, **options})


PENDING = replies.ok(replies.approval(), 201)
GRANTED = replies.ok(replies.approved())
UNREACHABLE = httpx.ConnectError("refused")

# creation, then polls, then what comes of it: the type of an error, or the status that is returned
SCRIPTS: dict[str, tuple[list[Any], list[Any], Any]] = {
    "approved at once": ([replies.ok(replies.approved(), 201)], [], "approved"),
    "approved later": ([PENDING], [GRANTED], "approved"),
    "approved after a hold that ended": ([PENDING], [replies.ok(replies.approval()), GRANTED], "approved"),
    "attached": ([replies.ok(replies.approved(), 200, **{"Idempotent-Replayed": "true"})], [], "approved"),
    "rejected": ([PENDING], [replies.ok(replies.decided("rejected", reason="no"))], errors.ApprovalRejected),
    "denied": ([replies.ok(replies.decided("rejected", via="policy"), 201)], [], errors.PolicyDenied),
    "expired": ([PENDING], [replies.ok(replies.approval(status="expired"))], errors.ApprovalExpired),
    "cancelled": ([PENDING], [replies.ok(replies.approval(status="cancelled"))], errors.ApprovalCancelled),
    "lapsed": ([replies.ok(replies.approved(lapsed=True))], [], errors.ApprovalExpired),
    "restart while asking": ([UNREACHABLE, replies.problem(503, "unavailable"), PENDING], [GRANTED], "approved"),
    "restart while waiting": ([PENDING], [httpx.ReadError("cut"), httpx.Response(502), GRANTED], "approved"),
    "gateways": ([httpx.Response(502), httpx.Response(503), httpx.Response(504), PENDING], [GRANTED], "approved"),
    "request that took too long": ([replies.problem(408, "request_timeout"), PENDING], [GRANTED], "approved"),
    "too many requests": ([replies.problem(429, "rate_limited"), PENDING], [GRANTED], "approved"),
    "bad key": ([replies.problem(401, "unauthenticated")], [], errors.AuthenticationError),
    "forbidden": ([replies.problem(403, "forbidden")], [], errors.PermissionDenied),
    "no such path": ([httpx.Response(404, text="nginx")], [], errors.NotFound),
    "invalid": ([replies.problem(422, "invalid")], [], errors.InvalidRequest),
    "no reviewer": ([replies.problem(422, "no_eligible_reviewer")], [], errors.InvalidRequest),
    "key of another": ([replies.problem(422, "idempotency_key_reuse")], [], errors.IdempotencyConflict),
    "server's mistake": ([replies.problem(500, "internal")], [], errors.ServerError),
    "disk full": ([replies.problem(507, "storage_full")], [], errors.ServerError),
    "revoked while waiting": ([PENDING], [replies.problem(401, "unauthenticated")], errors.AuthenticationError),
    "gone while waiting": ([PENDING], [replies.problem(404, "not_found")], errors.NotFound),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts(script: str, colour: Colour, api: respx.Router) -> None:
    creation, polls, outcome = SCRIPTS[script]
    create = api.post(CREATE).mock(side_effect=creation)
    poll = api.get(ONE).mock(side_effect=polls)
    if isinstance(outcome, str):
        assert ask(colour).status == outcome
    else:
        with pytest.raises(outcome) as raised:
            ask(colour)
        assert type(raised.value) is outcome
    assert (create.call_count, poll.call_count) == (len(creation), len(polls))


def test_what_is_sent(colour: Colour, api: respx.Router) -> None:
    create = api.post(CREATE).mock(side_effect=[UNREACHABLE, replies.ok(replies.approved())])
    ask(colour)
    first, second = (call.request for call in create.calls)
    assert first.headers["authorization"] == "Bearer sgo_test_key"
    assert first.headers["signoff-client"] == "sdk"
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "k"
    assert json.loads(first.content) == {"name": replies.NAME, "context": replies.CONTEXT}, "unset fields are left out"


def test_a_made_key_is_the_same_on_each_attempt(colour: Colour, api: respx.Router, caplog: Any) -> None:
    create = api.post(CREATE).mock(side_effect=[UNREACHABLE, replies.ok(replies.approved()), GRANTED])
    with caplog.at_level(logging.WARNING, logger="signoff"):
        ask(colour, idempotency_key=None)
        ask(colour, idempotency_key=None)
    keys = [call.request.headers["idempotency-key"] for call in create.calls]
    assert keys[0] == keys[1] != keys[2]
    assert len([each for each in caplog.records if "without idempotency_key" in each.message]) == 1


def test_everything_that_may_be_given(colour: Colour, api: respx.Router) -> None:
    arguments = {"iban": "DE89"}
    create = api.post(CREATE).mock(return_value=replies.ok(replies.approved(arguments=arguments)))
    ask(
        colour,
        arguments=arguments,
        expires_in=60,
        reviewers=["user:ada"],
        summary="s",
        metadata={"a": "b"},
        on_behalf_of="bob",
    )
    sent = json.loads(create.calls[0].request.content)
    assert sent["arguments"] == arguments
    assert sent["expires_in"] == 60
    assert sent["reviewers"] == ["user:ada"]
    assert (sent["summary"], sent["metadata"], sent["on_behalf_of"]) == ("s", {"a": "b"}, "bob")


@pytest.mark.parametrize("own", [True, False])
def test_reattached_tells_an_earlier_call_from_an_earlier_attempt(own: bool, colour: Colour, api: respx.Router) -> None:
    api.post(CREATE).mock(return_value=replies.ok(replies.approved(), **{"Idempotent-Replayed": "true"}))
    assert ask(colour, idempotency_key="k" if own else None).reattached is own


def test_on_pending_is_called_once_and_only_while_pending(colour: Colour, api: respx.Router) -> None:
    told: list[Any] = []
    api.post(CREATE).mock(side_effect=[PENDING, replies.ok(replies.approved())])
    api.get(ONE).mock(side_effect=[replies.ok(replies.approval()), GRANTED])
    ask(colour, on_pending=told.append)
    ask(colour, on_pending=told.append)
    assert [(each.id, each.status) for each in told] == [(replies.ID, "pending")]
    assert told[0].url.endswith(replies.ID)


@pytest.mark.parametrize("asked", ["7", "0"])
def test_retry_after_is_honoured(asked: str, colour: Colour, api: respx.Router, pace: FakePace) -> None:
    refusal = replies.problem(503, "unavailable", headers={"Retry-After": asked})
    api.post(CREATE).mock(side_effect=[refusal, replies.ok(replies.approved())])
    ask(colour)
    assert float(asked) <= pace.pauses[0] <= float(asked) + 2


def test_pauses_double_up_to_a_cap(colour: Colour, api: respx.Router, pace: FakePace) -> None:
    api.post(CREATE).mock(side_effect=[*[UNREACHABLE] * 8, replies.ok(replies.approved())])
    ask(colour)
    assert pace.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_patience_ends_retries(colour: Colour, api: respx.Router, pace: FakePace) -> None:
    api.post(CREATE).mock(side_effect=UNREACHABLE)
    with pytest.raises(errors.APIConnectionError) as raised:
        ask(colour, timeout=1.0)
    assert isinstance(raised.value, ConnectionError)
    assert sum(pace.pauses) <= 1.0


def test_no_patience_asks_and_does_not_wait(colour: Colour, api: respx.Router) -> None:
    create = api.post(CREATE).mock(return_value=PENDING)
    with pytest.raises(errors.ApprovalTimeout) as raised:
        ask(colour, timeout=0)
    assert create.called
    assert raised.value.url.endswith(replies.ID)


def test_one_shot_calls_give_up_after_retry_for(colour: Colour, api: respx.Router, pace: FakePace) -> None:
    api.get(ONE).mock(side_effect=UNREACHABLE)
    with pytest.raises(errors.APIConnectionError):
        colour.call("approvals", "get", replies.ID)
    assert 20 < sum(pace.pauses) <= 30


@pytest.mark.parametrize(
    ("arguments", "pointer"),
    [
        ({"name": "bad name"}, "/name"),
        ({"name": "x" * 129}, "/name"),
        ({"name": "a", "context": {"when": {1, 2}}}, "/context/when"),
        ({"name": "a", "arguments": {"x": float("nan")}}, "/arguments/x"),
        ({"name": "a", "expires_in": 0}, "/expires_in"),
        ({"name": "a", "reviewers": "user:ada"}, "/reviewers"),
        ({"name": "a", "metadata": {"a": 1}}, "/metadata/a"),
        ({"name": "a", "idempotency_key": "é"}, "/idempotency_key"),
        ({"name": "a", "idempotency_key": ""}, "/idempotency_key"),
        ({"name": "a", "idempotency_key": "x" * 256}, "/idempotency_key"),
        ({"name": "a", "idempotency_key": "k\n"}, "/idempotency_key"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    arguments: dict[str, Any], pointer: str, colour: Colour, api: respx.Router
) -> None:
    with pytest.raises(errors.InvalidRequest) as raised:
        colour.require(**arguments)
    assert [place for place, _ in raised.value.errors] == [pointer]
    assert not api.calls


def test_two_phases(colour: Colour, api: respx.Router) -> None:
    api.post(CREATE).mock(return_value=PENDING)
    api.get(ONE).mock(side_effect=[replies.ok(replies.approval()), replies.ok(replies.approval()), GRANTED])
    created = colour.call("approvals", "create", replies.NAME, replies.CONTEXT, idempotency_key="k")
    assert created.status == "pending"
    assert colour.call("approvals", "wait", created.id).status == "approved"


def test_wait_raises_what_is_not_approved(colour: Colour, api: respx.Router) -> None:
    api.get(ONE).mock(return_value=replies.ok(replies.decided("rejected", reason="no")))
    with pytest.raises(errors.ApprovalRejected):
        colour.call("approvals", "wait", replies.ID)


def test_as_completed_gives_each_whatever_was_decided(colour: Colour, api: respx.Router) -> None:
    api.get(ONE).mock(return_value=replies.ok(replies.decided("rejected", reason="no")))
    api.get(f"/v1/approvals/{replies.OTHER_ID}").mock(return_value=replies.ok(replies.approved(id=replies.OTHER_ID)))
    done = colour.all("approvals", "as_completed", [replies.ID, replies.OTHER_ID, replies.ID])
    assert {each.id: each.status for each in done} == {replies.ID: "rejected", replies.OTHER_ID: "approved"}


def test_as_completed_raises_for_an_unknown_id(colour: Colour, api: respx.Router) -> None:
    api.get(ONE).mock(return_value=replies.problem(404, "not_found"))
    with pytest.raises(errors.NotFound):
        colour.all("approvals", "as_completed", [replies.ID])
    with pytest.raises(errors.InvalidRequest):
        colour.all("approvals", "as_completed", ["../keys"])


def test_as_completed_times_out(colour: Colour, api: respx.Router) -> None:
    api.get(ONE).mock(return_value=replies.ok(replies.approval()))
    with pytest.raises(errors.ApprovalTimeout):
        colour.all("approvals", "as_completed", [replies.ID], timeout=0)
    assert colour.all("approvals", "as_completed", []) == []


def test_lists_go_through_all_pages(colour: Colour, api: respx.Router) -> None:
    first = replies.ok({"data": [replies.approval()], "next_cursor": "c2"})
    second = replies.ok({"data": [replies.approval(id=replies.OTHER_ID)], "next_cursor": None})
    pages = api.get(CREATE).mock(side_effect=[first, second])
    found = colour.all("approvals", "list", status="pending", name="pay*", limit=1)
    assert [each.id for each in found] == [replies.ID, replies.OTHER_ID]
    queries = [dict(call.request.url.params) for call in pages.calls]
    assert queries[0] == {"status": "pending", "name": "pay*", "limit": "1"}
    assert queries[1] == {**queries[0], "cursor": "c2"}


POSTED = {
    "decide": (("approved",), {"reason": "ok", "seen": "sha256:x"}, "decision", True),
    "cancel": ((), {"reason": "oops"}, "cancel", True),
    "resolve": (("release",), {"reason": "checked"}, "resolve", True),
    "report": ((1, "succeeded"), {}, "outcome", False),
}


@pytest.mark.parametrize("method", POSTED)
def test_changes_carry_one_key_for_all_their_attempts(method: str, colour: Colour, api: respx.Router) -> None:
    arguments, options, path, keyed = POSTED[method]
    route = api.post(f"{ONE}/{path}").mock(side_effect=[httpx.ReadTimeout("lost"), replies.ok(replies.approved())])
    assert colour.call("approvals", method, replies.ID, *arguments, **options).id == replies.ID
    keys = {call.request.headers.get("idempotency-key") for call in route.calls}
    assert len(keys) == 1
    assert (None not in keys) is keyed


def test_redeem_and_renew_by_hand(colour: Colour, api: respx.Router) -> None:
    api.get(ONE).mock(return_value=GRANTED)
    redeem = api.post(f"{ONE}/redeem").mock(return_value=replies.ok(replies.redeemed()))
    api.post(f"{ONE}/renew").mock(return_value=replies.ok({"lease_until": replies.LATER}))
    held = colour.call("approvals", "redeem", replies.ID, redeemer="me")
    assert json.loads(redeem.calls[0].request.content) == {"binding": held.approval.binding, "redeemer": "me"}
    assert colour.call("approvals", "renew", replies.ID, held.fence).lease_until == held.lease_until
    with pytest.raises(errors.BindingMismatch):
        colour.call("approvals", "redeem", replies.ID, binding="sha256:other")


EVENT = {
    "seq": 1,
    "id": "evt_1",
    "type": "approval.requested",
    "subject": replies.ID,
    "version": 1,
    "at": replies.THEN,
    "actor": {"id": None, "kind": "system", "via": "system"},
    "facts": {},
    "data": None,
}


def test_events(colour: Colour, api: respx.Router) -> None:
    api.get(f"{ONE}/events").mock(return_value=replies.ok({"data": [EVENT]}))
    pages = [{"data": [EVENT], "next_after": 1}, {"data": [], "next_after": 1}]
    ledger = api.get("/v1/events").mock(side_effect=[replies.ok(page) for page in pages])
    assert [each.seq for each in colour.call("approvals", "events", replies.ID)] == [1]
    assert [each.type for each in colour.ledger(type="approval.*")] == ["approval.requested"]
    assert [call.request.url.params["after"] for call in ledger.calls] == ["0", "1"]


def test_administration(colour: Colour, api: respx.Router) -> None:
    person = {"id": "prn_1", "name": "ada", "kind": "human", "owner": None, "role": "admin", "created_at": replies.THEN}
    key = {
        "id": "key_1",
        "principal": replies.ADA,
        "scopes": ["audit:read"],
        "hint": "sgo_…",
        "created_at": replies.THEN,
        "expires_at": None,
        "revoked_at": None,
    }
    for path, record in (("/v1/principals", person), ("/v1/keys", key)):
        api.get(path).mock(
            side_effect=[
                replies.ok({"data": [record], "next_cursor": "2"}),
                replies.ok({"data": [record], "next_cursor": None}),
            ]
        )
    api.post("/v1/principals").mock(return_value=replies.ok(person, 201))
    issue = api.post("/v1/keys").mock(return_value=replies.ok({**key, "key": "sgo_secret"}, 201))
    revoke = api.delete("/v1/keys/key_1").mock(return_value=httpx.Response(204))
    assert [each.name for each in colour.all("principals", "list")] == ["ada", "ada"]
    assert [each.id for each in colour.all("keys", "list")] == ["key_1", "key_1"]
    assert colour.call("principals", "create", "ada", "human").role == "admin"
    assert colour.call("keys", "issue", "prn_1", ["audit:read"], expires_in=60).key == "sgo_secret"
    assert json.loads(issue.calls[0].request.content) == {
        "principal": "prn_1",
        "scopes": ["audit:read"],
        "expires_in": 60,
    }
    colour.call("keys", "revoke", "key_1")
    assert revoke.called


def test_a_key_is_not_issued_twice(colour: Colour, api: respx.Router) -> None:
    issue = api.post("/v1/keys").mock(side_effect=[UNREACHABLE, httpx.ReadTimeout("lost")])
    with pytest.raises(errors.APIConnectionError):
        colour.call("keys", "issue", "prn_1", ["audit:read"])
    assert issue.call_count == 2, "tried again where nothing was sent, and not where it may have been"


def test_deciding_needs_a_key_that_was_given_for_it(
    colour: Colour, api: respx.Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNOFF_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SIGNOFF_API_KEY", "sgo_app")
    found = type(colour.client)()
    monkeypatch.setattr(colour, "client", found)
    with pytest.raises(errors.ConfigurationError):
        colour.call("approvals", "decide", replies.ID, "approved")
    assert not api.calls


def test_a_closed_client_says_so(colour: Colour) -> None:
    if colour.name == "sync":
        colour.client.close()
    else:
        colour._runner.run(colour.client.aclose())
    with pytest.raises(errors.ConfigurationError, match="closed"):
        ask(colour)


def test_an_untrusted_certificate_is_not_tried_again(colour: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[None] = []

    def fail(*args: Any) -> httpx.Response:
        attempts.append(None)
        raise httpx.ConnectError("tls") from ssl.SSLCertVerificationError("self-signed")

    async def fail_async(*args: Any) -> httpx.Response:
        return fail()

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", fail)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", fail_async)
    with pytest.raises(errors.ConfigurationError, match="ssl_context"):
        ask(colour)
    assert len(attempts) == 1
