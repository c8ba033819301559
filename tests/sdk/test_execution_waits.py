"""Waiting for runs: what it returns and raises, what it asks the server, and what does not end it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx

from signoff import errors
from signoff.execution_waits import ExecutionWaits, has_ended
from signoff.protocol.workflows import Execution
from signoff.transport import TASK_CONNECTIONS, Incoming, Outgoing
from signoff.waiting import HOLD, POLLS
from tests.sdk import replies
from tests.sdk import workflow_replies as say
from tests.sdk.colours import AsyncColour, Colour, FakePace, SyncColour
from tests.sdk.conftest import URL
from tests.sdk.scripted import json_reply

RUN = f"/v1/executions/{say.ID}"
RUNNING = replies.ok(say.execution(events=3))
PARKED = replies.ok(say.execution("parked", 5))
GOES_ON = replies.ok(say.execution(events=7))
COMPLETED = replies.ok(say.execution("completed", 9))
FAILED = replies.ok(say.failed())
CANCELLED = replies.ok(say.execution("cancelled", 8))


@pytest.fixture
def api() -> Iterator[respx.Router]:
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        yield router


def wait(colour: Colour, **options: Any) -> Any:
    return colour.call("executions", "wait", say.ID, **options)


# replies in their order, options, then what comes of it: the type of an error, or the status that is returned
SCRIPTS: dict[str, tuple[list[Any], dict[str, Any], Any]] = {
    "completed before": ([COMPLETED], {}, "completed"),
    "completed later": ([RUNNING, RUNNING, COMPLETED], {}, "completed"),
    "parked, decided and completed": ([RUNNING, PARKED, PARKED, GOES_ON, COMPLETED], {}, "completed"),
    "parked while it is waited for the end": ([PARKED, COMPLETED], {}, "completed"),
    "parked": ([RUNNING, PARKED], {"until_parked": True}, "parked"),
    "parked before": ([PARKED], {"until_parked": True}, "parked"),
    "ended instead of parked": ([RUNNING, COMPLETED], {"until_parked": True}, "completed"),
    "failed instead of parked": ([RUNNING, FAILED], {"until_parked": True}, errors.ExecutionFailed),
    "failed": ([RUNNING, FAILED], {}, errors.ExecutionFailed),
    "failed before": ([FAILED], {}, errors.ExecutionFailed),
    "failed and returned": ([RUNNING, FAILED], {"raise_on_failure": False}, "failed"),
    "cancelled": ([RUNNING, CANCELLED], {}, errors.ExecutionCancelled),
    "cancelled and returned": ([RUNNING, CANCELLED], {"raise_on_failure": False}, "cancelled"),
    "restart at first": ([httpx.ConnectError("refused"), RUNNING, COMPLETED], {}, "completed"),
    "restart while waiting": (
        [
            RUNNING,
            httpx.ReadError("cut"),
            httpx.ConnectError("refused"),
            replies.problem(503, "unavailable"),
            COMPLETED,
        ],
        {},
        "completed",
    ),
    "restart while parked": (
        [PARKED, httpx.RemoteProtocolError("cut"), httpx.Response(502), COMPLETED],
        {},
        "completed",
    ),
    "too many requests": ([RUNNING, replies.problem(429, "rate_limited"), COMPLETED], {}, "completed"),
    "unknown": ([replies.problem(404, "not_found")], {}, errors.NotFound),
    "gone while waiting": ([RUNNING, replies.problem(404, "not_found")], {}, errors.NotFound),
    "revoked while waiting": ([RUNNING, replies.problem(401, "unauthenticated")], {}, errors.AuthenticationError),
    "another run": ([replies.ok(say.execution("completed", id=say.OTHER_ID))], {}, errors.ServerError),
    "another run while waiting": (
        [RUNNING, replies.ok(say.execution("completed", id=say.OTHER_ID))],
        {},
        errors.ServerError,
    ),
    "a portal page while waiting": ([RUNNING, httpx.Response(200, html="log in")], {}, errors.ServerError),
    "a status that is none": ([RUNNING, replies.ok(say.execution("done"))], {}, errors.ServerError),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts(script: str, colour: Colour, api: respx.Router) -> None:
    answers, options, outcome = SCRIPTS[script]
    asked = api.get(RUN).mock(side_effect=answers)
    if isinstance(outcome, str):
        assert wait(colour, **options).status == outcome
    else:
        with pytest.raises(outcome) as raised:
            wait(colour, **options)
        assert type(raised.value) is outcome
    assert asked.call_count == len(answers)


def test_a_failure_says_which_node_who_and_why(colour: Colour, api: respx.Router) -> None:
    api.get(RUN).mock(side_effect=[PARKED, FAILED])
    with pytest.raises(errors.ExecutionFailed) as raised:
        wait(colour)
    failed = raised.value
    assert failed.execution_id == say.ID
    assert failed.url == say.execution()["url"]
    assert failed.failure.model_dump() == say.FAILURE
    assert "wrong account" not in str(failed)
    assert f"{say.ID} approval_rejected {say.NODE}" in str(failed)


def test_a_failure_without_its_reason_still_fails(colour: Colour, api: respx.Router) -> None:
    api.get(RUN).mock(return_value=replies.ok(say.failed(failure=None)))
    with pytest.raises(errors.ExecutionFailed) as raised:
        wait(colour)
    assert raised.value.failure is None


def test_what_is_asked(colour: Colour, api: respx.Router) -> None:
    asked = api.get(RUN).mock(side_effect=[RUNNING, PARKED, GOES_ON, COMPLETED])
    wait(colour)
    hold = str(HOLD)
    assert [dict(call.request.url.params) for call in asked.calls] == [
        {},
        {"wait": hold},
        # Parked it would be answered at once: it is asked for what is new.
        {"wait": hold, "seen": "5"},
        {"wait": hold},
    ]


def test_no_patience_asks_and_does_not_wait(colour: Colour, api: respx.Router) -> None:
    asked = api.get(RUN).mock(return_value=PARKED)
    with pytest.raises(errors.ExecutionTimeout) as raised:
        wait(colour, timeout=0)
    assert isinstance(raised.value, TimeoutError)
    assert (raised.value.execution_id, raised.value.url) == (say.ID, say.execution()["url"])
    assert asked.called
    api.get(RUN).mock(return_value=COMPLETED)
    assert wait(colour, timeout=0).status == "completed"


def test_answers_that_come_too_soon_are_spaced(colour: Colour, api: respx.Router, pace: FakePace) -> None:
    api.get(RUN).mock(side_effect=[RUNNING] * 5 + [PARKED] * 5 + [COMPLETED])
    wait(colour)
    # The parked answer to a running one, and the last, are news; all the others should have been held.
    assert len(pace.pauses) == 8
    assert pace.pauses[:4] == sorted(pace.pauses[:4])
    assert pace.pauses[4:] == sorted(pace.pauses[4:])


def test_news_are_not_spaced(colour: Colour, api: respx.Router, pace: FakePace) -> None:
    parked = [replies.ok(say.execution("parked", events)) for events in range(3, 7)]
    api.get(RUN).mock(side_effect=[*parked, GOES_ON, COMPLETED])
    wait(colour)
    assert pace.pauses == []


def test_waiting_in_a_loop_names_the_twin(pace: FakePace, api: respx.Router) -> None:
    colour = SyncColour(URL, pace)

    async def main() -> None:
        colour.client.executions.wait(say.ID)

    with pytest.raises(errors.ConfigurationError, match=r"AsyncSignoff\.executions\.wait"):
        asyncio.run(main())
    assert not api.calls
    colour.close()


class Holding:
    """A wire whose server answers that the run is parked, and holds whatever waits for more until it is told to go."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.go = threading.Event()
        self.pools: list[int] = []
        self.gave_up = threading.Event()

    def transport(self) -> "Holding":
        return self

    def async_transport(self, connections: int) -> "_HoldingAsync":
        return _HoldingAsync(self, connections)

    async def dial(self) -> Any:
        raise AssertionError

    def send(self, request: Outgoing, patience: float | None) -> Incoming:
        assert not request.hold, "in the caller's thread and among the caller's connections"
        return json_reply(json.dumps(say.execution("parked", 5)).encode())

    def close(self) -> None:
        pass


class _HoldingAsync:
    def __init__(self, wire: Holding, connections: int) -> None:
        self._wire = wire
        self._connections = connections

    async def send(self, request: Outgoing, patience: float | None) -> Incoming:
        if not request.hold:
            return self._wire.send(request, patience)
        self._wire.pools.append(self._connections)
        self._wire.held.set()
        try:
            await asyncio.to_thread(self._wire.go.wait, 10)
        except asyncio.CancelledError:
            self._wire.gave_up.set()
            raise
        return json_reply(json.dumps(say.execution("completed", 9)).encode())

    async def aclose(self) -> None:
        pass


@pytest.fixture
def holding() -> Iterator[Holding]:
    wire = Holding()
    yield wire
    wire.go.set()


@pytest.fixture(params=[SyncColour, AsyncColour])
def held(request: pytest.FixtureRequest, holding: Holding, pace: FakePace) -> Iterator[Colour]:
    made: Colour = request.param(URL, pace, wire=holding)
    yield made
    holding.go.set()
    made.close()


def test_what_is_held_takes_no_connection_of_other_calls(held: Colour, holding: Holding) -> None:
    holding.go.set()
    assert wait(held).status == "completed"
    assert holding.pools == [POLLS]
    assert TASK_CONNECTIONS < POLLS


def test_patience_ends_a_wait_and_its_request(held: Colour, holding: Holding) -> None:
    with pytest.raises(errors.ExecutionTimeout):
        wait(held, timeout=0.05)
    assert held.call("executions", "get", say.ID).status == "parked"
    if holding.held.is_set():
        assert holding.gave_up.wait(10)


def test_closing_ends_the_waits(holding: Holding, pace: FakePace) -> None:
    colour = SyncColour(URL, pace, wire=holding)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            wait(colour)
        except errors.SignoffError as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert holding.held.wait(10)
    colour.close()
    thread.join(10)
    assert [type(each) for each in ended] == [errors.APIConnectionError]
    assert "run goes on" in str(ended[0])


def test_closing_in_a_loop_ends_the_waits(holding: Holding, pace: FakePace) -> None:
    client = AsyncColour(URL, pace, wire=holding).client

    async def main() -> None:
        waiting = asyncio.create_task(client.executions.wait(say.ID))
        await asyncio.to_thread(holding.held.wait, 10)
        await client.aclose()
        holding.go.set()
        with pytest.raises(errors.APIConnectionError):
            await waiting

    asyncio.run(main())


def test_cancelling_a_wait_ends_its_request(holding: Holding, pace: FakePace) -> None:
    client = AsyncColour(URL, pace, wire=holding).client

    async def main() -> None:
        waiting = asyncio.create_task(client.executions.wait(say.ID))
        await asyncio.to_thread(holding.held.wait, 10)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await asyncio.to_thread(holding.gave_up.wait, 10)
        holding.go.set()
        await client.aclose()

    asyncio.run(main())


def test_a_crowd_takes_turns() -> None:
    holds: list[int] = []
    ended = Execution.model_validate(say.execution("completed", 9))
    running = Execution.model_validate(say.execution())

    async def main() -> None:
        go, all_ask = asyncio.Event(), asyncio.Event()

        async def fetch(execution_id: str, hold: int, seen: int | None) -> Execution:
            holds.append(hold)
            if len(holds) == 2 * POLLS:
                all_ask.set()
            await go.wait()
            return ended

        waits = ExecutionWaits(fetch, pace=FakePace().pace())
        tasks = [asyncio.create_task(waits.wait(running, has_ended, None)) for _ in range(2 * POLLS)]
        await all_ask.wait()
        go.set()
        assert {found.status for found in await asyncio.gather(*tasks) if found is not None} == {"completed"}

    asyncio.run(main())
    assert set(holds) == {HOLD // 2}
