"""The four calls over HTTP: what is sent, what is tried again, and what the answers mean."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from signoff import APIConnectionError, AuthenticationError, InvalidRequest, ServerError, SignoffError
from signoff.protocol.workflows import HeartbeatReply, LeaseWork, OfferedTool
from signoff.retry import Pace
from signoff.transport import Incoming, Outgoing
from signoff.worker.outcome import Failed, Unknown
from signoff.worker.queue import HTTPWorkQueue, NotOurs, Refused
from tests.worker.doubles import item

ASK = LeaseWork(request="ask:1", tools=[OfferedTool(name="a.tool")], max=2, wait=25)
SETTLED = {"id": "wrk_1", "status": "completed"}
BEAT = {"lease_until": "2026-11-25T12:00:30Z", "cancelled": True}
GONE = APIConnectionError()


def reply(said: Any, status: int = 200, **headers: str) -> Incoming:
    media = "application/problem+json" if status >= 400 else "application/json"
    return Incoming(status, {"content-type": media, **headers}, json.dumps(said).encode())


def problem(status: int, code: str) -> Incoming:
    said = {"type": "urn:x", "title": "No", "status": status, "detail": "Because.", "code": code, "request_id": "r"}
    return reply(said, status)


class Wire:
    """Answers each request with the next of what a test tells, the last for ever; time passes by the pauses."""

    def __init__(self, *answers: Incoming | Exception) -> None:
        self.sent: list[Outgoing] = []
        self.passed = 0.0
        self._answers = list(answers)
        pace = Pace(clock=lambda: self.passed, asleep=self._asleep, spread=lambda low, high: high)
        self.queue = HTTPWorkQueue(self, self, pace)

    async def send(self, request: Outgoing, patience: float | None) -> Incoming:
        self.sent.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None: ...

    async def _asleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(each.body or b"") for each in self.sent]


def lease(queue: HTTPWorkQueue) -> Awaitable[Any]:
    return queue.lease(ASK)


def heartbeat(queue: HTTPWorkQueue) -> Awaitable[Any]:
    return queue.heartbeat("wrk_1", 7)


def complete(queue: HTTPWorkQueue) -> Awaitable[Any]:
    return queue.complete("wrk_1", 7, {"a": "é"})


def fail(queue: HTTPWorkQueue) -> Awaitable[Any]:
    return queue.fail("wrk_1", 7, Failed("no", retryable=False))


Verb = Callable[[HTTPWorkQueue], Awaitable[Any]]


def run(wire: Wire, verb: Verb) -> Any:
    async def within_a_loop() -> Any:
        return await verb(wire.queue)

    return asyncio.run(within_a_loop())


def test_what_is_sent() -> None:
    wire = Wire(reply({"items": [item().model_dump(mode="json")]}, date="Wed, 25 Nov 2026 12:00:00 GMT"))
    leased = run(wire, lease)
    assert leased.items == (item(),)
    assert leased.server_time == datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert (wire.sent[0].method, wire.sent[0].path, wire.sent[0].hold) == ("POST", "/v1/work/lease", 25)
    assert wire.bodies == [{"request": "ask:1", "tools": [{"name": "a.tool"}], "max": 2, "wait": 25}]
    wire = Wire(reply(BEAT), reply(SETTLED))
    assert isinstance(run(wire, heartbeat), HeartbeatReply)
    assert run(wire, complete) == "completed"
    assert run(wire, fail) == "completed"
    assert run(wire, lambda queue: queue.fail("wrk_1", 7, Unknown("?"))) == "completed"
    assert [each.path.removeprefix("/v1/work/wrk_1/") for each in wire.sent] == [
        "heartbeat",
        "complete",
        "fail",
        "fail",
    ]
    assert wire.bodies == [
        {"fence": 7},
        {"fence": 7, "output": {"a": "é"}},
        {"fence": 7, "outcome": "failed", "message": "no", "retryable": False},
        {"fence": 7, "outcome": "unknown", "message": "?", "retryable": True},
    ]


@pytest.mark.parametrize("date", ["", "yesterday", "Wed, 25 Nov 2026 12:00:00"])
def test_a_date_that_is_none_tells_no_time(date: str) -> None:
    assert run(Wire(reply({"items": []}, date=date)), lease).server_time is None


TRANSIENT = [
    GONE,
    problem(429, "rate_limited"),
    problem(500, "internal"),
    problem(502, "unavailable"),
    problem(503, "unavailable"),
    problem(507, "storage_full"),
    Incoming(502, {"content-type": "text/html"}, b"<html>"),
    Incoming(200, {"content-type": "text/html"}, b"<html>"),
    reply({"other": 1}),
    reply({"id": "wrk_2", "status": "completed", "items": 7}),
]


@pytest.mark.parametrize(
    ("verb", "good"), [(lease, reply({"items": []})), (complete, reply(SETTLED)), (fail, reply(SETTLED))]
)
@pytest.mark.parametrize("trouble", TRANSIENT, ids=str)
def test_it_goes_on_until_it_is_answered(verb: Verb, good: Incoming, trouble: Incoming | Exception) -> None:
    wire = Wire(*[trouble] * 30, good)
    run(wire, verb)
    assert len(wire.sent) == 31
    assert len({each.body for each in wire.sent}) == 1, "the same request each time"
    assert wire.passed < 31 * 2.1


@pytest.mark.parametrize("verb", [complete, fail])
def test_a_key_that_is_not_taken_does_not_end_a_report(verb: Verb) -> None:
    wire = Wire(problem(401, "unauthenticated"), problem(403, "forbidden"), reply(SETTLED))
    assert run(wire, verb) == "completed"


@pytest.mark.parametrize(
    ("verb", "answer", "error"),
    [
        (lease, problem(401, "unauthenticated"), AuthenticationError),
        (lease, problem(404, "not_found"), SignoffError),
        (lease, problem(422, "invalid"), InvalidRequest),
        (heartbeat, problem(409, "stale_fence"), NotOurs),
        (heartbeat, problem(404, "not_found"), NotOurs),
        (heartbeat, problem(500, "internal"), ServerError),
        (heartbeat, problem(401, "unauthenticated"), AuthenticationError),
        (complete, problem(409, "stale_fence"), NotOurs),
        (complete, problem(404, "not_found"), NotOurs),
        (complete, problem(413, "too_large"), Refused),
        (complete, problem(422, "invalid"), Refused),
        (fail, problem(409, "stale_fence"), NotOurs),
        (fail, problem(404, "not_found"), NotOurs),
        (fail, problem(422, "invalid"), Refused),
    ],
)
def test_what_no_waiting_cures(verb: Verb, answer: Incoming, error: type[Exception]) -> None:
    wire = Wire(answer)
    with pytest.raises(error):
        run(wire, verb)
    assert len(wire.sent) == 1


def test_a_heartbeat_gives_up_before_the_next_is_due() -> None:
    wire = Wire(GONE)
    with pytest.raises(APIConnectionError):
        run(wire, heartbeat)
    assert 1 < wire.passed < 10
