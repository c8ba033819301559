"""The server's own stack with nothing on it: uvicorn that echoes websocket messages and answers `ok` to requests,
or holds them.

`python -m bench.echo` prints its address as one line of JSON.
"""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import uvicorn
import uvloop

from bench.server import ROOT

HOLD: Final = "/hold"


class Echo(NamedTuple):
    url: str
    pid: int


@contextmanager
def echoing() -> Iterator[Echo]:
    """The echo in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "bench.echo"], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    try:
        yield Echo(json.loads(process.stdout.readline())["url"], process.pid)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


async def application(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
    else:
        while (await receive()).get("more_body"):
            pass
        if scope["path"] == HOLD:
            # Until the client hangs up.
            await receive()
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def _serve(listener: socket.socket) -> None:
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    await uvicorn.Server(config).serve(sockets=[listener])


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(listener))


if __name__ == "__main__":
    main()
