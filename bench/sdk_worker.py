"""The same runs with `signoff worker`, as its operator starts it, in the place of the light worker."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.generator import drive
from bench.machine import usage
from bench.report import Figure, used_by
from bench.runs import Calls, Feed, Moments, run
from bench.server import ROOT, Server

_WORKER: Final = "from signoff.cli import main; main()"
_TOOLS: Final = """
import signoff


@signoff.tool("accounts.look_up")
async def look_up(account: str):
    return {"owner": "ACME GmbH", "since": "2019-04-01", "limit": "250000.00"}


@signoff.tool("payments.submit")
async def submit(account: str, amount: str, owner: str):
    return {"paid": True}
"""


@contextmanager
def worker(server: Server, folder: Path, at_once: int) -> "Iterator[subprocess.Popen[bytes]]":
    """A worker process with the tools of the two nodes; its log goes to `folder`."""
    tools = folder / "tools.py"
    tools.write_text(_TOOLS)
    arguments = ("worker", "--tools", str(tools), "--concurrency", str(at_once))
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, *arguments],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "SIGNOFF_URL": server.url, "SIGNOFF_WORKER_KEY": server.worker_key},
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(40)


async def through_the_sdk(server: Server, at_once: int, count: int, folder: Path) -> Figure:
    """So many runs, `at_once` of them under way. Where they stand is told by the feed."""
    calls, moments = Calls(server), Moments()
    with worker(server, folder, at_once) as process:
        feed = await Feed.dial(calls.reviewer, server.url, "execution.*", moments)
        try:
            # The first one waits for the worker to begin.
            await _drive(server, calls, moments, 1, 1)
            with usage(server=server.pid, worker=process.pid, client=os.getpid()) as used:
                await _drive(server, calls, moments, count, min(at_once, count))
        finally:
            feed.close()
    each = {f"{who}_cpu_ms_each": used.cpu[who] / count * 1000 for who in ("server", "worker")}
    return Figure(
        "runs_completed_per_second.sdk",
        {"per_second": count / used.seconds, **each},
        "1/s",
        note=f"`signoff worker --concurrency {at_once}`, whose tools return at once, {at_once} runs in flight",
        **used_by(used),
    )


async def _drive(server: Server, calls: Calls, moments: Moments, count: int, lanes: int) -> None:
    await asyncio.wait_for(drive(server.url, [run(calls, moments) for _ in range(count)], lanes), 120 + count)
