"""A server, a time and tools that a test commands, all in one event loop: no network, no threads, no waiting."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from signoff import ToolContext
from signoff.protocol.workflows import HeartbeatReply, LeaseWork, WorkItem
from signoff.retry import Pace
from signoff.worker.calls import Leased
from signoff.worker.outcome import Completed, Failed, Outcome, Unknown
from signoff.worker.redaction import Redactor
from signoff.worker.toolbox import Toolbox

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
CONTEXT = ToolContext("exe_1", "payments", "submit", "payments.submit", "exe_1/submit/1")


def item(number: int = 1, *, tool: str = "payments.submit", left: float | None = None, **more: Any) -> WorkItem:
    """`left`: seconds to its deadline."""
    return WorkItem(
        **{
            "id": f"wrk_{number}",
            "execution_id": f"exe_{number}",
            "workflow_id": "payments",
            "node_id": "submit",
            "tool": tool,
            "visit": 1,
            "attempt": 1,
            "fence": 7,
            "execution_key": f"exe_{number}/submit/1",
            "input": {"amount": "50.00"},
            "approval_id": None,
            "lease_until": NOW + timedelta(seconds=30),
            "deadline": None if left is None else NOW + timedelta(seconds=left),
            "max_attempts": 3,
            **more,
        }
    )


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until it is so."""
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


class Time:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def pace(self) -> Pace:
        return Pace(clock=lambda: self.passed, asleep=self._asleep, spread=lambda low, high: high)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    async def move(self, seconds: float) -> None:
        """Each second in turn, and whoever waits for it."""
        await turn()
        end = self.passed + seconds
        while self.passed < end:
            self.passed = min(end, self.passed + 1.0)
            await turn()
            for at, future in list(self._sleepers):
                if at <= self.passed and not future.done():
                    future.set_result(None)
            await turn()

    async def _asleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.passed + seconds, future))
        await future


async def turn() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Queue:
    """Hands out what a test offers, and keeps what is reported. An exception that is told is raised instead."""

    def __init__(self) -> None:
        self.asks: list[LeaseWork] = []
        self.beats: list[str] = []
        self.reports: list[tuple[str, Any]] = []
        self.trouble: dict[str, Exception] = {}
        self.cancelled = False
        self.server_time: datetime | None = None
        self.at_last: list[WorkItem] = []
        self._offers: asyncio.Queue[list[WorkItem]] = asyncio.Queue()

    def offer(self, *items: WorkItem) -> None:
        self._offers.put_nowait(list(items))

    async def lease(self, ask: LeaseWork) -> Leased:
        self.asks.append(ask)
        if "lease" in self.trouble:
            raise self.trouble["lease"]
        items = await self._offers.get() if ask.wait else self.at_last
        return Leased(tuple(items), self.server_time)

    async def heartbeat(self, item_id: str, fence: int) -> HeartbeatReply:
        self.beats.append(item_id)
        if "heartbeat" in self.trouble:
            raise self.trouble["heartbeat"]
        return HeartbeatReply(lease_until=NOW, cancelled=self.cancelled)

    async def complete(self, item_id: str, fence: int, output: Any) -> str:
        return self._settle("complete", item_id, output)

    async def fail(self, item_id: str, fence: int, outcome: Failed | Unknown) -> str:
        return self._settle("fail", item_id, outcome)

    def _settle(self, verb: str, item_id: str, what: Any) -> str:
        self.reports.append((item_id, what))
        if verb in self.trouble:
            raise self.trouble[verb]
        return "completed"


class Tool:
    """Runs until a test says what comes of it. One that cannot be stopped is as a thread."""

    idempotent = False
    place = "here"

    def __init__(self, name: str = "payments.submit", *, can_stop: bool = True, stubborn: bool = False) -> None:
        self.name = name
        self.can_stop = can_stop
        self.contexts: list[ToolContext] = []
        self.inputs: list[Mapping[str, Any]] = []
        self._stubborn = stubborn
        self._outcomes: asyncio.Queue[Outcome] = asyncio.Queue()

    def end(self, outcome: Outcome = Completed({"ok": True})) -> None:  # noqa: B008 - frozen
        self._outcomes.put_nowait(outcome)

    async def run(self, input: Mapping[str, Any], context: ToolContext) -> Outcome:  # noqa: A002
        self.inputs.append(input)
        self.contexts.append(context)
        while True:
            try:
                return await self._outcomes.get()
            except asyncio.CancelledError:
                if not self._stubborn:
                    return Unknown("It was cancelled.", "CancelledError")


def box(*tools: Any, secrets: tuple[str, ...] = ()) -> Toolbox:
    return Toolbox(tools, redactor=Redactor(secrets))
