"""Asking, deciding, redeeming: the use cases of approvals."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection

from signoff_server.core import approvals as core
from signoff_server.core.approval_state import Approval, Requirement, standing
from signoff_server.core.events import POLICY, SYSTEM, Payload
from signoff_server.core.policies import Verdict, judge
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.core.workflows import policy_of
from signoff_server.service import keyed, winners
from signoff_server.service.execute import Execute, Unit
from signoff_server.service.views import Views
from signoff_server.service.wanted import Named, Wanted, as_bytes, differences, named, request_data
from signoff_server.store import agenda, approvals, codec, ledger
from signoff_server.store.approvals import ApprovalView, Filter
from signoff_server.store.database import Database
from signoff_server.store.ledger import Taken
from signoff_server.world import World

_MOST_POINTERS: Final = 20


@dataclass(frozen=True, slots=True)
class Requested:
    """`created` is False where the call attached to an approval that was there."""

    view: ApprovalView
    created: bool


@dataclass(frozen=True, slots=True)
class Word:
    """A reviewer's word on one approval; `seen` is the binding of what they were shown."""

    approval: str
    decision: str
    reason: str | None = None
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    view: ApprovalView
    fence: int
    until: int


# An approval as a plan left it, and until when its lease stands.
_Left = tuple[Approval, int | None]


class Approvals:
    """Every method acts for a `Caller` in their project, and raises `Refusal`."""

    def __init__(self, database: Database, execute: Execute, world: World, *, most_pending: int) -> None:
        self.views = Views(database)
        self._database = database
        self._execute = execute
        self._world = world
        self._most_pending = most_pending or None

    # ------------------------------------------------------------ asking

    async def request(self, caller: Caller, wanted: Wanted, key: str | None) -> Requested:
        """A new approval, or the one that this idempotency key made before."""
        made = as_bytes(wanted)
        people = await self._named_by(caller, wanted)
        approval, nonce = self._world.new_id("apr"), _base64url(self._world.random(32))
        fingerprint = made.fingerprint(wanted)
        once = None
        if key is not None:
            once = keyed.once_for(key, keyed.digest("create", caller.project, caller.id, wanted.name, key), fingerprint)
        command = core.Request(
            actor=caller.actor,
            payload=self._seal(request_data(wanted, nonce) | ({} if once is None else once.recorded)),
            name=wanted.name,
            binding=made.binding(caller.project, wanted.name, nonce),
            expires_in=wanted.expires_in * 1000,
            requirement=Requirement(reviewers=people.reviewers),
            owner=caller.owner,
            on_behalf_of=people.on_behalf_of,
            most=self._most_pending,
        )

        def plan(unit: Unit) -> Approval | Taken:
            taken = unit.once(once.key) if once is not None else None
            if taken is not None:
                return taken
            verdict = judge((("project", policy_of(unit.state(unit.project))),), command.name)
            asked = replace(command, waiting=unit.waiting(caller.id), requirement=_as_ruled(command, verdict))
            unit.decide(approval, asked, command.actor, new=True)
            if verdict.effect == "block":
                unit.decide(approval, core.Deny({"reason": f"The rule {verdict.rule} blocks it."}), POLICY)
            return _left(unit, approval)[0]

        keys = () if once is None else (once.key,)
        found = await self._execute(caller.project, plan, subjects=(caller.project,), once=keys, requester=caller.id)
        if isinstance(found, Approval):
            return Requested(await self.views.of(caller.project, found), created=True)
        if found.fingerprint != fingerprint:
            raise await self._reused(caller.project, found.subject, wanted)
        return Requested(await self._view(caller.project, found.subject), created=False)

    # ------------------------------------------------------------ deciding

    async def decide(
        self, caller: Caller, approval: str, decision: str, *, reason: str | None, seen: str | None, key: str | None
    ) -> ApprovalView:
        left = await winners.told(self._database, self._decide(caller, Word(approval, decision, reason, seen), key))
        return await self.views.of(caller.project, *left)

    async def decide_each(self, caller: Caller, words: Sequence[Word], key: str | None) -> list[ApprovalView | Refusal]:
        """What came of each, in their order. They are recorded together, and one that is refused leaves the others."""
        deciding = (self._decide(caller, word, key) for word in words)
        outcomes = await asyncio.gather(*deciding, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for error in refused:
            if not isinstance(error, Refusal):
                raise error
        await winners.name(self._database, [error for error in refused if isinstance(error, Refusal)])
        left = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        views = iter(await self.views.of_each(caller.project, left))
        return [outcome if isinstance(outcome, Refusal) else next(views) for outcome in outcomes]

    def _decide(self, caller: Caller, word: Word, key: str | None) -> Awaitable[_Left]:
        said = [word.decision, word.reason]
        payload, once = self._keyed(caller, "decide", word.approval, key, {"reason": word.reason}, said)

        def command(_unit: Unit, _state: Approval) -> core.Command:
            return core.Decide(caller.actor, payload, word.decision, word.reason, word.seen)

        return self._carry_out(caller, word.approval, command, once)

    async def cancel(self, caller: Caller, approval: str, *, reason: str | None, key: str | None) -> ApprovalView:
        payload, once = self._keyed(caller, "cancel", approval, key, {"reason": reason}, [reason])

        def command(_unit: Unit, _state: Approval) -> core.Command:
            return core.Cancel(caller.actor, payload, caller.has("admin"))

        return await self._command(caller, approval, command, once)

    # ------------------------------------------------------------ redeeming

    async def redeem(self, caller: Caller, approval: str, *, binding: str, redeemer: str) -> Lease:
        """The one use of an approval. The same redeemer asking again gets the same answer while its lease stands."""
        payload, holder = self._seal({}), hashlib.sha256(redeemer.encode()).hexdigest()

        def plan(unit: Unit) -> _Left:
            state = _visible(unit, caller, approval)
            _check_executes(caller, state)
            command = core.Redeem(caller.actor, payload, binding, holder, unit.lease(approval))
            redeemed = unit.decide(approval, command, caller.actor)
            state, until = _left(unit, approval)
            return state, unit.now + core.LEASE if redeemed else until

        state, until = await winners.told(self._database, self._execute(caller.project, plan, subjects=(approval,)))
        assert until is not None
        return Lease(await self.views.of(caller.project, state, until), state.fence, until)

    async def renew(self, caller: Caller, approval: str, fence: int) -> int:
        """Hold the lease on; answers until when, in milliseconds."""
        view = await self.get(caller, approval)
        _check_executes(caller, view.state)
        if view.state.source.execution_id is not None:
            raise Refusal("forbidden", "It belongs to a run: its workers hold its work by themselves.")
        until = self._world.now() + core.LEASE
        if not await self._database.write(agenda.renew, approval, fence, until):
            current = standing(view.state, self._world.now())
            raise Refusal("stale_fence", "This fence no longer holds the lease.", current=current)
        self._world.failpoint("lease.after_renew")
        return until

    async def report(
        self, caller: Caller, approval: str, *, fence: int, outcome: str, detail: str | None
    ) -> ApprovalView:
        payload = self._seal({"detail": detail})

        def command(_unit: Unit, state: Approval) -> core.Command:
            _check_executes(caller, state)
            return core.Report(caller.actor, payload, fence, outcome)

        return await self._command(caller, approval, command)

    async def resolve(
        self, caller: Caller, approval: str, *, outcome: str, reason: str, key: str | None
    ) -> ApprovalView:
        payload, once = self._keyed(caller, "resolve", approval, key, {"detail": reason}, [outcome, reason])

        def command(_unit: Unit, _state: Approval) -> core.Command:
            return core.Resolve(caller.actor, payload, outcome, caller.may_resolve(), reason)

        return await self._command(caller, approval, command, once)

    # ------------------------------------------------------------ what time does

    async def time_is_over(self, due: agenda.Due, command: Callable[[Payload], core.Command]) -> None:
        """Carry out what the agenda says of an approval; that it was settled meanwhile is no error."""
        made = command(self._seal({}))

        def plan(unit: Unit) -> None:
            unit.decide(due.subject, made, SYSTEM)

        await self._execute(due.project, plan, subjects=(due.subject,))

    # ------------------------------------------------------------ reading

    async def get(self, caller: Caller, approval: str) -> ApprovalView:
        view = await self._database.read(approvals.view, caller.project, approval)
        if view is None or not caller.sees(view.state):
            raise Refusal("not_found", "There is no such approval.")
        return view

    async def decided(
        self, caller: Caller, ids: list[str], *, woken: Collection[str] = ()
    ) -> dict[str, ApprovalView | None]:
        """What came of `ids`: the approval for one that is no longer pending, None for one that does not exist for
        the caller. Those that are pending are left out, and cost no reading of what was asked; nor do those `woken`
        for, where this process saw them close.
        """
        known = [await self.just_closed(caller, id_) for id_ in ids if id_ in woken]
        found: dict[str, ApprovalView | None] = {view.state.id: view for view in known if view is not None}
        rest = [id_ for id_ in ids if id_ not in found]
        return found | await self._decided(caller, rest) if rest else found

    async def just_closed(self, caller: Caller, approval: str) -> ApprovalView | None:
        """The approval, where this process saw lately how it left `pending`; it costs no reading then."""
        state = self.views.closed(caller.project, approval)
        return await self.views.of(caller.project, state) if state is not None and caller.sees(state) else None

    async def _decided(self, caller: Caller, ids: list[str]) -> dict[str, ApprovalView | None]:
        def look(connection: Connection) -> dict[str, ApprovalView | None]:
            streams = ledger.load(connection, caller.project, ids)
            states = {id_: stream.state for id_, stream in streams.items()}
            seen = {id_: state for id_, state in states.items() if isinstance(state, Approval) and caller.sees(state)}
            closed = [id_ for id_, state in seen.items() if state.status != "pending"]
            return {
                **{id_: None for id_ in ids if id_ not in seen},
                **approvals.views(connection, caller.project, closed),
            }

        return await self._database.read(look)

    async def search(self, caller: Caller, wanted: Filter, limit: int) -> tuple[list[ApprovalView], int | None]:
        return await self._database.read(approvals.search, caller.project, wanted, limit)

    # ------------------------------------------------------------ the shape that most commands share

    async def _command(
        self,
        caller: Caller,
        approval: str,
        make: Callable[[Unit, Approval], core.Command],
        once: keyed.Once | None = None,
    ) -> ApprovalView:
        left = await winners.told(self._database, self._carry_out(caller, approval, make, once))
        return await self.views.of(caller.project, *left)

    async def _carry_out(
        self,
        caller: Caller,
        approval: str,
        make: Callable[[Unit, Approval], core.Command],
        once: keyed.Once | None,
    ) -> _Left:
        def plan(unit: Unit) -> _Left:
            state = _visible(unit, caller, approval)
            if once is not None and (taken := unit.once(once.key)) is not None:
                once.check(taken)
            else:
                unit.decide(approval, make(unit, state), caller.actor)
            return _left(unit, approval)

        keys = () if once is None else (once.key,)
        return await self._execute(caller.project, plan, subjects=(approval,), once=keys)

    async def _named_by(self, caller: Caller, wanted: Wanted) -> Named:
        if not wanted.reviewers and not wanted.on_behalf_of:
            return Named((), None)
        return await self._database.read(named, caller, wanted)

    async def _view(self, project: str, approval: str) -> ApprovalView:
        view = await self._database.read(approvals.view, project, approval)
        assert view is not None
        return view

    async def _reused(self, project: str, approval: str, wanted: Wanted) -> Refusal:
        """Which members of the request differ from the first one's; their values stay untold."""
        view = await self._view(project, approval)
        first = view.data or {}
        pointers: list[str] = []
        for member, value in (
            ("context", wanted.context),
            ("arguments", wanted.arguments),
            ("reviewers", list(wanted.reviewers)),
        ):
            differences(first.get(member), value, f"/{member}", pointers)
        detail = f"This idempotency key belongs to {approval}, which asked for something else."
        errors = [(pointer, "differs from the first request") for pointer in pointers[:_MOST_POINTERS]]
        return Refusal("idempotency_key_reuse", detail, errors=errors)

    def _keyed(
        self, caller: Caller, what: str, approval: str, key: str | None, data: Mapping[str, Any], request: list[Any]
    ) -> tuple[Payload, keyed.Once | None]:
        """A payload, and the idempotency key with the fingerprint under which it is recorded."""
        once = keyed.once(caller, what, approval, key, request)
        return self._seal(data if once is None else {**data, **once.recorded}), once

    def _seal(self, data: Mapping[str, Any]) -> Payload:
        return codec.seal(data, self._world.random(32))


def _as_ruled(command: core.Request, verdict: Verdict) -> Requirement:
    """What it takes, with the rule that speaks, if any does."""
    return command.requirement if verdict.rule is None else replace(command.requirement, rule=str(verdict.rule))


def _visible(unit: Unit, caller: Caller, approval: str) -> Approval:
    state = unit.state(approval)
    if not isinstance(state, Approval) or not caller.sees(state):
        raise Refusal("not_found", "There is no such approval.")
    return state


def _left(unit: Unit, approval: str) -> _Left:
    state = unit.state(approval)
    assert isinstance(state, Approval)
    return state, unit.lease(approval)


def _check_executes(caller: Caller, state: Approval) -> None:
    if not caller.may_execute(state):
        raise Refusal("forbidden", "Only its requester, or a key with approvals:redeem, executes under an approval.")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
