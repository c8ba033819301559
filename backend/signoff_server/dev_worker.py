"""The worker that `signoff dev` runs beside itself: a process of the same kind as any other worker.

It ends with the server, whatever ends that: it reads a pipe that only the server holds open. And it holds a lock for as
long as it lives: once that is free, the worker before it is dead, and its leases need not be waited for.
"""

import asyncio
import fcntl
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from signoff_server.service.work import Work
from signoff_server.settings import environment_with

NAME: Final = "dev"
_LOG: Final = logging.getLogger("signoff.dev")
_RUN: Final = "from signoff.cli import main; main()"
_LOOK_EVERY: Final = 0.05
_AGAIN_AFTER: Final = 1.0


async def keep_worker(work: Work, project: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Run a worker on the working directory, and another one whenever it ends, until cancelled."""
    lock = folder / "worker.lock"
    while True:
        await _until_free(lock)
        if ended := await work.end_leases(project, NAME):
            _LOG.warning("the last worker died over %d items", ended)
        await _run(lock, environment)
        await asyncio.sleep(_AGAIN_AFTER)


async def _until_free(lock: Path) -> None:
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _locks(descriptor):  # noqa: ASYNC110 - a lock of a file wakes nobody
            await asyncio.sleep(_LOOK_EVERY)
    finally:
        os.close(descriptor)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


async def _run(lock: Path, environment: Mapping[str, str]) -> None:
    arguments = ("worker", "--reload", "--name", NAME, "--lifeline", "0", "--lock", str(lock))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _RUN,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=sys.stderr,
        env=environment_with(environment),
    )
    try:
        await process.wait()
    finally:
        if process.stdin is not None:
            process.stdin.close()
