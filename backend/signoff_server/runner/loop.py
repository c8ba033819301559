"""Two loops beside the requests: one works off the agenda, one follows the ledgers."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from signoff_server.core.refusals import Refusal
from signoff_server.runner.handlers import Handler
from signoff_server.store import agenda, ledger
from signoff_server.store.database import Committed, Database
from signoff_server.wakeups import Hub
from signoff_server.world import World

_LOG: Final = logging.getLogger("signoff.runner")
_LONGEST_SLEEP: Final = 1.0
_MOST: Final = 100


class Agenda:
    """Sleeps until the next thing is due, a second at most: a row that comes nearer needs no signal to be on time."""

    def __init__(self, database: Database, handlers: Mapping[str, Handler], world: World) -> None:
        self._database = database
        self._handlers = handlers
        self._world = world

    async def run(self) -> None:
        while True:
            try:
                pause = await self.work_off()
            except Refusal as refusal:
                _LOG.warning("the agenda has to wait: %s", refusal.detail)
                pause = _LONGEST_SLEEP
            except Exception:  # noqa: BLE001 - it is logged, and a loop that ends would be worse
                _LOG.exception("the agenda failed; it tries again")
                pause = _LONGEST_SLEEP
            await asyncio.sleep(pause)

    async def work_off(self) -> float:
        """Do what is due; answers how many seconds to rest."""
        queues, now = tuple(self._handlers), self._world.now()
        first = await self._database.read(agenda.next_due, queues)
        if first is None:
            return _LONGEST_SLEEP
        if first > now:
            return min(_LONGEST_SLEEP, (first - now) / 1000)
        claimed = await self._database.write(agenda.claim, queues, now, _MOST)
        self._world.failpoint("agenda.after_claim")
        await asyncio.gather(*(self._handle(due) for due in claimed))
        return 0 if claimed else _LONGEST_SLEEP

    async def _handle(self, due: agenda.Due) -> None:
        try:
            await self._handlers[due.queue](due)
        except Refusal as refusal:
            _LOG.warning("%s of %s has to wait: %s", due.queue, due.subject, refusal.detail)
        except Exception:  # noqa: BLE001 - it is logged, and must not take its neighbours down
            _LOG.exception("%s of %s failed; it falls due again", due.queue, due.subject)


class Follower:
    """Reads every ledger on from where it was and wakes whoever listens: at once by a hint, else within a second."""

    def __init__(
        self,
        database: Database,
        hub: Hub,
        *,
        hints: bool = True,
        heard: Callable[[Iterable[str]], None] = lambda _: None,
    ) -> None:
        """`heard` is told the subjects of events that are found in a ledger, before anybody is woken for them."""
        self._database = database
        self._hub = hub
        self._heard = heard
        self._hints = hints
        self._seen: dict[str, int] = {}

    async def start(self) -> None:
        """Begin at the heads as they are; what is older was read by whoever asked."""
        self._seen = await self._database.read(ledger.projects)

    def hint(self, committed: Committed) -> None:
        """A commit of this process: wake for it, and remember it as seen where nothing lies between."""
        if not self._hints:
            return
        self._hub.wake((committed.project, *committed.subjects, *committed.queues))
        if self._seen.get(committed.project, 0) == committed.first_seq - 1:
            self._seen[committed.project] = committed.last_seq

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_LONGEST_SLEEP)
            try:
                await self.follow()
            except Refusal as refusal:
                _LOG.warning("the follower has to wait: %s", refusal.detail)
            except Exception:  # noqa: BLE001 - it is logged, and a loop that ends would be worse
                _LOG.exception("the follower failed; it tries again")

    async def follow(self) -> None:
        """Catch up with every ledger: one query where nothing happened, however many projects and waiters."""
        for project, head in (await self._database.read(ledger.projects)).items():
            while (seen := self._seen.get(project, 0)) < head:
                events = await self._database.read(ledger.subjects_after, project, seen)
                if not events:
                    break
                subjects = dict.fromkeys(subject for _, subject in events)
                self._heard(subjects)
                self._hub.wake((project, *subjects))
                self._seen[project] = max(self._seen.get(project, 0), events[-1][0])
