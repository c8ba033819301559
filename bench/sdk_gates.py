"""Whole gates as an application makes them, through `AsyncSignoff` in a process of its own, for the cost of the SDK."""

import asyncio
import json
import os
import subprocess
from typing import Any, Final

from bench.calls import decision
from bench.generator import Failed, Line, Requests, Script, drive, expect
from bench.machine import Used, usage
from bench.report import Figure, used_by
from bench.server import Server
from bench.waiter import waiter

_DECIDERS: Final = 8


async def through_the_sdk(server: Server, at_once: int, count: int) -> Figure:
    """So many gates; decisions are made by the light generator as soon as the asking process tells of them."""
    asked, requests = Line(), Requests(server.url, server.reviewer_key)
    with waiter(server, "gates", "--count", count, "--at-once", at_once) as process:
        async with asyncio.TaskGroup() as group:
            scripts = [_decide(asked, requests) for _ in range(_DECIDERS)]
            group.create_task(drive(server.url, scripts, _DECIDERS))
            used = await _listen(process, server, asked)
            for _ in range(_DECIDERS):
                asked.put(None)
    each = {f"{who}_cpu_ms_each": seconds / count * 1000 for who, seconds in used.cpu.items() if who != "reviewer"}
    return Figure(
        "gates_per_second.sdk",
        {"per_second": count / used.seconds, **each},
        "1/s",
        note=f"AsyncSignoff, `async with require_approval`, {at_once} in flight in one process, which bounds it",
        **used_by(used),
    )


def _decide(asked: Line, requests: Requests) -> Script:
    while (approval := (yield asked.next())) is not None:
        expect((yield decision(requests, approval)), 200)


async def _listen(process: "subprocess.Popen[str]", server: Server, asked: Line) -> Used:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), process.stdout)
    await _pass_on(lines, asked, until="begun")
    with usage(server=server.pid, client=process.pid, reviewer=os.getpid()) as used:
        await _pass_on(lines, asked, until="ended")
    return used


async def _pass_on(lines: asyncio.StreamReader, asked: Line, *, until: str) -> None:
    while line := await lines.readline():
        said: dict[str, Any] = json.loads(line)
        if until in said:
            return
        asked.put(said["pending"])
    raise Failed("the asking process has ended")
