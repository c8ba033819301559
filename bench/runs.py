"""Runs of workflows as bytes: what starts them, decides them and does their work, and what is heard of them."""

import asyncio
import json
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, cast

from bench.generator import Connection, Failed, Line, Requests, Script, Signal, address, expect
from bench.server import Server

# An ungated tool, and what it found goes into a gated one.
TWO_NODES: Final = """
workflow: {id: two-nodes, version: 1.0.0, start: look_up}
nodes:
  look_up:
    type: tool
    tool_ref: accounts.look_up
    input: {account: "${{ input.account }}"}
    next: pay
  pay:
    type: tool
    tool_ref: payments.submit
    input: {account: "${{ input.account }}", amount: "${{ input.amount }}", owner: "${{ nodes.look_up.output.owner }}"}
    next: end
policy:
  require_approval_for: ["payments.*"]
"""
# Parks as it starts.
GATED: Final = """
workflow: {id: gated, version: 1.0.0, start: pay}
nodes:
  pay:
    type: tool
    tool_ref: payments.submit
    input: {account: "${{ input.account }}", amount: "${{ input.amount }}"}
    next: end
policy:
  require_approval_for: ["payments.*"]
"""
TOOLS: Final = ("accounts.look_up", "payments.submit")
INPUT: Final = {"account": "DE89 3704 0044 0532 0130 00", "amount": "50000.00", "memo": "invoice 4711"}
_OUTPUT: Final = {"owner": "ACME GmbH", "since": "2019-04-01", "limit": "250000.00"}
_APPROVE: Final = b'{"decision":"approved"}'
_SUBJECT: Final = re.compile(rb'"subject":"(exe_[0-9a-z]{26})"')
_TYPE: Final = re.compile(rb"^event: ([a-z.]+)$", re.MULTILINE)


class Calls:
    """The requests of everybody who has to do with runs."""

    def __init__(self, server: Server) -> None:
        self.app = Requests(server.url, server.app_key)
        self.reviewer = Requests(server.url, server.reviewer_key)
        self.worker = Requests(server.url, server.worker_key)

    def register(self, source: str) -> bytes:
        return self.app.post("/v1/workflows", source.encode(), media_type="application/yaml")

    def start(self, workflow: str) -> bytes:
        body = {"workflow_id": workflow, "input": INPUT}
        return self.app.post("/v1/executions", json.dumps(body).encode(), once=uuid.uuid4().hex)

    def approve(self, execution: str) -> bytes:
        return self.reviewer.post(f"/v1/executions/{execution}/approve", _APPROVE, once=uuid.uuid4().hex)

    def lease(self, tools: Iterable[str], *, most: int, wait: int) -> bytes:
        offered = [{"name": tool} for tool in tools]
        ask = {"request": uuid.uuid4().hex, "tools": offered, "worker": "bench", "max": most, "wait": wait}
        return self.worker.post("/v1/work/lease", json.dumps(ask).encode())

    def complete(self, item: dict[str, Any]) -> bytes:
        body = {"fence": item["fence"], "output": _OUTPUT}
        return self.worker.post(f"/v1/work/{item['id']}/complete", json.dumps(body).encode())


def register(server: Server, *sources: str) -> None:
    connection, calls = Connection(server.url), Calls(server)
    for source in sources:
        expect(connection.ask(calls.register(source)), 200, 201)
    connection.close()


class Moments:
    """Signals by what they are about, whoever asks for one first: who waits for it or who gives it."""

    def __init__(self) -> None:
        self._of: defaultdict[tuple[str, str], Signal] = defaultdict(Signal)

    def wait(self, what: str, execution: str) -> Signal:
        return self._of[what, execution]

    def give(self, what: str, execution: str) -> None:
        self._of[what, execution].give()


class Feed(asyncio.Protocol):
    """The live feed as bytes: gives a moment for each event of a run that it is told of."""

    def __init__(self, opening: bytes, moments: Moments) -> None:
        self._opening = opening
        self._moments = moments
        self._received = b""
        self._open = asyncio.get_running_loop().create_future()

    @classmethod
    async def dial(cls, requests: Requests, url: str, glob: str, moments: Moments) -> "Feed":
        opening, (host, port) = requests.get(f"/v1/events/stream?type={glob}"), address(url)
        _, feed = await asyncio.get_running_loop().create_connection(lambda: cls(opening, moments), host, port)
        await feed._open
        return feed

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._opening)

    def data_received(self, data: bytes) -> None:
        """What frames the chunks stands between blocks, where it is passed over with them."""
        *blocks, self._received = (self._received + data).split(b"\n\n")
        if blocks and not self._open.done():
            if blocks[0].startswith(b"HTTP/1.1 200"):
                self._open.set_result(None)
            else:
                self._open.set_exception(Failed(f"no feed: {blocks[0]!r}"))
        for block in blocks:
            kind, subject = _TYPE.search(block), _SUBJECT.search(block)
            if kind is not None and subject is not None:
                self._moments.give(kind[1].decode(), subject[1].decode())


# ---------------------------------------------------------------- scripts


def run(calls: Calls, moments: Moments) -> Script:
    """A run of two nodes from its start to its end, decided by a reviewer as soon as it is heard that it is parked."""
    execution = expect((yield calls.start("two-nodes")), 201).json()["id"]
    yield moments.wait("execution.parked", execution)
    expect((yield calls.approve(execution)), 200)
    yield moments.wait("execution.completed", execution)


def lease(calls: Calls, line: Line) -> Script:
    """What a worker asks for, one ask after another."""
    while True:
        for item in expect((yield calls.lease(TOOLS, most=100, wait=20)), 200).json()["items"]:
            line.put(item)


def complete(calls: Calls, line: Line, moments: Moments) -> Script:
    """What a worker reports. With its second tool the run has come to its end, in the same commit."""
    while (item := (yield line.next())) is not None:
        expect((yield calls.complete(item)), 200)
        if item["tool"] == TOOLS[1]:
            moments.give("execution.completed", item["execution_id"])
