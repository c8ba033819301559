"""Many gates at once: decided as soon as they are asked, nobody is left waiting; ten thousand wait on one socket."""

import asyncio
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Self

import httpx
import pytest

from signoff import Approval, AsyncSignoff, Config, Signoff
from signoff.protocol.models import ResolvedApproval
from signoff.retry import Pace
from signoff.waiting import Waits
from signoff.wire import NetworkWire
from tests.e2e.plain_http import post_all
from tests.support.databases import Databases, only
from tests.support.server import RunningServer

GATES: Final = 250
WAITS: Final = 10_000
# One key asks here for more in a second than a key is given.
UNPACED: Final = (
    "from signoff_server.web import quotas\n"
    "quotas.Pace.check = lambda *_: None\n"
    "from signoff_server.commands import dev\n"
    "dev()\n"
)
_SLOWEST: Final = 10.0
_ALL: Final = 30.0


@pytest.fixture(scope="module")
def server(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("gates")
    with databases.ready() as database, RunningServer(folder, database=database, code=UNPACED) as running:
        yield running


class Reviewer:
    """Approves whatever it is shown, 0–10 ms later, from a thread of its own."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._chance = random.Random(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._deciding: list[Future[None]] = []
        self.acknowledged: dict[str, float] = {}

    def soon(self, approval: Approval) -> None:
        """For `on_pending`."""
        self._deciding.append(asyncio.run_coroutine_threadsafe(self._decide(approval.id), self._loop))

    async def _decide(self, approval: str) -> None:
        moment = asyncio.Event()
        self._loop.call_later(self._chance.uniform(0, 0.01), moment.set)
        await moment.wait()
        await self._client.approvals.decide(approval, "approved")
        self.acknowledged[approval] = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        self._client = AsyncSignoff(self._server.url, self._server.reviewer_key)
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._deciding:
            each.result(60)
        asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _in_threads(server: RunningServer, transport: Any, on_pending: Callable[[Approval], None]) -> dict[str, float]:
    with Signoff(server.url, server.app_key, transport=transport) as client, ThreadPoolExecutor(GATES) as pool:

        def gate(at: int) -> tuple[str, float]:
            approval = client.require_approval("gate.open", {"at": at}, on_pending=on_pending)
            return approval.id, time.monotonic()

        return dict(pool.map(gate, range(GATES)))


def _in_tasks(server: RunningServer, transport: Any, on_pending: Callable[[Approval], None]) -> dict[str, float]:
    async def gate(client: AsyncSignoff, at: int) -> tuple[str, float]:
        approval = await client.require_approval("gate.open", {"at": at}, on_pending=on_pending)
        return approval.id, time.monotonic()

    async def gates() -> dict[str, float]:
        async with AsyncSignoff(server.url, server.app_key, transport=transport) as client:
            return dict(await asyncio.gather(*(gate(client, at) for at in range(GATES))))

    return asyncio.run(gates())


Ask = Callable[[RunningServer, Any, Callable[[Approval], None]], dict[str, float]]


@pytest.mark.parametrize("transport", ["websocket", "poll"])
@pytest.mark.parametrize("ask", [_in_threads, _in_tasks])
def test_gates_decided_within_moments_of_their_creation_all_open(
    server: RunningServer, transport: str, ask: Ask
) -> None:
    check_gates(server, transport, ask)


@only("pgbouncer")
def test_they_open_through_a_pooler_too(server: RunningServer) -> None:
    check_gates(server, "websocket", _in_tasks)


def check_gates(server: RunningServer, transport: str, ask: Ask) -> None:
    begun = time.monotonic()
    with Reviewer(server) as reviewer:
        returned = ask(server, transport, reviewer.soon)
    seconds = time.monotonic() - begun

    assert returned.keys() == reviewer.acknowledged.keys()
    assert len(returned) == GATES
    late = sorted(returned[each] - reviewer.acknowledged[each] for each in returned)
    told = f"p50 {late[GATES // 2]:.3f} s, p99 {late[GATES * 99 // 100]:.3f} s, all in {seconds:.1f} s"
    assert late[-1] < _SLOWEST, told
    assert seconds < _ALL, told


# Twenty thousand writes and as many answers: a machine at work on other things takes its time.
@pytest.mark.timeout(300)
@only("sqlite")
def test_ten_thousand_wait_on_one_socket_and_all_are_answered(server: RunningServer) -> None:
    config = Config(server.url, server.app_key)

    async def story() -> list[ResolvedApproval]:
        asks = [("/v1/approvals", {"name": "gate.open", "context": {"at": at}}) for at in range(WAITS)]
        ids = [made["id"] for made in await post_all(server.url, server.app_key, asks)]
        wire = NetworkWire(config, client_name="sdk", ssl_context=None)
        waits = Waits(wire.dial, _never, mode="websocket", pace=Pace())
        waiting = asyncio.gather(*(waits.wait(each) for each in ids))
        decisions = [(f"/v1/approvals/{each}/decision", {"decision": "approved"}) for each in ids]
        # The first is told on a socket that watches all: what was sent before it was taken before it.
        await post_all(server.url, server.reviewer_key, decisions[-1:])
        await waits.wait(ids[-1])
        assert _gauge(server, "signoff_watch_sockets") == 1
        # All but the first, and the key.
        assert _gauge(server, "signoff_waiting_subjects") == WAITS
        await post_all(server.url, server.reviewer_key, decisions[:-1])
        told = await waiting
        await waits.close()
        return told

    told = asyncio.run(story())
    assert [each.status for each in told] == ["approved"] * WAITS
    assert len({each.id for each in told}) == WAITS


async def _never(approval: str, _hold: int) -> ResolvedApproval:
    raise AssertionError(f"{approval} was polled for")


def _gauge(server: RunningServer, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", httpx.get(f"{server.url}/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])
