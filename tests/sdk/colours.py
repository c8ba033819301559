"""The two clients behind one face, and a time that tests command."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

from signoff import Approval, AsyncSignoff, Config, Signoff
from signoff.retry import Pace
from signoff.waiting import Mode
from signoff.wire import NetworkWire, Wire

LONG = 10.0


class FakePace:
    """Short pauses are over at once and move the clock; long ones last until `tick`."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.pauses: list[float] = []
        self._long: list[concurrent.futures.Future[None]] = []
        self._lock = threading.Condition()

    def pace(self) -> Pace:
        return Pace(clock=lambda: self.now, sleep=self._sleep, asleep=self._asleep, spread=lambda low, high: high)

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def _asleep(self, seconds: float) -> None:
        if seconds < LONG:
            self._sleep(seconds)
            await asyncio.sleep(0)
            return
        ticked: concurrent.futures.Future[None] = concurrent.futures.Future()
        with self._lock:
            self._long.append(ticked)
            self._lock.notify_all()
        await asyncio.wrap_future(ticked)

    def tick(self) -> None:
        """Wait for one long pause, and end it."""
        with self._lock:
            assert self._lock.wait_for(lambda: self._long, timeout=10)
            self._long.pop(0).set_result(None)


class SyncColour:
    name = "sync"

    def __init__(
        self, url: str, pace: FakePace, *, mode: Mode = "poll", key: str = "sgo_test_key", wire: Wire | None = None
    ) -> None:
        config = Config(url, key)
        self.client = Signoff._over(
            config,
            lambda: wire or NetworkWire(config, client_name="sdk", ssl_context=None),
            mode=mode,
            pace=pace.pace(),
        )

    def require(self, *args: Any, **options: Any) -> Approval:
        return self.client.require_approval(*args, **options)

    def enter(self, body: Callable[[Approval], Any], *args: Any, **options: Any) -> Any:
        with self.client.require_approval(*args, **options) as approval:
            return body(approval)

    def enter_while(self, inside: Callable[[], None], *args: Any, **options: Any) -> None:
        """Enter, and stay while `inside` blocks."""
        with self.client.require_approval(*args, **options):
            inside()

    def call(self, group: str, method: str, *args: Any, **options: Any) -> Any:
        return getattr(getattr(self.client, group), method)(*args, **options)

    def all(self, group: str, method: str, *args: Any, **options: Any) -> list[Any]:
        return list(self.call(group, method, *args, **options))

    def ledger(self, **options: Any) -> list[Any]:
        return list(self.client.events(**options))

    def close(self) -> None:
        self.client.close()


class AsyncColour:
    name = "async"

    def __init__(
        self, url: str, pace: FakePace, *, mode: Mode = "poll", key: str = "sgo_test_key", wire: Wire | None = None
    ) -> None:
        config = Config(url, key)
        self.client = AsyncSignoff._over(
            config,
            lambda: wire or NetworkWire(config, client_name="sdk", ssl_context=None),
            mode=mode,
            pace=pace.pace(),
        )
        self._runner = asyncio.Runner()

    def require(self, *args: Any, **options: Any) -> Approval:
        async def run() -> Approval:
            return await self.client.require_approval(*args, **options)

        return self._runner.run(run())

    def enter(self, body: Callable[[Approval], Any], *args: Any, **options: Any) -> Any:
        async def run() -> Any:
            async with self.client.require_approval(*args, **options) as approval:
                return body(approval)

        return self._runner.run(run())

    def enter_while(self, inside: Callable[[], None], *args: Any, **options: Any) -> None:
        async def run() -> None:
            async with self.client.require_approval(*args, **options):
                await asyncio.to_thread(inside)

        self._runner.run(run())

    def call(self, group: str, method: str, *args: Any, **options: Any) -> Any:
        async def run() -> Any:
            return await getattr(getattr(self.client, group), method)(*args, **options)

        return self._runner.run(run())

    def all(self, group: str, method: str, *args: Any, **options: Any) -> list[Any]:
        async def run() -> list[Any]:
            return [each async for each in getattr(getattr(self.client, group), method)(*args, **options)]

        return self._runner.run(run())

    def ledger(self, **options: Any) -> list[Any]:
        async def run() -> list[Any]:
            return [each async for each in self.client.events(**options)]

        return self._runner.run(run())

    def close(self) -> None:
        self._runner.run(self.client.aclose())
        self._runner.close()


Colour = SyncColour | AsyncColour
