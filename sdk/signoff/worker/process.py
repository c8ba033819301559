"""`signoff worker` as a process: what it is tied to, its files, signals, and beginning anew when the files change."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from signoff.config import Config, load_worker_config, variables
from signoff.errors import ConfigurationError
from signoff.retry import Pace
from signoff.wire import NetworkWire
from signoff.worker.holding import end_with, hold, hold_on
from signoff.worker.loop import Worker
from signoff.worker.queue import HTTPWorkQueue
from signoff.worker.telling import Lines, set_up, tell
from signoff.worker.toolbox import DEFAULT_FILES, Toolbox, load

HELD_LOCK: Final = "--held-lock"
# Reports are short; the pool looks through all its connections at each one, which costs more than waiting for a turn.
_REPORTS: Final = 8
_LOOK_EVERY: Final = 1.0
_State = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """As the command line gives them; `held_lock` is for a process that began anew."""

    tools: tuple[Path, ...] = ()
    allow: tuple[str, ...] = ()
    concurrency: int = 10
    grace: float = 30.0
    name: str | None = None
    reload: bool = False
    lifeline: int | None = None
    lock: Path | None = None
    held_lock: int | None = None
    as_json: bool = False


def run(options: Options) -> None:
    """Until it is told to end; it does not return. Raises `ConfigurationError`, `LockHeld`, and other `SignoffError`
    for what no waiting cures.
    """
    here = Path.cwd()
    lock = _lock(options)
    if options.lifeline is not None:
        end_with(options.lifeline)
    config = load_worker_config()
    lines = set_up(as_json=options.as_json)
    seen = state(files(options))
    toolbox = _load(options, config, lines)
    process = _Process(options, config, seen)
    asyncio.run(process.serve(toolbox))
    if process.is_changed:
        os.chdir(here)
        _begin_anew(lock)
    _end_in_spite_of_threads()


def files(options: Options) -> Sequence[Path]:
    """Those that are named, else the usual ones."""
    return options.tools or [Path(name) for name in DEFAULT_FILES]


def state(paths: Sequence[Path]) -> _State:
    """What changes with a file."""
    return tuple(_facts(path) for path in paths)


def _facts(path: Path) -> tuple[int, int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _lock(options: Options) -> int | None:
    if options.lock is None:
        return None
    return hold(options.lock) if options.held_lock is None else hold_on(options.lock, options.held_lock)


def _load(options: Options, config: Config, lines: Lines) -> Toolbox | None:
    """None where the files are to be waited for."""
    try:
        toolbox = load(_present(options), variables=variables(), allow=options.allow, hidden=[config.key])
    except ConfigurationError as error:
        if not options.reload:
            raise
        tell("waiting", f"{error} Waiting for the files to change.", message=str(error))
        return None
    lines.redactor = toolbox.redactor
    for warning in toolbox.warnings:
        tell("warning", warning, message=warning)
    return toolbox


def _present(options: Options) -> Sequence[Path]:
    if options.tools:
        return options.tools
    found = [path for path in files(options) if path.is_file()]
    if not found:
        named = " and no ".join(DEFAULT_FILES)
        raise ConfigurationError(f"There is no {named} here: write one, or name files by --tools.")
    return found


class _Process:
    """What runs inside the event loop."""

    def __init__(self, options: Options, config: Config, seen: _State) -> None:
        self.is_changed = False
        self._options = options
        self._config = config
        self._seen = seen
        self._signalled = False
        self._ended = asyncio.Event()
        self._worker: Worker | None = None

    async def serve(self, toolbox: Toolbox | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        watching = asyncio.create_task(self._watch()) if self._options.reload else None
        try:
            await (self._ended.wait() if toolbox is None else self._work(toolbox))
        finally:
            if watching is not None:
                watching.cancel()

    async def _work(self, toolbox: Toolbox) -> None:
        options, pace = self._options, Pace()
        wire = NetworkWire(self._config, client_name="worker", ssl_context=None)
        asking, reporting = wire.async_transport(1), wire.async_transport(_REPORTS)
        self._worker = Worker(
            toolbox,
            HTTPWorkQueue(asking, reporting, pace),
            name=options.name,
            concurrency=options.concurrency,
            grace=options.grace,
            pace=pace,
        )
        names = [each.name for each in toolbox.offered]
        tell("ready", f"ready for {', '.join(names)} at {self._config.url}", url=self._config.url, tools=names)
        try:
            await self._worker.run()
        finally:
            await asking.aclose()
            await reporting.aclose()

    def _on_signal(self, number: int) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled, self.is_changed = True, False
        self._ended.set()
        if self._worker is not None:
            self._worker.stop()

    async def _watch(self) -> None:
        while state(files(self._options)) == self._seen:  # noqa: ASYNC110 - no file system tells every change
            await asyncio.sleep(_LOOK_EVERY)
        if self._signalled:
            return
        tell("reload", "the tools have changed: beginning anew as soon as nothing runs")
        self.is_changed = True
        self._ended.set()
        if self._worker is not None:
            self._worker.drain()


def _begin_anew(lock: int | None) -> None:
    """The same command in the same process; the lock is held all the while."""
    arguments = [each for each in sys.orig_argv[1:] if not each.startswith(f"{HELD_LOCK}=")]
    if lock is not None:
        os.set_inheritable(lock, True)
        arguments.append(f"{HELD_LOCK}={lock}")
    _flush()
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - it is what it was started with


def _end_in_spite_of_threads() -> None:
    """A tool's own threads could hold up the end for ever."""
    _flush()
    os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
