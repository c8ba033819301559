"""Entering and leaving: redeemed once, renewed while it runs, reported when it ends."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx

from signoff import errors
from tests.sdk import replies
from tests.sdk.colours import AsyncColour, Colour, FakePace, SyncColour

ONE = f"/v1/approvals/{replies.ID}"


@pytest.fixture
def api() -> Iterator[respx.Router]:
    with respx.mock(base_url="http://127.0.0.1:9", assert_all_called=False) as router:
        router.post("/v1/approvals").mock(return_value=replies.ok(replies.approved(), 201))
        router.post(f"{ONE}/redeem", name="redeem").mock(return_value=replies.ok(replies.redeemed()))
        router.post(f"{ONE}/renew", name="renew").mock(return_value=replies.ok({"lease_until": replies.LATER}))
        router.post(f"{ONE}/outcome", name="outcome").mock(return_value=replies.ok(replies.reported()))
        yield router


def enter(colour: Colour, body: Any = lambda approval: None, **options: Any) -> Any:
    return colour.enter(body, replies.NAME, replies.CONTEXT, **{"idempotency_key": "k", **options})


def sent(api: respx.Router, name: str) -> list[dict[str, Any]]:
    return [json.loads(call.request.content) for call in api[name].calls]


def test_a_block_redeems_runs_and_reports(colour: Colour, api: respx.Router) -> None:
    held = enter(colour, lambda approval: approval)
    assert held.redemption.fence == 1
    assert held.execution_key == replies.ID
    assert sent(api, "outcome") == [{"fence": 1, "outcome": "succeeded"}]
    assert sent(api, "redeem")[0]["binding"] == held.binding


def test_the_plain_call_redeems_nothing(colour: Colour, api: respx.Router) -> None:
    colour.require(replies.NAME, replies.CONTEXT, idempotency_key="k")
    assert not api["redeem"].called


def test_each_entry_is_a_redeemer_of_its_own_and_keeps_it_when_it_tries_again(
    colour: Colour, api: respx.Router
) -> None:
    lost = [httpx.ReadError("lost"), replies.ok(replies.redeemed()), replies.ok(replies.redeemed())]
    api["redeem"].mock(side_effect=lost)
    enter(colour)
    enter(colour)
    first, again, second = (each["redeemer"] for each in sent(api, "redeem"))
    assert first == again != second


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_leaves_a_block_is_reported_by_its_type_and_goes_on(
    error: type[BaseException], colour: Colour, api: respx.Router
) -> None:
    def fail(approval: Any) -> None:
        raise error("secret 4711")

    with pytest.raises(error):
        enter(colour, fail)
    assert sent(api, "outcome") == [{"fence": 1, "outcome": "failed", "detail": error.__name__}]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (replies.problem(409, "already_redeemed", current=replies.reported()), errors.AlreadyRedeemed),
        (replies.problem(409, "outcome_unknown", current=replies.reported("unknown")), errors.OutcomeUnknown),
        (replies.problem(409, "expired"), errors.ApprovalExpired),
        (replies.problem(409, "binding_mismatch"), errors.BindingMismatch),
        (replies.problem(409, "not_approved"), errors.ApprovalConflict),
        (replies.problem(403, "forbidden"), errors.PermissionDenied),
        (replies.problem(507, "storage_full"), errors.ServerError),
    ],
)
def test_an_entry_that_is_refused_runs_nothing(
    reply: httpx.Response, error: type[errors.SignoffError], colour: Colour, api: respx.Router
) -> None:
    api["redeem"].mock(return_value=reply)
    ran: list[Any] = []
    with pytest.raises(error) as raised:
        enter(colour, ran.append)
    assert type(raised.value) is error
    assert ran == []
    assert not api["outcome"].called
    if isinstance(raised.value, errors.AlreadyRedeemed):
        assert raised.value.outcome == "succeeded"
        assert raised.value.name == replies.NAME


def test_a_lease_is_renewed_while_the_block_runs(colour: Colour, api: respx.Router, pace: FakePace) -> None:
    def inside() -> None:
        for _ in range(3):
            pace.tick()

    colour.enter_while(inside, replies.NAME, replies.CONTEXT, idempotency_key="k")
    # The third pause can only begin once the second renewal was answered.
    assert sent(api, "renew")[:2] == [{"fence": 1}, {"fence": 1}]
    assert api["outcome"].called


def test_a_lost_lease_stops_the_renewing_and_is_told(colour: Colour, api: respx.Router, pace: FakePace) -> None:
    api["renew"].mock(side_effect=[httpx.ConnectError("away"), replies.problem(409, "stale_fence")])
    lost = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: lost.set() if "is lost" in record.getMessage() else None  # type: ignore[method-assign]

    def inside() -> None:
        pace.tick()
        assert lost.wait(10)

    logging.getLogger("signoff").addHandler(handler)
    try:
        colour.enter_while(inside, replies.NAME, replies.CONTEXT, idempotency_key="k")
    finally:
        logging.getLogger("signoff").removeHandler(handler)
    assert api["outcome"].called


def test_an_outcome_is_reported_through_a_restart(colour: Colour, api: respx.Router) -> None:
    api["outcome"].mock(side_effect=[httpx.ConnectError("away")] * 3 + [replies.ok(replies.reported())])
    enter(colour)
    assert api["outcome"].call_count == 4


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_an_outcome_that_cannot_be_reported_is_logged_and_masks_nothing(
    error: type[BaseException] | None, colour: Colour, api: respx.Router, pace: FakePace, caplog: Any
) -> None:
    api["outcome"].mock(side_effect=httpx.ConnectError("away"))

    def body(approval: Any) -> str:
        if error is not None:
            raise error
        return "done"

    if error is None:
        assert enter(colour, body) == "done"
    else:
        with pytest.raises(error):
            enter(colour, body)
    assert "could not be reported" in caplog.text
    assert sum(pace.pauses) <= (5 if error is KeyboardInterrupt else 30)


def test_one_approval_may_be_entered_again_after_its_block(api: respx.Router, pace: FakePace) -> None:
    colour = SyncColour("http://127.0.0.1:9", pace)
    approval = colour.require(replies.NAME, replies.CONTEXT, idempotency_key="k")
    for _ in range(2):
        with approval as held, held:
            pass
    assert len({each["redeemer"] for each in sent(api, "redeem")}) == 4
    colour.close()


def test_an_approval_of_two_phases_can_be_entered(colour: Colour, api: respx.Router) -> None:
    api.get(ONE).mock(return_value=replies.ok(replies.approved()))
    approval = colour.call("approvals", "get", replies.ID)
    if isinstance(colour, AsyncColour):

        async def run() -> None:
            async with approval as held:
                assert held.redemption is not None

        colour._runner.run(run())
    else:
        with approval as held:
            assert held.redemption is not None
    assert api["outcome"].called


def test_the_wrong_kind_of_with_says_which_is_right(colour: Colour, api: respx.Router) -> None:
    api.get(ONE).mock(return_value=replies.ok(replies.approved()))
    approval = colour.call("approvals", "get", replies.ID)
    if isinstance(colour, AsyncColour):
        with pytest.raises(errors.ConfigurationError, match="async with"), approval:
            pass
    else:

        async def run() -> None:
            async with approval:
                pass

        with pytest.raises(errors.ConfigurationError, match="use `with`"):
            asyncio.run(run())
    assert not api["redeem"].called


def test_a_request_can_be_awaited_and_its_approval_entered(api: respx.Router, pace: FakePace) -> None:
    colour = AsyncColour("http://127.0.0.1:9", pace)

    async def run() -> None:
        request = colour.client.require_approval(replies.NAME, replies.CONTEXT, idempotency_key="k")
        async with await request as held:
            assert held.redemption is not None
        async with request:
            pass
        with pytest.raises(errors.ConfigurationError):
            await request.__aenter__()

    colour._runner.run(run())
    colour.close()
    assert api["redeem"].call_count == 2


def test_a_request_that_nobody_awaits_warns(pace: FakePace) -> None:
    colour = AsyncColour("http://127.0.0.1:9", pace)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        colour.client.require_approval("a", idempotency_key="k")
    colour.close()


def test_a_second_cancellation_still_reports(api: respx.Router, pace: FakePace) -> None:
    colour = AsyncColour("http://127.0.0.1:9", pace)
    reporting, reported = asyncio.Event(), asyncio.Event()

    async def outcome(request: httpx.Request) -> httpx.Response:
        reporting.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reported.set()
        return replies.ok(replies.reported("failed"))

    api["outcome"].mock(side_effect=outcome)

    async def run() -> None:
        entered = asyncio.Event()

        async def work() -> None:
            async with colour.client.require_approval(replies.NAME, replies.CONTEXT, idempotency_key="k"):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await entered.wait()
        task.cancel()
        await reporting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await reported.wait()

    colour._runner.run(run())
    colour.close()
