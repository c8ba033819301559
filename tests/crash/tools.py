"""The tools of a run's workers. Each journals what it does, with its execution key, on disk before it goes on.

The file `doom-WORKER` of the run's folder, where there is one, names the stage of `flows.STAGES` at which the process
ends by SIGKILL when an attempt next comes to it.
"""

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any, Final

import signoff
from signoff import ToolContext, ToolFailed
from signoff.protocol.canonical import canonical
from tests.crash import flows
from tests.crash.journal import Journal, Journals

_FOLDER: Final = Path(os.environ["CRASH_FOLDER"])
_WORKER: Final = os.environ["CRASH_WORKER"]
_JOURNAL: Final = Journal(Journals(_FOLDER).tools)
# Longer than a lease is renewed after, and shorter than a lease.
_SLOW: Final = 1.6


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _pass(stage: str, tool: str) -> None:
    try:
        doomed = (_FOLDER / f"doom-{_WORKER.partition('.')[0]}").read_text() in (stage, f"{stage} {tool}")
    except FileNotFoundError:
        return
    if doomed and stage == "returned":
        # While the result is on its way.
        threading.Timer(random.uniform(0, 0.05), _die).start()
    elif doomed:
        _die()


def _carry_out(data: dict[str, Any], context: ToolContext) -> dict[str, Any]:
    facts = {"worker": _WORKER, "tool": context.tool, "key": context.execution_key, "attempt": context.attempt}
    _JOURNAL.write("began", **facts)
    try:
        _pass("entered", context.tool)
        if context.tool == "quotes.fetch" and context.attempt <= flows.failures(data["run"]):
            raise ToolFailed("no quote just now")
        if flows.is_slow(data["run"]):
            context.cancelled.wait(_SLOW)
        said = {"input": canonical(data).decode(), "approval": context.approval_id, "wall": time.time_ns() // 1_000_000}
        _JOURNAL.write("effect", **facts, **said)
        _pass("effected", context.tool)
        return {"key": context.execution_key, "amount": data.get("amount", "0.00")}
    finally:
        _JOURNAL.write("ended", **facts)
        _pass("returned", context.tool)


@signoff.tool("quotes.fetch")
def fetch(input: dict[str, Any], context: ToolContext) -> dict[str, Any]:  # noqa: A002
    return _carry_out(input, context)


@signoff.tool("payments.submit")
def submit(input: dict[str, Any], context: ToolContext) -> dict[str, Any]:  # noqa: A002
    return _carry_out(input, context)


@signoff.tool("payments.credit", idempotent=True)
async def credit(input: dict[str, Any], context: ToolContext) -> dict[str, Any]:  # noqa: A002
    return _carry_out(input, context)


@signoff.tool("notes.write")
def write(input: dict[str, Any], context: ToolContext) -> dict[str, Any]:  # noqa: A002
    return _carry_out(input, context)
