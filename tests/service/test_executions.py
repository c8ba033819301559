"""Runs on real databases: whatever is asked of them, and however it meets, what is derived agrees with the ledger."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from itertools import permutations
from random import Random
from typing import Any, Final

import pytest
from sqlalchemy import select

from signoff_server.core import approvals
from signoff_server.core.approval_state import Approval
from signoff_server.core.execution_state import Execution, Visit
from signoff_server.core.reactions import LAPSE, LEASE_QUEUE, TIMER
from signoff_server.core.refusals import Refusal
from signoff_server.service.executions import Executions
from signoff_server.service.rebuild import rebuild
from signoff_server.service.work import Handed
from signoff_server.store.agenda import Due
from signoff_server.store.tables import AGENDA, EXECUTIONS, NODES
from tests.core.runs import rows
from tests.support.bare import Bare, bare
from tests.support.databases import Databases
from tests.support.tables import derived

RICH: Final = """
workflow: {id: rich, version: 1.0.0, start: both, limits: {max_steps: 14, max_lost_leases: 1}}
nodes:
  both: {type: parallel, branches: [pay, ask, look], next: more}
  pay:
    type: tool
    tool_ref: payments.submit
    input: {amount: "${{ input.amount }}", run: "${{ execution.id }}"}
    retry: {max_attempts: 2, backoff: fixed, base_delay: 1s}
    next: end
  ask:
    type: human_approval
    description: "Is ${{ input.amount }} right?"
    context: {amount: "${{ input.amount }}"}
    timeout: 60s
    on_approved: hold
    on_rejected: hold
    on_timeout: end
  hold: {type: wait, event: go, timeout: 30s, on_timeout: end, next: end}
  look: {type: tool, tool_ref: look, timeout: 20s, retry: {max_attempts: 3, backoff: linear, base_delay: 1s}, next: end}
  more:
    type: condition
    branches: [{when: "nodes.look.output.more == true", next: rest}]
    default: end
  rest: {type: wait, for: 10s, next: both}
policy: {require_approval_for: ["payments.*"]}
"""
TOOLS: Final = ("payments.submit", "look")


@pytest.fixture
def services(databases: Databases) -> Iterator[Bare]:
    with bare(databases) as made:
        yield made


# ---------------------------------------------------------------- what must agree, always


def check(services: Bare) -> None:
    """The rows are what the streams demand, and everything derived is made again equal from the ledger."""
    engines = services.server.database.engines
    _check_agenda(services)
    before = derived(engines.reader)
    _check_rows(services, before)
    with engines.writer.begin() as connection:
        rebuild(connection, services.world.now())
    assert derived(engines.reader) == before


def _check_agenda(services: Bare) -> None:
    runs, asked = services.everything()
    wanted: dict[str, tuple[int | None, int]] = {}
    for run in runs:
        ours = [approval for approval in asked if approval.source.execution_id == run.id]
        wanted |= rows(services.project, run, ours)
    statement = select(AGENDA.c.key, AGENDA.c.due_at, AGENDA.c.fence).where(AGENDA.c.project == services.project)
    with services.server.database.engines.reader.connect() as connection:
        found = {key: (due, fence) for key, due, fence in connection.execute(statement)}
    assert found.keys() == wanted.keys()
    for key, (due, fence) in wanted.items():
        assert found[key][1] == fence
        assert due is None or found[key][0] == due


def _check_rows(services: Bare, tables: dict[str, list[Any]]) -> None:
    runs, _ = services.everything()
    status = {row[0]: row[list(EXECUTIONS.c.keys()).index("status")] for row in tables["executions"]}
    assert status == {run.id: run.status for run in runs}
    names = list(NODES.c.keys())
    nodes = {(row[0], row[1]): dict(zip(names, row, strict=True)) for row in tables["execution_nodes"]}
    items = {row[0] for row in tables["work"]}
    for run in runs:
        under_way = {visit.node for visit in run.visits}
        for visit in run.visits:
            row = nodes[run.id, visit.node]
            shown = "running" if visit.status == "open" else visit.status
            assert (row["status"], row["visit"], row["attempt"]) == (shown, visit.number, visit.attempt)
            assert (row["due_at"], row["approval"], row["ended_at"]) == (visit.due_at, visit.approval, None)
            assert visit.item is None or visit.item in items
        ended = [row for (of, node), row in nodes.items() if of == run.id and node not in under_way]
        assert all(row["ended_at"] is not None and row["due_at"] is None for row in ended)
        assert {row["status"] for row in ended} <= {"completed", "failed", "blocked", "cancelled"}


# ---------------------------------------------------------------- whatever is asked


class Crowd:
    """Everybody who has to do with some runs, each doing this or that."""

    def __init__(self, services: Bare, seed: int) -> None:
        self._services = services
        self._random = Random(seed)
        self._runs: list[str] = []
        self._handed: list[Handed] = []
        self.refused: set[str] = set()

    async def act(self, rounds: int) -> None:
        await self._try(self._start())
        for _ in range(rounds):
            self._services.world.advance(self._random.choice((0, 0, 0, 0.5, 1, 2, 11)))
            moves = [self._move() for _ in range(self._random.choice((1, 2, 4)))]
            await asyncio.gather(*(self._try(move) for move in moves))

    async def _try(self, move: Awaitable[Any]) -> None:
        try:
            await move
        except Refusal as refusal:
            self.refused.add(refusal.code)

    def _move(self) -> Awaitable[Any]:
        services, execution = self._services, self._random.choice(self._runs[-3:])
        node = self._random.choice((None, "pay", "ask"))
        moves: list[tuple[float, Callable[[], Awaitable[Any]]]] = [
            (2, self._start),
            (9, lambda: services.advance(execution)),
            (4, lambda: services.approve(execution, "approved", node)),
            (2, lambda: services.approve(execution, "rejected", "ask")),
            (6, self._lease),
            (8, self._report),
            (1, self._heartbeat),
            (3, lambda: self._time(execution)),
            (2, lambda: self._signal(execution)),
            (0.3, lambda: services.cancel(execution)),
            (3, lambda: self._resolve(execution)),
        ]
        (_, move) = self._random.choices(moves, [weight for weight, _ in moves])[0]
        return move()

    async def _start(self) -> None:
        given = {"amount": self._random.choice(("1.00", "9.99"))}
        key = self._random.choice((None, "k1", "k2")) if self._runs else None
        execution = await self._services.start(RICH, given, key=key)
        if execution not in self._runs:
            self._runs.append(execution)

    async def _lease(self) -> None:
        self._handed += await self._services.lease(*TOOLS, most=2, idempotent=self._random.random() < 0.5)

    async def _report(self) -> None:
        if self._handed:
            handed = self._random.choice(self._handed)
            outcome = self._random.choice((*["completed"] * 5, "failed", "unknown"))
            await self._services.report(handed, outcome, more=self._random.random() < 0.7)

    async def _heartbeat(self) -> None:
        if self._handed:
            handed = self._random.choice(self._handed)
            caller = self._services.caller("worker")
            await self._services.server.work.heartbeat(caller, handed.item, handed.visit.fence)

    async def _signal(self, execution: str) -> None:
        server, caller = self._services.server, self._services.caller("starter")
        await server.executions.signal(caller, execution, "go", {"n": 1}, key=self._random.choice((None, "s1", "s2")))

    async def _resolve(self, execution: str) -> None:
        server, caller = self._services.server, self._services.caller("alice")
        outcome = self._random.choice(("succeeded", "failed", "retry", "retry"))
        node, output = self._random.choice(("pay", "look")), {"more": True}
        await server.executions.resolve(caller, execution, node, outcome, reason="asked", output=output, key=None)

    async def _time(self, execution: str) -> None:
        """What the agenda would have due of this run, early or late or twice."""
        state = await self._services.state(execution)
        for visit in state.visits:
            await self._due(execution, visit)

    async def _due(self, execution: str, visit: Visit) -> None:
        server, project = self._services.server, self._services.project
        if visit.item is not None:
            await server.work.lose_lease(Due(LEASE_QUEUE, project, visit.item, visit.fence))
            await server.work.lapse(Due(LAPSE, project, visit.item, 0))
        if visit.approval is not None:
            await server.approvals.time_is_over(Due("expire", project, visit.approval, 0), approvals.Expire)
        subject = f"{execution}/{visit.node}/{visit.number}"
        await server.executions.time_is_up(Due(TIMER, project, subject, 0))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_asked_all_that_is_derived_agrees(services: Bare, seed: int) -> None:
    crowd = Crowd(services, seed)
    for _ in range(3):
        asyncio.run(crowd.act(15))
        check(services)
    runs, _ = services.everything()
    assert sum(run.steps for run in runs) > 12
    assert crowd.refused <= {
        "stale_fence",
        "not_pending",
        "already_decided",
        "expired",
        "ambiguous_node",
        "nothing_to_resolve",
        "execution_finished",
        "idempotency_key_reuse",
    }


# ---------------------------------------------------------------- however it meets

WIDE: Final = """
workflow: {id: wide, version: 1.0.0, start: all}
nodes:
  all: {type: parallel, branches: [a, b, c, d], next: end}
  a: {type: tool, tool_ref: look, next: end}
  b: {type: tool, tool_ref: look, next: end}
  c: {type: human_approval, on_approved: end}
  d: {type: wait, for: 10s, next: end}
"""
PAY: Final = """
workflow: {id: pay, version: 1.0.0, start: pay}
nodes:
  pay: {type: tool, tool_ref: payments.submit, input: {amount: "1.00"}, next: end}
policy: {require_approval_for: ["payments.*"]}
"""
ASK: Final = """
workflow: {id: ask, version: 1.0.0, start: ask}
nodes:
  ask: {type: human_approval, timeout: 60s, on_approved: end}
"""


def others(services: Bare) -> Executions:
    """What another replica would have: the same database, and no knowledge of what this one is doing."""
    made = services.server.executions
    return Executions(services.server.database, made._execute, services.world)


def test_who_advance_a_run_together_enter_each_node_once(services: Bare) -> None:
    async def story() -> Execution:
        execution = await services.start(WIDE)
        replicas = [others(services) for _ in range(4)]
        await asyncio.gather(*(replica.advance(services.project, execution) for replica in replicas))
        return await services.state(execution)

    state = asyncio.run(story())
    assert state.steps == 5
    assert {visit.number for visit in state.visits} == {1}
    check(services)


def test_workers_who_ask_together_share_the_items(services: Bare) -> None:
    async def story() -> list[Handed]:
        execution = await services.start(WIDE)
        await services.advance(execution)
        leased = await asyncio.gather(*(services.lease("look", most=2) for _ in range(5)))
        return [handed for each in leased for handed in each]

    handed = asyncio.run(story())
    assert len(handed) == len({each.item for each in handed}) == 2
    assert {(each.visit.attempt, each.visit.fence) for each in handed} == {(1, 1)}
    check(services)


def test_the_same_ask_gets_the_same_items(services: Bare) -> None:
    async def story() -> tuple[list[Handed], list[Handed]]:
        execution = await services.start(WIDE)
        await services.advance(execution)
        services.world.new_id = lambda kind: (
            "req_same" if kind == "req" else type(services.world).new_id(services.world, kind)
        )  # type: ignore[method-assign]
        return await services.lease("look"), await services.lease("look")

    first, second = asyncio.run(story())
    assert [each.item for each in first] == [each.item for each in second]
    assert first[0].visit.fence == second[0].visit.fence == 1


async def in_one_commit(services: Bare, *moves: Callable[[], Awaitable[Any]]) -> list[Any]:
    """All of `moves` as one group, in their order; answers what they came to, refusals included."""
    begun, go = threading.Event(), threading.Event()

    def held(_unit: Any) -> None:
        begun.set()
        assert go.wait(20)

    execute = services.server.executions._execute
    first = asyncio.ensure_future(execute(services.project, held))
    await asyncio.to_thread(begun.wait, 20)
    tasks = [await queued(services, move) for move in moves]
    go.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


async def queued(services: Bare, move: Callable[[], Awaitable[Any]]) -> "asyncio.Future[Any]":
    """The move under way, as far as the writer's queue."""
    database, waits = services.server.database, asyncio.Event()
    enqueue = database._enqueue

    def seen(project: str, job: Any) -> Any:
        waits.set()
        return enqueue(project, job)

    database._enqueue = seen  # type: ignore[method-assign]
    task, there = asyncio.ensure_future(move()), asyncio.ensure_future(waits.wait())
    await asyncio.wait({task, there}, return_when=asyncio.FIRST_COMPLETED)
    there.cancel()
    database._enqueue = enqueue  # type: ignore[method-assign]
    return task


def words(services: Bare, execution: str, approval: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    due = Due("expire", services.project, approval, 0)
    return {
        "approved": lambda: services.approve(execution),
        "rejected": lambda: services.approve(execution, "rejected"),
        "cancelled": lambda: services.cancel(execution),
        "expired": lambda: services.server.approvals.time_is_over(due, approvals.Expire),
    }


@pytest.mark.parametrize("source", [PAY, ASK], ids=["pay", "ask"])
@pytest.mark.parametrize("overdue", [False, True], ids=["in time", "overdue"])
def test_of_words_in_one_commit_the_first_that_counts_wins(services: Bare, source: str, *, overdue: bool) -> None:
    async def story(order: tuple[str, ...]) -> tuple[Execution, Approval, list[Any]]:
        execution = await services.start(source)
        (visit,) = (await services.state(execution)).visits
        assert visit.approval is not None
        if overdue:
            services.world.advance(8 * 24 * 3_600)
        said = words(services, execution, visit.approval)
        answers = await in_one_commit(services, *(said[word] for word in order))
        _, asked = services.everything()
        (approval,) = (each for each in asked if each.id == visit.approval)
        return await services.state(execution), approval, answers

    for order in list(permutations(("approved", "rejected", "cancelled", "expired")))[::5]:
        state, approval, answers = asyncio.run(story(order))
        effective = ("cancelled", "expired") if overdue else ("approved", "rejected", "cancelled")
        winner = next(word for word in order if word in effective)
        expected = "expired" if overdue else winner
        assert approval.status == expected
        wrong = [each for each in answers if isinstance(each, BaseException) and not isinstance(each, Refusal)]
        assert wrong == []
        told = {word: each.code for word, each in zip(order, answers, strict=True) if isinstance(each, Refusal)}
        assert winner not in told
        assert "expired" not in told
        # A run whose tool was approved can still be cancelled; all other words come too late.
        assert set(told.values()) <= {"already_decided", "not_pending", "expired", "execution_finished"}
        if expected == "rejected":
            assert state.status == "failed"
    check(services)


def test_a_report_a_lost_lease_and_a_cancel_meet(services: Bare) -> None:
    async def story(order: tuple[int, ...]) -> Execution:
        execution = await services.again("pay") if order[0] else await services.start(PAY)
        await services.approve(execution)
        (handed,) = await services.lease("payments.submit")
        due = Due(LEASE_QUEUE, services.project, handed.item, 1)
        moves: list[Callable[[], Awaitable[Any]]] = [
            lambda: services.report(handed),
            lambda: services.server.work.lose_lease(due),
            lambda: services.cancel(execution),
        ]
        answers = await in_one_commit(services, *(moves[at] for at in order))
        assert not [each for each in answers if isinstance(each, BaseException) and not isinstance(each, Refusal)]
        return await services.state(execution)

    for order in permutations(range(3)):
        state = asyncio.run(story(order))
        assert state.status == ("completed" if order.index(0) < order.index(2) else "cancelled")
        # The report ends the visit in any order; nothing is left for a person.
        assert state.visits == ()
    check(services)


def test_what_a_worker_says_again_is_answered_again(services: Bare) -> None:
    async def story() -> None:
        execution = await services.start(PAY)
        await services.approve(execution)
        (handed,) = await services.lease("payments.submit")
        assert await services.report(handed) == await services.report(handed) == "completed"
        with pytest.raises(Refusal, match="stale_fence"):
            await services.report(handed, "failed")

    asyncio.run(story())


LOOK: Final = """
workflow: {id: look, version: 1.0.0, start: look, limits: {max_lost_leases: 1}}
nodes:
  look: {type: tool, tool_ref: look, next: end}
"""


def test_what_nobody_knows_may_be_said_again_too(services: Bare) -> None:
    async def story() -> None:
        await services.start(LOOK)
        (first,) = await services.lease("look")
        assert [await services.report(first, "unknown") for _ in range(2)] == ["scheduled"] * 2
        (second,) = await services.lease("look")
        with pytest.raises(Refusal, match="stale_fence"):
            await services.report(first, "unknown")
        assert [await services.report(second, "unknown") for _ in range(2)] == ["failed"] * 2
        with pytest.raises(Refusal, match="stale_fence"):
            await services.report(second, "failed")

    asyncio.run(story())
    check(services)


TWICE: Final = """
workflow: {id: twice, version: 1.0.0, start: look}
nodes:
  look: {type: tool, tool_ref: look, retry: {max_attempts: 2, backoff: fixed, base_delay: 1s}, next: end}
"""


def test_a_failure_may_be_said_again_until_the_item_is_handed_on(services: Bare) -> None:
    async def story() -> None:
        await services.start(TWICE)
        (first,) = await services.lease("look")
        assert [await services.report(first, "failed") for _ in range(2)] == ["retrying"] * 2
        services.world.advance(1)
        (second,) = await services.lease("look")
        with pytest.raises(Refusal, match="stale_fence"):
            await services.report(first, "failed")
        assert [await services.report(second, "failed") for _ in range(2)] == ["failed"] * 2

    asyncio.run(story())
    check(services)


def test_the_leases_of_a_worker_that_is_gone_end_together(services: Bare) -> None:
    async def story() -> list[str]:
        execution = await services.start(WIDE)
        await services.advance(execution)
        await services.start(LOOK)
        assert len(await services.lease("look", most=3)) == 3
        assert await services.server.work.end_leases(services.project, "somebody else") == 0
        assert await services.server.work.end_leases(services.project, "w1") == 3
        assert await services.server.work.end_leases(services.project, "w1") == 0
        return [visit.status for run in services.everything()[0] for visit in run.visits if visit.item is not None]

    assert asyncio.run(story()) == ["scheduled"] * 3
    check(services)


BOTH_WAIT: Final = """
workflow: {id: both-wait, version: 1.0.0, start: ask}
nodes:
  ask: {type: human_approval, on_approved: both}
  both: {type: parallel, branches: [first, second], next: tell}
  first: {type: wait, event: paid, next: end}
  second: {type: wait, event: paid, next: end}
  tell:
    type: tool
    tool_ref: tell
    input: {first: "${{ nodes.first.output.n }}", second: "${{ nodes.second.output.n }}"}
    next: end
"""


@pytest.mark.parametrize("before", [0, 1, 2])
def test_each_signal_is_heard_once_and_in_its_order(services: Bare, before: int) -> None:
    async def story() -> Any:
        execution = await services.start(BOTH_WAIT)
        starter, runs = services.caller("starter"), services.server.executions

        async def signal(number: int) -> None:
            await runs.signal(starter, execution, "paid", {"n": number}, key=f"s{number}")

        for number in range(1, before + 1):
            await signal(number)
        await services.approve(execution)
        for _ in range(2):
            await services.advance(execution)
        for number in range(before + 1, 3):
            assert (await services.state(execution)).status == "parked"
            await signal(number)
        await services.advance(execution)
        (handed,) = await services.lease("tell")
        return handed.input

    assert asyncio.run(story()) == {"first": 1, "second": 2}
    check(services)


def test_starts_with_one_key_in_one_commit_are_one_run(services: Bare) -> None:
    async def story() -> list[Any]:
        await services.server.workflows.register(services.caller("starter"), PAY.encode(), build=False)
        same = [lambda: services.again("pay", key="k") for _ in range(3)]
        return await in_one_commit(services, *same, lambda: services.again("pay", {"n": 1}, key="k"))

    *started, other = asyncio.run(story())
    runs, asked = services.everything()
    assert set(started) == {run.id for run in runs}
    assert len(runs) == len(asked) == 1
    assert isinstance(other, Refusal)
    assert other.code == "idempotency_key_reuse"
    check(services)


def test_a_run_keeps_the_policy_that_it_began_with(services: Bare) -> None:
    async def story() -> list[str]:
        admin = services.caller("admin")
        before = await services.start(TWICE)
        await services.server.workflows.set_policy(admin, b"require_approval_for: ['look']")
        after = await services.again("twice")
        found = [(await services.state(run)).visits[0].status for run in (before, after)]
        await services.server.workflows.set_policy(admin, b"allow: ['look']")
        found.append((await services.state(after)).visits[0].status)
        await services.approve(after)
        assert len(await services.lease("look", most=2)) == 2
        return found

    assert asyncio.run(story()) == ["scheduled", "awaiting_approval", "awaiting_approval"]
    check(services)
