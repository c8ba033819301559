"""A process that asks and waits through the public SDK, told about by JSON lines on stdout.

`python -m bench.waiter HOW --count N …`; the server and the key come from SIGNOFF_URL and SIGNOFF_API_KEY.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

from bench.machine import memory
from bench.server import ROOT, Server
from signoff import AsyncSignoff, Signoff

NAME: Final = "payments.wire_transfer"
CONTEXT: Final = {"amount": "50000.00", "currency": "EUR", "to": "DE89 3704 0044 0532 0130 00", "memo": "invoice 4711"}
# About what the server says of a decision.
_ECHOED: Final = "x" * 900


@contextmanager
def waiter(server: Server, *arguments: object) -> "Iterator[subprocess.Popen[str]]":
    """The process, with the application's key; it reads commands from stdin where it takes any."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.waiter", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "SIGNOFF_URL": server.url, "SIGNOFF_API_KEY": server.app_key},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        process.stdout.close()


def heard(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The next line that the process says."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the waiting process has ended")
    said: dict[str, Any] = json.loads(line)
    return said


def tell(process: "subprocess.Popen[str]", line: str) -> None:
    """Say something to the process."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def _pending(approval: Any) -> None:
    say(pending=approval.id)


async def _echo(connection: ClientConnection) -> float:
    begun = monotonic()
    await connection.send(_ECHOED)
    await connection.recv()
    return monotonic() - begun


async def _rounds_async(options: argparse.Namespace) -> None:
    """Gates one after another; between them the same way to a server with nothing on it."""
    async with AsyncSignoff(transport=options.transport) as client, connect(options.echo, compression=None) as echo:
        for _ in range(options.count):
            await client.require_approval(NAME, CONTEXT, idempotency_key=uuid.uuid4().hex, on_pending=_pending)
            say(resumed=monotonic())
            say(echo=await _echo(echo))


def _rounds_sync(options: argparse.Namespace) -> None:
    with Signoff(transport=options.transport) as client, asyncio.Runner() as runner:
        echo = runner.run(_dial(options.echo))
        for _ in range(options.count):
            client.require_approval(NAME, CONTEXT, idempotency_key=uuid.uuid4().hex, on_pending=_pending)
            say(resumed=monotonic())
            say(echo=runner.run(_echo(echo)))
        runner.run(echo.close())


async def _dial(url: str) -> ClientConnection:
    return await connect(url, compression=None)


async def _gates(options: argparse.Namespace) -> None:
    """Whole gates, so many at once: asked, waited for, redeemed on entering, reported on leaving."""
    left = iter(range(options.count))

    async def work(client: AsyncSignoff) -> None:
        for _ in left:
            async with client.require_approval(NAME, CONTEXT, idempotency_key=uuid.uuid4().hex, on_pending=_pending):
                pass

    async with AsyncSignoff(transport=options.transport) as client:
        # The first one opens the connections and imports what is imported late; whoever decides waits for it too.
        await client.require_approval(NAME, CONTEXT, idempotency_key=uuid.uuid4().hex, on_pending=_pending)
        say(begun=monotonic())
        await asyncio.gather(*(work(client) for _ in range(options.at_once)))
        say(ended=monotonic())
        # Until it is told to end, so that its processor time can be read.
        await _told()


async def _parked(options: argparse.Namespace) -> None:
    """Waits for all of the ids that it is told on a line of stdin, from the next line on, until stdin ends."""
    ids: list[str] = json.loads(await _told())
    async with AsyncSignoff(transport=options.transport) as client:
        # One wait that ends: whatever is opened or imported once is there before anything is counted.
        await client.require_approval(NAME, CONTEXT, idempotency_key=uuid.uuid4().hex, on_pending=_pending)
        say(ready=True)
        await _told()
        waits = (
            [_all_of(client, ids)] if options.call == "as_completed" else [client.approvals.wait(id_) for id_ in ids]
        )
        waiting = [asyncio.create_task(wait) for wait in waits]
        await _told()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _all_of(client: AsyncSignoff, ids: list[str]) -> None:
    async for _ in client.approvals.as_completed(ids):
        pass


async def _tasks(options: argparse.Namespace) -> None:
    """The least that a wait can be in Python: a task that awaits a future, found by the id that it waits for."""
    ids: list[str] = json.loads(await _told())
    before = memory(os.getpid())
    loop = asyncio.get_running_loop()
    futures = {id_: loop.create_future() for id_ in ids}
    tasks = [asyncio.create_task(_await(future)) for future in futures.values()]
    await asyncio.sleep(0)
    say(rss=(memory(os.getpid()) - before).rss)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _await(future: "asyncio.Future[None]") -> None:
    await future


async def _told() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench.waiter", description=__doc__)
    parser.add_argument("how", choices=["rounds-async", "rounds-sync", "gates", "parked", "tasks"])
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--transport", choices=["websocket", "poll"], default="websocket")
    parser.add_argument("--call", choices=["as_completed", "wait"], default="as_completed")
    parser.add_argument("--echo", help="a websocket that echoes")
    options = parser.parse_args(arguments)
    if options.how == "rounds-sync":
        _rounds_sync(options)
        return
    hows = {"rounds-async": _rounds_async, "gates": _gates, "parked": _parked, "tasks": _tasks}
    asyncio.run(hows[options.how](options))


if __name__ == "__main__":
    main()
