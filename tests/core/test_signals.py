"""Signals are kept until somebody waits for them, are used in their order, and each of them once."""

import pytest

from signoff_server.core import executions
from signoff_server.core.events import SYSTEM
from signoff_server.core.refusals import Refusal
from tests.core.runs import APP, EVENT, NOTHING, RUN, Node, Project, begin, carry_out, entered


def advance(project: Project) -> Project:
    after, _ = carry_out(project, RUN, executions.Advance(next(iter(entered(project)))), SYSTEM)
    return after


def signal(project: Project, name: str = EVENT) -> Project:
    after, _ = carry_out(project, RUN, executions.Signal(name, NOTHING, NOTHING), APP)
    return after


def test_a_signal_that_came_before_is_kept_and_used_once() -> None:
    project = signal(signal(begin({"a": Node("event", "a")})), "other")
    project = advance(project)
    assert [name for name, _ in project.run.signals] == ["other"]
    project = advance(project)
    assert project.run.status == "parked"
    assert signal(project).run.ready


def test_signals_of_one_name_are_used_oldest_first() -> None:
    project = signal(signal(begin({"a": Node("event", "a")})))
    (_, first), (_, second) = project.run.signals
    assert first < second
    assert advance(project).run.signals == ((EVENT, second),)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_each_signal_serves_one_of_those_that_wait(kept: int) -> None:
    graph = {"a": Node("fork", branches=("b", "c")), "b": Node("event"), "c": Node("event")}
    project = advance(begin(graph))
    for _ in range(kept):
        project = signal(project)
    assert len(advance(project).run.visits) == {0: 3, 1: 2, 2: 0}[kept]


def test_a_signal_is_not_taken_twice_by_entries_that_both_mean_it() -> None:
    graph = {"a": Node("fork", branches=("b", "c")), "b": Node("event"), "c": Node("event")}
    (both,) = entered(signal(signal(advance(begin(graph)))))
    project, _ = carry_out(signal(advance(begin(graph))), RUN, executions.Advance(both), SYSTEM)
    assert [visit.node for visit in project.run.visits if visit.status == "waiting"] == ["c"]


def test_who_waits_without_a_timeout_is_not_told_that_time_is_up() -> None:
    project = advance(begin({"a": Node("event")}))
    after, steps = carry_out(project, RUN, executions.TimeUp("a", 1), SYSTEM)
    assert (after.run, steps) == (project.run, [])


def test_no_more_signals_are_kept_than_there_is_room_for() -> None:
    project = begin({"a": Node("event")})
    for _ in range(executions.MAX_SIGNALS):
        project = signal(project)
    with pytest.raises(Refusal, match="signals_cap") as refused:
        signal(project)
    assert refused.value.retry_after
