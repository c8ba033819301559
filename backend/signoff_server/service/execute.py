"""The one write door: load, decide, append, project, follow up, in one transaction.

A job is a plan: a function of a `Unit`, which shows the streams of the locked project as they stand after the jobs
before it, and takes what the plan records. A plan that raises leaves no trace and leaves the others of its group alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from signoff_server.core import approval_state, execution_state, executions, gates, workflows
from signoff_server.core import approvals as approvals_core
from signoff_server.core import principals as principals_core
from signoff_server.core.approval_state import Approval
from signoff_server.core.events import SCHEMA, Actor, Event, Payload, Recorded, Step, Tell
from signoff_server.core.reactions import reactions
from signoff_server.store import agenda, approvals, codec, ledger, principals
from signoff_server.store import executions as execution_rows
from signoff_server.store import workflows as workflow_rows
from signoff_server.store.codec import State
from signoff_server.store.database import Committed, Database, Group
from signoff_server.store.ledger import Change, Stream, Taken
from signoff_server.world import World

T = TypeVar("T")

_EVOLVE: Final[dict[str, Callable[[Any, Recorded], State]]] = {
    "apr": approval_state.evolve,
    "prn": principals_core.evolve_principal,
    "key": principals_core.evolve_key,
    "exe": execution_state.evolve,
    "wfl": workflows.evolve,
    "prj": workflows.evolve_policy,
}
# What a command to a stream comes to.
_DECIDE: Final[dict[str, Callable[[Any, Any, Actor, int], list[Step]]]] = {
    "apr": gates.decide,
    "exe": executions.decide,
}


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """A plan, with the streams and idempotency keys that it is going to ask for, and whose pending ones it counts."""

    plan: "Callable[[Unit], T]"
    subjects: tuple[str, ...] = ()
    once: tuple[bytes, ...] = ()
    requester: str | None = None


@dataclass(slots=True)
class _Standing:
    """The locked project, as it stands after the jobs so far."""

    streams: dict[str, Stream]
    absent: set[str]
    taken: dict[bytes, Taken]
    leases: dict[str, int]
    waiting: dict[str, int]
    seq: int
    changes: list[Change] = field(default_factory=list)


class Unit:
    """What one plan sees and records."""

    def __init__(self, connection: Connection, project: str, now: int, standing: _Standing, world: World) -> None:
        self.connection = connection
        self.project = project
        self.now = now
        self.changes: list[Change] = []
        self._standing = standing
        self._world = world

    def state(self, subject: str) -> State | None:
        """The stream's state; it is read where the job did not say that it would ask for it."""
        stream = self._stream(subject) or self._read(subject)
        return None if stream is None else stream.state

    def version(self, subject: str) -> int:
        stream = self._stream(subject) or self._read(subject)
        return 0 if stream is None else stream.version

    def once(self, key: bytes) -> Taken | None:
        """Who uses this idempotency key, if anybody does."""
        return self._standing.taken.get(key)

    def lease(self, subject: str) -> int | None:
        """Until when the subject's lease stands."""
        return self._standing.leases.get(subject)

    def waiting(self, requester: str) -> int:
        """How many approvals this requester waits for."""
        return self._standing.waiting.get(requester, 0)

    def decide(self, subject: str, command: Any, actor: Actor, *, new: bool = False) -> bool:
        """Carry a command out, with all that it tells other streams; answers whether anything came of it.

        `new` says that there is no such stream yet. Raises `Refusal`.
        """
        steps = _DECIDE[subject[:3]](None if new else self.state(subject), command, actor, self.now)
        self.record(subject, actor, [step for step in steps if isinstance(step, Event)])
        for step in steps:
            if isinstance(step, Tell):
                asked = isinstance(step.command, approvals_core.Request)
                self.decide(step.subject, step.command, step.actor or actor, new=asked)
        return bool(steps)

    def record(self, subject: str, actor: Actor, events: Iterable[Event]) -> None:
        """Add `events` to the subject's stream."""
        for event in events:
            payload = self._sealed(event.payload)
            stream = self._stream(subject)
            version = 1 if stream is None else stream.version + 1
            recorded = Recorded(
                seq=self._standing.seq + len(self.changes) + 1,
                id=self._world.new_id("evt"),
                type=event.type,
                schema=SCHEMA,
                subject=subject,
                version=version,
                at=self.now,
                actor=actor,
                facts=event.facts,
                payload_digest=payload.digest,
            )
            state = evolve(None if stream is None else stream.state, recorded)
            self.changes.append(Change(recorded, payload, state))

    def keep(self) -> None:
        """Let the jobs after this one see what it recorded."""
        standing = self._standing
        for change in self.changes:
            event, index = change.event, change.payload.index
            standing.streams[event.subject] = Stream(event.version, change.state)
            standing.absent.discard(event.subject)
            standing.seq = event.seq
            if index.once is not None:
                standing.taken[index.once] = Taken(event.subject, index.fingerprint)
            if event.type == "approval.redeemed" and _leased(change.state):
                standing.leases[event.subject] = self.now + approvals_core.LEASE
            for requester, more in approvals.waits(change).items():
                standing.waiting[requester] = standing.waiting.get(requester, 0) + more
        standing.changes.extend(self.changes)

    def _sealed(self, payload: Payload | Mapping[str, Any]) -> Payload:
        return payload if isinstance(payload, Payload) else codec.seal(payload, self._world.random(32))

    def _read(self, subject: str) -> Stream | None:
        standing = self._standing
        if subject in standing.absent:
            return None
        found = ledger.load(self.connection, self.project, [subject])
        standing.streams.update(found)
        if subject not in found:
            standing.absent.add(subject)
        return found.get(subject)

    def _stream(self, subject: str) -> Stream | None:
        for change in reversed(self.changes):
            if change.event.subject == subject:
                return Stream(change.event.version, change.state)
        return self._standing.streams.get(subject)


def evolve(state: State | None, event: Recorded) -> State:
    """Fold an event into the stream that its subject names."""
    return _EVOLVE[event.subject[:3]](state, event)


class Execute:
    """Runs plans, grouped by project."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.database: Database

    async def __call__(
        self,
        project: str,
        plan: Callable[[Unit], T],
        *,
        subjects: tuple[str, ...] = (),
        once: tuple[bytes, ...] = (),
        requester: str | None = None,
    ) -> T:
        """What `plan` returns, after the commit. Raises what it raises."""
        value: T = await self.database.submit(project, Job(plan, subjects, once, requester))
        return value

    def run_group(self, connection: Connection, project: str, jobs: Sequence[Job[Any]]) -> Group:
        """Run the jobs in turn, and write what they record with a handful of statements."""
        head = ledger.lock_head(connection, project)
        # Time never runs backwards in a ledger, not even across machines.
        now = max(self._world.now(), head.at)
        wanted = {subject for job in jobs for subject in job.subjects}
        streams = ledger.load(connection, project, wanted)
        standing = _Standing(
            streams=streams,
            absent=wanted - streams.keys(),
            taken=ledger.once(connection, {key for job in jobs for key in job.once}),
            leases=agenda.leases(connection, [subject for subject in streams if _leased(streams[subject].state)]),
            waiting=principals.waiting(connection, {job.requester for job in jobs if job.requester is not None}),
            seq=head.seq,
        )
        outcomes = [self._run(job, Unit(connection, project, now, standing, self._world)) for job in jobs]
        changes = standing.changes
        if not changes:
            return Group(outcomes)
        ledger.append(connection, project, head, changes)
        self._world.failpoint("write.after_append")
        follow(connection, project, changes, now)
        return Group(outcomes, changes[0].event.id, Committed(project, tuple(changes)))

    def _run(self, job: Job[Any], unit: Unit) -> Any:
        try:
            value = job.plan(unit)
        except DBAPIError:
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked, not to the group
            return error
        unit.keep()
        return value


def _leased(state: State) -> bool:
    """Whether a lease of its own stands in the agenda; a workflow's approval has none."""
    if not isinstance(state, Approval) or state.redemption is None or state.source.execution_id is not None:
        return False
    return state.redemption.outcome is None


def follow(connection: Connection, project: str, changes: Sequence[Change], now: int) -> None:
    """Bring projections and agenda up to `changes`."""
    # Principals first: an approval is counted in the row of whoever asked for it.
    principals.project(connection, project, changes)
    approvals.project(connection, project, changes)
    workflow_rows.project(connection, project, changes)
    execution_rows.project(connection, project, changes)
    due = [reaction for change in changes for reaction in reactions(change.event, change.state, project)]
    new = {change.event.subject for change in changes if change.event.version == 1}
    agenda.carry_out(connection, project, due, now, new=new)
