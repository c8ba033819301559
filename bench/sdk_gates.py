"""Whole gates as an application makes them, through `AsyncSignoff` in a process of its own, for the cost of the SDK."""

import asyncio
import json
import os
import subprocess
from collections import deque
from typing import Any, Final

from bench.calls import decision
from bench.generator import Failed, Requests, Script, Signal, drive, expect
from bench.machine import Used, usage
from bench.report import Figure, used_by
from bench.server import Server
from bench.waiter import waiter

_DECIDERS: Final = 8


class _Asked:
    """What was asked and is still to be decided; ends with `None` for everybody."""

    def __init__(self) -> None:
        self._ids: deque[str | None] = deque()
        self._idle: deque[Signal] = deque()

    def put(self, approval: str | None) -> None:
        if self._idle:
            self._idle.popleft().give(approval)
        else:
            self._ids.append(approval)

    def next(self) -> Signal:
        signal = Signal()
        if self._ids:
            signal.give(self._ids.popleft())
        else:
            self._idle.append(signal)
        return signal


async def through_the_sdk(server: Server, at_once: int, count: int) -> Figure:
    """So many gates; decisions are made by the light generator as soon as the asking process tells of them."""
    asked, requests = _Asked(), Requests(server.url, server.reviewer_key)
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


def _decide(asked: _Asked, requests: Requests) -> Script:
    while (approval := (yield asked.next())) is not None:
        expect((yield decision(requests, approval)), 200)


async def _listen(process: "subprocess.Popen[str]", server: Server, asked: _Asked) -> Used:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), process.stdout)
    await _pass_on(lines, asked, until="begun")
    with usage(server=server.pid, client=process.pid, reviewer=os.getpid()) as used:
        await _pass_on(lines, asked, until="ended")
    return used


async def _pass_on(lines: asyncio.StreamReader, asked: _Asked, *, until: str) -> None:
    while line := await lines.readline():
        said: dict[str, Any] = json.loads(line)
        if until in said:
            return
        asked.put(said["pending"])
    raise Failed("the asking process has ended")
