"""A long run costs as much at its end as at its start: in statements, in what SQLite does for them, in bytes kept."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import pytest
from sqlalchemy import Engine, event, func, select

from signoff_server.core import executions
from signoff_server.core.events import SYSTEM
from signoff_server.core.execution_state import Execution
from signoff_server.service.execute import Job, Unit
from signoff_server.store import codec
from signoff_server.store.statements import Statement
from signoff_server.store.tables import AGENDA, NODES, SNAPSHOTS, WORK
from tests.support.bare import Bare, bare
from tests.support.databases import Databases, only

LOOP: Final = """
workflow: {id: loop, version: 1.0.0, start: one, limits: {max_steps: 1000}}
nodes:
  one: {type: tool, tool_ref: look, input: {n: "${{ input.n }}"}, next: two}
  two: {type: tool, tool_ref: look, input: {last: "${{ nodes.one.output }}"}, next: one}
"""
SAMPLE: Final = 15
EVERY: Final = 20
# A row that one transaction changes many times is slow on PostgreSQL.
AT_ONCE: Final = 50


def line(length: int) -> str:
    """A workflow of so many tools in a row, each of which reads what the one before it answered."""
    nodes = [
        f'  n{at}: {{type: tool, tool_ref: look, input: {{last: "${{{{ nodes.n{max(at - 1, 0)}.output }}}}"}}, '
        f"next: {'end' if at + 1 == length else f'n{at + 1}'}}}"
        for at in range(1, length)
    ]
    first = '  n0: {type: tool, tool_ref: look, input: {n: "${{ input.n }}"}, next: n1}'
    head = "workflow: {id: line, version: 1.0.0, start: n0, limits: {max_steps: 1000}}"
    return "\n".join([head, "nodes:", first, *nodes])


@pytest.fixture
def services(databases: Databases) -> Iterator[Bare]:
    with bare(databases) as made:
        yield made


@dataclass
class Spent:
    """What was done meanwhile: statements sent, and on SQLite the steps of its machine, in units of `EVERY`."""

    statements: int = 0
    steps: int = 0
    each: list[tuple[int, int]] = field(default_factory=list)

    def mark(self) -> None:
        self.each.append((self.statements, self.steps))
        self.statements = self.steps = 0


@contextmanager
def counted(services: Bare, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spent]:
    spent = Spent()
    prepare = Statement._for

    def counting(statement: Statement, connection: Any) -> Any:
        spent.statements += 1
        return prepare(statement, connection)

    def step() -> int:
        spent.steps += 1
        return 0

    def lent(connection: Any, *_: Any) -> None:
        if hasattr(connection, "set_progress_handler"):
            connection.set_progress_handler(step, EVERY)

    monkeypatch.setattr(Statement, "_for", counting)
    engines: set[Engine] = {services.server.database.engines.writer, services.server.database.engines.reader}
    for engine in engines:
        event.listen(engine, "checkout", lent)
    yield spent
    for engine in engines:
        event.remove(engine, "checkout", lent)


async def go_on(services: Bare, execution: str, steps: int, spent: Spent) -> None:
    """So many nodes, by everything that a server does for them."""
    for _ in range(steps):
        (handed,) = await services.lease("look")
        await services.report(handed, value="x")
        await services.advance(execution)
        spent.mark()


def skip(services: Bare, execution: str, steps: int) -> None:
    """So many nodes in few transactions, which is soon done; what is recorded is the same."""
    for start in range(0, steps, AT_ONCE):
        with services.server.database.engines.writer.begin() as connection:
            for _ in range(min(AT_ONCE, steps - start)):
                _, entries = services.server.executions._entries(connection, services.project, execution)
                job = Job(_through(services, execution, entries), (execution,))
                group = services.server.executions._execute.run_group(connection, services.project, [job])
                assert group.outcomes == [None]


def _through(services: Bare, execution: str, entries: tuple[Any, ...]) -> Callable[[Unit], None]:
    """Into a node, and out of it again."""
    payload = codec.seal({"output": {"value": "x"}}, services.world.random(32))

    def plan(unit: Unit) -> None:
        if entries:
            unit.decide(execution, executions.Advance(entries), SYSTEM)
        state = unit.state(execution)
        assert isinstance(state, Execution)
        item = state.visits[0].item or ""
        unit.decide(execution, executions.Take(item, False, "w", "r"), SYSTEM)
        unit.decide(execution, executions.Report(item, 1, "completed", payload), SYSTEM)

    return plan


def snapshot(services: Bare, execution: str) -> int:
    statement = select(func.length(SNAPSHOTS.c.state)).where(SNAPSHOTS.c.subject == execution)
    with services.server.database.engines.reader.connect() as connection:
        return int(connection.execute(statement).scalar_one())


def long_run(services: Bare, monkeypatch: pytest.MonkeyPatch, source: str, length: int) -> tuple[Spent, list[int]]:
    """A run of so many steps, with what it cost at its start and at its end, and the sizes of its snapshot."""
    execution = asyncio.run(services.start(source, {"n": 1}))
    with counted(services, monkeypatch) as spent:
        asyncio.run(go_on(services, execution, SAMPLE, spent))
        sizes = [snapshot(services, execution)]
        skip(services, execution, length - 2 * SAMPLE)
        asyncio.run(services.advance(execution))
        sizes.append(snapshot(services, execution))
        spent.mark()
        del spent.each[-1]
        asyncio.run(go_on(services, execution, SAMPLE, spent))
    state = asyncio.run(services.state(execution))
    assert (state.steps, state.over) == (length, True)
    return spent, sizes


def check(spent: Spent, sizes: list[int]) -> None:
    """At its end it costs what it cost at its start."""
    first, last = spent.each[2:SAMPLE], spent.each[SAMPLE:-1]
    assert median(statements for statements, _ in last) == median(statements for statements, _ in first)
    was, now = (median(steps for _, steps in part) for part in (first, last))
    # What is looked up by a key costs with the logarithm of how many there are.
    assert now <= was * 1.5
    # A `seq` and a count have more digits after a thousand steps.
    assert sizes[1] <= sizes[0] + 40


def test_a_loop_of_a_thousand_steps(services: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    spent, sizes = long_run(services, monkeypatch, LOOP, 1_000)
    check(spent, sizes)
    with services.server.database.engines.reader.connect() as connection:
        kept = [
            connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (NODES, WORK, AGENDA)
        ]
    assert kept == [2, 1_000, 0]


def test_a_line_of_many_nodes(services: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    check(*long_run(services, monkeypatch, line(300), 300))


@only("sqlite")
def test_what_is_counted_is_what_is_done(services: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = asyncio.run(services.start(LOOP, {"n": 1}))
    with counted(services, monkeypatch) as spent:
        asyncio.run(go_on(services, execution, 2, spent))
    assert all(statements > 10 and steps > 10 for statements, steps in spent.each)


def test_the_state_of_a_run_is_small(services: Bare) -> None:
    execution = asyncio.run(services.start(LOOP, {"n": 1}))
    state: Execution = asyncio.run(services.state(execution))
    assert len(codec.dump_state(state)) < 2_500
