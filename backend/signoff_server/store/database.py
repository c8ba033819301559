"""Reading in threads, and the writer that commits in groups.

Commands wait in a queue for their project. The writer (one thread, or a few where the database lets several write)
takes all that has gathered for one project and commits it as one transaction; whoever waits is answered after the
commit and not before. There is no pause to fill a group: a lone command commits at once. No two threads write for one
project, they would only wait for one another.

A commit whose end is not known is settled by looking for its first event in the ledger: found, the real answers go
out; else everybody hears 503 (or 507) and nothing is tried again on a guess. Only what broke before its commit was
asked for, on a connection that was dead, is begun again on a new one: that is no guess.
"""

import asyncio
import copy
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from signoff_server.core.reactions import work_queue
from signoff_server.core.refusals import Refusal
from signoff_server.store import ledger
from signoff_server.store.dialects import READERS, Engines, Fault, fault
from signoff_server.store.ledger import Change
from signoff_server.store.readers import Readers
from signoff_server.world import World

T = TypeVar("T")
_LOG: Final = logging.getLogger("signoff.database")
_GROUP: Final = 256
_MAKES_WORK: Final = frozenset({"node.scheduled", "node.resolved"})


@dataclass(frozen=True)
class Committed:
    """What a group wrote, one change at least: for whoever wants to wake somebody."""

    project: str
    changes: tuple[Change, ...]

    @property
    def first_seq(self) -> int:
        return self.changes[0].event.seq

    @property
    def last_seq(self) -> int:
        return self.changes[-1].event.seq

    @cached_property
    def queues(self) -> tuple[str, ...]:
        """The queues of tools for which there is work now."""
        due = (change.event for change in self.changes if change.event.type in _MAKES_WORK)
        tools = dict.fromkeys(tool for event in due if (tool := event.facts.get("tool")) is not None)
        return tuple(work_queue(self.project, tool) for tool in tools)

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(change.event.subject for change in self.changes))


@dataclass(frozen=True, slots=True)
class Group:
    """What became of a group of jobs: a value or an error for each, and what was recorded, if anything."""

    outcomes: list[Any]
    first_event: str | None = None
    committed: Committed | None = None


class RunGroup(Protocol):
    """Runs the jobs of one project in one transaction. A job's own error is an outcome; a database error is raised."""

    def __call__(self, connection: Connection, project: str, jobs: Sequence[Any]) -> Group: ...


@dataclass(slots=True)
class _Entry:
    job: Any
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class Database:
    """`read` and `write`, on the engines that it is given."""

    def __init__(self, engines: Engines, run_group: RunGroup, world: World) -> None:
        self.engines = engines
        self.on_commit: Callable[[Committed], None] = lambda _: None
        self.on_group: Callable[[int, float], None] = lambda _size, _seconds: None
        self._run_group = run_group
        self._world = world
        self._readers = Readers(READERS)
        self._queue: OrderedDict[str, list[_Entry]] = OrderedDict()
        self._busy: set[str] = set()
        self._gathered = threading.Condition()
        self._closing = False
        names = (f"signoff-write-{number}" for number in range(engines.writers))
        self._writers = [threading.Thread(target=self._write_on, name=name, daemon=True) for name in names]
        for writer in self._writers:
            writer.start()

    async def read(self, function: Callable[..., T], *args: Any) -> T:
        """`function(connection, *args)` on one view of what is committed. Raises `Refusal` when unreachable."""
        result: T = await self._readers.submit(lambda: self._read(function, args))
        return result

    async def submit(self, project: str, job: Any) -> Any:
        """Run a ledger job in the next group of its project; returns after the commit."""
        return await self._enqueue(project, job)

    async def write(self, function: Callable[..., T], *args: Any) -> T:
        """`function(connection, *args)` in a transaction of its own: for leases and claims, which are not events."""
        result: T = await self._enqueue("", lambda connection: function(connection, *args))
        return result

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._gathered:
            self._closing = True
            self._gathered.notify_all()
        for writer in self._writers:
            writer.join()
        self._readers.close()
        self.engines.close()

    def _read(self, function: Callable[..., T], args: tuple[Any, ...], *, again: bool = True) -> T:
        try:
            with self.engines.reader.begin() as connection:
                return function(connection, *args)
        except DBAPIError as error:
            if error.connection_invalidated and again:
                return self._read(function, args, again=False)
            _LOG.error("a read failed: %s", error.orig)
            raise _refusal(fault(error)) from error

    def _enqueue(self, project: str, job: Any) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        entry = _Entry(job, loop, loop.create_future())
        with self._gathered:
            if self._closing:
                raise Refusal("unavailable", "The server is stopping.", retry_after=1)
            self._queue.setdefault(project, []).append(entry)
            self._gathered.notify()
        return entry.future

    # ------------------------------------------------------------ the writer's threads

    def _write_on(self) -> None:
        while (taken := self._take()) is not None:
            project, entries = taken
            try:
                self._write_group(project, entries)
            finally:
                with self._gathered:
                    self._busy.discard(project)

    def _take(self) -> tuple[str, list[_Entry]] | None:
        """The next project that nobody writes for, with what has gathered for it; None when all is written."""
        with self._gathered:
            while True:
                project = next((name for name in self._queue if name not in self._busy), None)
                if project is not None:
                    break
                if self._closing:
                    return None
                self._gathered.wait()
            entries = self._queue.pop(project)
            # What belongs to no project is a transaction each.
            most = _GROUP if project else 1
            if len(entries) > most:
                self._queue[project] = entries[most:]
            if project:
                self._busy.add(project)
            return project, entries[:most]

    def _write_group(self, project: str, entries: list[_Entry]) -> None:
        if not project:
            (entry,) = entries
            self._answer(entries, self._alone(entry))
            return
        started = self._world.now()
        group = self._settled_group(project, entries)
        if group is None:
            for entry in entries:
                self._write_group(project, [entry])
            return
        self.on_group(len(entries), (self._world.now() - started) / 1000)
        self._answer(entries, group)

    def _settled_group(self, project: str, entries: list[_Entry], *, again: bool = True) -> Group | None:
        """What became of the group; None where one of several was at fault and each has to run alone."""
        group: Group | None = None
        self._world.failpoint("write.before_begin")
        try:
            with self.engines.writer.connect() as connection, connection.begin():
                group = self._run_group(connection, project, [entry.job for entry in entries])
                self._world.failpoint("write.before_commit")
            self._world.failpoint("write.after_commit")
            return group
        except DBAPIError as error:
            if group is None and error.connection_invalidated and again:
                return self._settled_group(project, entries, again=False)
            kind = fault(error)
            _LOG.error("a commit of %d commands failed: %s (%s)", len(entries), kind.value, error.orig)
            if kind is Fault.DATA and len(entries) > 1:
                return None
            if group is not None and group.first_event is not None and self._is_recorded(project, group.first_event):
                return group
            # One for each: a raised exception carries the traceback of whoever raised it.
            return Group([_refusal(kind) for _ in entries])
        except Exception as error:  # noqa: BLE001 - a bug of ours must not stop the writer; it is logged and told
            _LOG.exception("a group of commands failed")
            return Group([copy.copy(error) for _ in entries])

    def _is_recorded(self, project: str, event: str) -> bool:
        try:
            with self.engines.writer.connect() as connection, connection.begin():
                ledger.lock_head(connection, project)
                return ledger.recorded(connection, event)
        except DBAPIError as error:
            _LOG.error("the end of a commit could not be looked up: %s", error.orig)
            return False

    def _alone(self, entry: _Entry) -> Group:
        try:
            with self.engines.writer.connect() as connection, connection.begin():
                value = entry.job(connection)
            return Group([value])
        except DBAPIError as error:
            _LOG.error("a write failed: %s", error.orig)
            return Group([_refusal(fault(error))])
        except Exception as error:  # noqa: BLE001 - whatever a job raises belongs to whoever asked for it
            return Group([error])

    def _answer(self, entries: list[_Entry], group: Group) -> None:
        loops = {entry.loop for entry in entries}
        for loop in loops:
            mine = [
                (entry.future, outcome)
                for entry, outcome in zip(entries, group.outcomes, strict=True)
                if entry.loop is loop
            ]
            try:
                loop.call_soon_threadsafe(self._deliver, mine, group.committed)
            except RuntimeError:  # the loop is closed: nobody waits any more, and what was committed stays so
                _LOG.info("nobody was left to be answered")

    def _deliver(self, answers: list[tuple["asyncio.Future[Any]", Any]], committed: Committed | None) -> None:
        if committed is not None:
            self.on_commit(committed)
        for future, outcome in answers:
            if future.done():
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _refusal(kind: Fault) -> Exception:
    match kind:
        case Fault.FULL:
            return Refusal("storage_full", "The disk of the server is full; nothing was stored.", retry_after=5)
        case Fault.LOST:
            return Refusal("unavailable", "The database did not answer; ask again with the same key.", retry_after=1)
        case Fault.DATA:
            return RuntimeError("the database refused a command")
