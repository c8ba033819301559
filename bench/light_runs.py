"""Many runs at once, started, decided and worked on by the light generator."""

import asyncio
from typing import Final

from bench.calls import LANES
from bench.generator import Driven, Line, drive
from bench.runs import Calls, Feed, Moments, complete, lease, run
from bench.server import Server

_REPORTERS: Final = 16


async def runs_in_flight(server: Server, count: int) -> Driven:
    """So many runs of two nodes, `LANES` of them under way at once. Raises `ExceptionGroup`."""
    calls, moments, line = Calls(server), Moments(), Line()
    feed = await Feed.dial(calls.reviewer, server.url, "execution.parked", moments)
    try:
        async with asyncio.TaskGroup() as group:
            worker = [lease(calls, line), *(complete(calls, line, moments) for _ in range(_REPORTERS))]
            working = group.create_task(drive(server.url, worker, len(worker)))
            driven = await drive(server.url, [run(calls, moments) for _ in range(count)], min(LANES, count))
            working.cancel()
    finally:
        feed.close()
    return driven
