"""The requests that more than one subject makes, as bytes, and what else they share."""

import json
import uuid
from typing import Final

from bench.generator import Requests, Script, drive, expect
from bench.generator import run as run_loop
from bench.server import Server
from bench.waiter import CONTEXT, NAME

LANES: Final = 64
ASK: Final = json.dumps({"name": NAME, "context": CONTEXT}).encode()
APPROVE: Final = b'{"decision":"approved"}'


def creation(app: Requests) -> bytes:
    return app.post("/v1/approvals", ASK, once=uuid.uuid4().hex)


def decision(reviewer: Requests, approval: str) -> bytes:
    return reviewer.post(f"/v1/approvals/{approval}/decision", APPROVE, once=approval)


def redeeming(app: Requests, approval: str, binding: str) -> bytes:
    body = {"binding": binding, "redeemer": "bench"}
    return app.post(f"/v1/approvals/{approval}/redeem", json.dumps(body).encode())


def outcome(app: Requests, approval: str, fence: int) -> bytes:
    body = {"fence": fence, "outcome": "succeeded"}
    return app.post(f"/v1/approvals/{approval}/outcome", json.dumps(body).encode())


def make_pending(server: Server, count: int) -> list[str]:
    """So many approvals that nobody has decided."""
    app, made = Requests(server.url, server.app_key), list[str]()

    def ask() -> Script:
        made.append(expect((yield creation(app)), 201).json()["id"])

    run_loop(drive(server.url, [ask() for _ in range(count)], min(LANES, count)))
    return made


def waited_for(metrics: bytes) -> int:
    """How many subjects somebody waits for, of what `/metrics` says: each approval, and the key of who waits."""
    _, _, rest = metrics.partition(b"\nsignoff_waiting_subjects ")
    return int(float(rest.partition(b"\n")[0]))
