"""The loop against a scripted server: leases, heartbeats, deadlines, fences, and the end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from signoff import AuthenticationError, ServerError
from signoff.worker.loop import Worker
from signoff.worker.outcome import Completed, Failed, Unknown
from signoff.worker.queue import NotOurs, Refused
from tests.worker.doubles import NOW, Queue, Time, Tool, box, item, turn, until


class Stage:
    """One worker with its doubles."""

    def __init__(self, *tools: Tool, secrets: tuple[str, ...] = (), **options: Any) -> None:
        self.tools = tools or (Tool(),)
        self.queue, self.time = Queue(), Time()
        self.worker = Worker(
            box(*self.tools, secrets=secrets), self.queue, pace=self.time.pace(), now=self.time.now, **options
        )
        self.running = asyncio.create_task(self.worker.run())

    @property
    def tool(self) -> Tool:
        return self.tools[0]

    @property
    def reports(self) -> list[tuple[str, Any]]:
        return self.queue.reports

    async def begin(self, *items: Any) -> None:
        """Offer them, and see them begun."""
        before = sum(len(tool.contexts) for tool in self.tools)
        self.queue.offer(*items)
        await until(lambda: sum(len(tool.contexts) for tool in self.tools) == before + len(items))


@asynccontextmanager
async def stage(*tools: Tool, **options: Any) -> AsyncIterator[Stage]:
    made = Stage(*tools, **options)
    try:
        yield made
    finally:
        made.worker.stop()
        for tool in made.tools:
            for _ in tool.contexts:
                tool.end()
        await until(made.running.done)


def in_a_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    run.__name__ = test.__name__
    return run


@in_a_loop
async def test_an_item_is_run_and_reported() -> None:
    async with stage(name="one") as it:
        await it.begin(item())
        assert it.tool.inputs == [{"amount": "50.00"}]
        context = it.tool.contexts[0]
        assert (context.execution_key, context.attempt, context.max_attempts) == ("exe_1/submit/1", 1, 3)
        assert (context.deadline, context.approval_id, bool(context.cancelled)) == (None, None, False)
        it.tool.end(Completed({"id": 4}))
        await until(lambda: it.reports)
        assert it.reports == [("wrk_1", {"id": 4})]
        ask = it.queue.asks[0]
        assert (ask.max, ask.wait, ask.worker, [each.name for each in ask.tools]) == (
            10,
            25,
            "one",
            ["payments.submit"],
        )


@in_a_loop
async def test_each_ask_is_a_new_request_for_the_free_slots() -> None:
    async with stage(concurrency=3) as it:
        await it.begin(item(1), item(2))
        await until(lambda: len(it.queue.asks) == 2)
        await it.begin(item(3))
        assert [ask.max for ask in it.queue.asks] == [3, 1], "with all slots taken nothing is asked for"
        it.tool.end()
        await until(lambda: len(it.queue.asks) == 3)
        assert it.queue.asks[2].max == 1
        assert len({ask.request for ask in it.queue.asks}) == 3


@in_a_loop
async def test_the_same_item_twice_is_run_once() -> None:
    async with stage() as it:
        await it.begin(item())
        it.queue.offer(item())
        await turn()
        assert len(it.tool.contexts) == 1
        await it.begin(item(fence=8))


@in_a_loop
async def test_a_lease_is_renewed_each_ten_seconds() -> None:
    async with stage() as it:
        await it.begin(item(1), item(2))
        await it.time.move(25)
        assert sorted(it.queue.beats) == ["wrk_1", "wrk_1", "wrk_2", "wrk_2"]
        it.tool.end()
        await until(lambda: it.reports)
        await it.time.move(10)
        assert len(it.queue.beats) == 5, "what was reported is not renewed"


@in_a_loop
async def test_a_server_that_is_away_does_not_end_the_renewing() -> None:
    async with stage() as it:
        await it.begin(item())
        it.queue.trouble["heartbeat"] = ServerError()
        await it.time.move(20)
        del it.queue.trouble["heartbeat"]
        await it.time.move(10)
        assert len(it.queue.beats) == 3


@in_a_loop
async def test_a_lost_lease_is_not_renewed_and_its_late_report_dropped() -> None:
    async with stage() as it:
        await it.begin(item())
        it.queue.trouble["heartbeat"] = it.queue.trouble["complete"] = NotOurs()
        await it.time.move(40)
        assert it.queue.beats == ["wrk_1"]
        assert not it.tool.contexts[0].cancelled, "it may be a payment that is just being made"
        it.tool.end()
        await until(lambda: it.reports)
        await turn()
        assert it.reports == [("wrk_1", {"ok": True})], "refused once, and not tried again"
        assert len(it.queue.asks) >= 2, "the worker goes on"


@in_a_loop
async def test_cancelled_ends_an_async_tool_and_tells_a_thread() -> None:
    thread = Tool("slow", can_stop=False)
    async with stage(Tool(), thread) as it:
        await it.begin(item(1), item(2, tool="slow"))
        it.queue.cancelled = True
        await it.time.move(10)
        assert all(tool.contexts[0].cancelled for tool in it.tools)
        assert it.reports == [("wrk_1", Unknown("It was cancelled.", "CancelledError"))]
        await it.time.move(10)
        assert it.queue.beats.count("wrk_2") == 2, "a thread keeps its lease until it returns"
        thread.end(Failed("stopped before anything was sent"))
        await until(lambda: len(it.reports) == 2)


@in_a_loop
async def test_at_the_deadline_an_async_tool_is_cancelled() -> None:
    async with stage() as it:
        await it.begin(item(left=20))
        await it.time.move(19)
        assert not it.reports
        await it.time.move(1)
        assert it.tool.contexts[0].cancelled
        assert it.reports == [("wrk_1", Unknown("It was cancelled.", "CancelledError"))]


@in_a_loop
async def test_a_tool_that_will_not_be_cancelled_is_given_up() -> None:
    async with stage(Tool(stubborn=True), concurrency=1) as it:
        await it.begin(item(left=20))
        await it.time.move(24)
        assert not it.reports
        await it.time.move(1)
        assert [type(what) for _, what in it.reports] == [Unknown]
        assert len(it.queue.asks) == 1, "its slot is taken until it returns"


@in_a_loop
async def test_a_thread_beyond_its_deadline_is_unknown_and_tells_late_what_it_did() -> None:
    async with stage(Tool(can_stop=False), concurrency=1) as it:
        await it.begin(item(left=20))
        await it.time.move(20)
        assert [type(what) for _, what in it.reports] == [Unknown]
        await it.time.move(30)
        assert (len(it.queue.asks), len(it.queue.beats)) == (1, 2), "no lease, and no free slot"
        it.tool.end(Completed({"paid": True}))
        await until(lambda: len(it.queue.asks) == 2)
        assert it.reports[1] == ("wrk_1", {"paid": True})


@in_a_loop
async def test_what_is_still_unknown_late_is_not_told_twice() -> None:
    async with stage(Tool(can_stop=False)) as it:
        await it.begin(item(left=20))
        await it.time.move(20)
        it.tool.end(Unknown("no idea"))
        await turn()
        assert len(it.reports) == 1


@in_a_loop
async def test_a_deadline_that_is_over_starts_nothing() -> None:
    async with stage() as it:
        it.queue.offer(item(left=0))
        await until(lambda: it.reports)
        assert isinstance(it.reports[0][1], Failed)
        assert not it.tool.contexts


@in_a_loop
async def test_deadlines_are_told_by_the_server_s_clock() -> None:
    async with stage() as it:
        it.queue.server_time = NOW + timedelta(minutes=5)
        it.queue.offer(item(left=320))
        await until(lambda: it.tool.contexts)
        await it.time.move(20)
        await until(lambda: it.reports)


@in_a_loop
async def test_an_answer_that_was_held_is_no_clock_that_goes_wrong() -> None:
    """Servers date an answer by when the question came, or by when it is answered."""
    for dated in (NOW, NOW + timedelta(seconds=25)):
        async with stage() as it:
            it.queue.server_time = dated
            await it.time.move(25)
            it.queue.offer(item(left=45))
            await until(lambda it=it: it.tool.contexts)
            await it.time.move(19)
            assert not it.reports
            await it.time.move(1)
            await until(lambda it=it: it.reports)


@in_a_loop
async def test_a_tool_that_was_not_offered_is_failed() -> None:
    async with stage() as it:
        it.queue.offer(item(tool="other"))
        await until(lambda: it.reports)
        assert it.reports[0][1].message == "This worker has no tool other."


@in_a_loop
async def test_a_result_that_the_server_refuses_is_unknown() -> None:
    async with stage() as it:
        it.queue.trouble["complete"] = Refused("too large")
        await it.begin(item())
        it.tool.end()
        await until(lambda: len(it.reports) == 2)
        assert isinstance(it.reports[1][1], Unknown)
        assert "too large" in it.reports[1][1].message


@in_a_loop
async def test_secrets_are_in_no_report() -> None:
    async with stage(secrets=("s3cr3t-token",)) as it:
        await it.begin(item(1), item(2))
        it.tool.end(Completed({"echo": ["Bearer s3cr3t-token"]}))
        it.tool.end(Failed("a" * 1_994 + "s3cr3t-token and more"))
        await until(lambda: len(it.reports) == 2)
        assert it.reports[0][1] == {"echo": ["Bearer [redacted]"]}
        assert "s3c" not in it.reports[1][1].message
        assert len(it.reports[1][1].message) <= 2_000


@in_a_loop
async def test_an_answer_that_came_too_soon_is_not_asked_for_in_a_rush() -> None:
    async with stage() as it:
        it.queue.offer()
        await turn()
        assert len(it.queue.asks) == 1
        await it.time.move(1)
        await until(lambda: len(it.queue.asks) == 2)


@in_a_loop
async def test_the_end_waits_for_what_runs() -> None:
    async with stage(grace=30) as it:
        await it.begin(item())
        it.worker.stop()
        await it.time.move(29)
        assert not it.running.done()
        assert it.queue.beats == ["wrk_1", "wrk_1"], "renewed to the end"
        it.tool.end()
        await until(it.running.done)
        assert it.reports == [("wrk_1", {"ok": True})]


@in_a_loop
async def test_after_the_grace_what_runs_is_unknown() -> None:
    thread = Tool("slow", can_stop=False)
    async with stage(Tool(), thread, grace=30) as it:
        await it.begin(item(1), item(2, tool="slow"))
        it.worker.stop()
        await it.time.move(30)
        await until(it.running.done)
        assert sorted((name, type(what)) for name, what in it.reports) == [("wrk_1", Unknown), ("wrk_2", Unknown)]


@in_a_loop
async def test_draining_waits_for_as_long_as_it_takes() -> None:
    async with stage(grace=1) as it:
        await it.begin(item())
        it.worker.drain()
        await it.time.move(100)
        assert not it.running.done()
        it.worker.stop()
        await it.time.move(1)
        await until(it.running.done)


@in_a_loop
async def test_draining_leaves_a_thread_that_outlived_its_deadline() -> None:
    async with stage(Tool(can_stop=False), grace=30) as it:
        await it.begin(item(left=20))
        await it.time.move(20)
        it.worker.drain()
        await until(it.running.done)


@in_a_loop
async def test_stopping_hears_a_thread_that_outlived_its_deadline() -> None:
    async with stage(Tool(can_stop=False), grace=30) as it:
        await it.begin(item(left=20))
        await it.time.move(20)
        it.worker.stop()
        await it.time.move(29)
        assert not it.running.done()
        it.tool.end()
        await until(it.running.done)
        assert it.reports[1:] == [("wrk_1", {"ok": True})]


@in_a_loop
async def test_what_was_handed_out_in_the_moment_of_the_end_is_run() -> None:
    async with stage() as it:
        await until(lambda: it.queue.asks)
        it.queue.at_last = [item()]
        it.worker.stop()
        await until(lambda: it.tool.contexts)
        first, last = it.queue.asks
        assert (first.request, first.wait, last.wait) == (last.request, 25, 0)
        it.tool.end()
        await until(it.running.done)
        assert it.reports == [("wrk_1", {"ok": True})]


def test_a_revoked_key_ends_the_worker_after_what_runs() -> None:
    async def run() -> None:
        it = Stage(concurrency=2)
        it.queue.offer(item())
        await until(lambda: len(it.queue.asks) == 2 and it.tool.contexts)
        it.queue.trouble["lease"] = AuthenticationError()
        it.queue.offer()
        await it.time.move(1)
        await until(lambda: len(it.queue.asks) == 3)
        assert not it.running.done()
        it.tool.end()
        await until(it.running.done)
        assert it.reports
        await it.running

    with pytest.raises(AuthenticationError):
        asyncio.run(run())


def test_the_log_tells_what_came_of_it_and_no_input(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with stage() as it:
            await it.begin(item(1, input={"iban": "DE89"}), item(2))
            it.tool.end()
            it.tool.end(Failed("no account DE89", where="ValueError at tools.py:3"))
            await until(lambda: len(it.reports) == 2)

    caplog.set_level(logging.INFO, logger="signoff")
    asyncio.run(run())
    lines = sorted(record.getMessage() for record in caplog.records if "attempt" in record.getMessage())
    assert lines == [
        "payments.submit exe_1 attempt 1: completed, 0 ms",
        "payments.submit exe_2 attempt 1: failed, 0 ms (ValueError at tools.py:3)",
    ]
    assert "DE89" not in caplog.text
