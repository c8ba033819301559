"""Attempts at a node's work: how often, after which pause, and what ends them; each told as a short story."""

from dataclasses import replace
from typing import Any

import pytest

from signoff_server.core import approvals, executions, gates
from signoff_server.core.events import SYSTEM, Actor
from signoff_server.core.execution_state import Visit
from signoff_server.core.graph import Retry
from signoff_server.core.refusals import Refusal
from tests.core.runs import (
    ALICE,
    APP,
    EXPIRES_IN,
    NOTHING,
    RUN,
    WORKER,
    Graph,
    Limits,
    Node,
    Project,
    begin,
    carry_out,
    entered,
)

TOOL: Graph = {"a": Node("tool")}
GATED: Graph = {"a": Node("gated")}
DAY = 24 * 3_600_000


class Story:
    """One run, told command by command."""

    def __init__(self, graph: Graph, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self.project: Project = begin(graph, limits)
        self.said: list[str] = []
        self.advance()

    def tell(self, subject: str, command: Any, actor: Actor = SYSTEM) -> "Story":
        self.project, steps = carry_out(self.project, subject, command, actor)
        self.said = [step.event.type for step in steps]
        return self

    def advance(self) -> "Story":
        return self.tell(RUN, executions.Advance(next(iter(entered(self.project)))))

    def wait(self, milliseconds: int) -> "Story":
        self.project = replace(self.project, now=self.project.now + milliseconds)
        return self

    def take(self, *, idempotent: bool = False) -> "Story":
        return self.tell(RUN, executions.Take(self.item, idempotent, "w", "r"), WORKER)

    def report(self, outcome: str, *, fence: int | None = None, again: bool = True) -> "Story":
        fence = self.visit.fence if fence is None else fence
        return self.tell(RUN, executions.Report(self.item, fence, outcome, NOTHING, "no", again), WORKER)

    def lose(self) -> "Story":
        return self.tell(RUN, executions.LoseLease(self.item, self.visit.fence))

    def approve(self) -> "Story":
        return self.tell(self.visit.approval or "", approvals.Decide(ALICE, NOTHING, "approved", None), ALICE)

    def resolve(self, outcome: str) -> "Story":
        return self.tell(RUN, gates.Resolve("a", outcome, NOTHING, "asked", permitted=True), ALICE)

    @property
    def visit(self) -> Visit:
        found = self.project.run.at("a")
        assert found is not None
        return found

    @property
    def item(self) -> str:
        return self.visit.item or ""

    @property
    def status(self) -> str:
        return self.project.run.status

    @property
    def approval(self) -> Any:
        (found,) = self.project.approvals
        return found


@pytest.mark.parametrize(
    ("backoff", "pauses"),
    [
        ("fixed", [1_000, 1_000, 1_000, 1_000]),
        ("linear", [1_000, 2_000, 3_000, 3_500]),
        ("exponential", [1_000, 2_000, 3_500, 3_500]),
    ],
)
def test_after_a_failure_it_pauses(backoff: str, pauses: list[int]) -> None:
    story = Story(TOOL, Limits(Retry(5, backoff, 1_000, 3_500)))
    for attempt, pause in enumerate(pauses, start=1):
        story.take().report("failed")
        assert (story.visit.status, story.visit.attempt) == ("retrying", attempt)
        assert story.visit.due_at == story.project.now + pause
        with pytest.raises(Refusal, match="stale_fence"):
            story.wait(pause - 1).take()
        story.wait(1)
    assert story.take().report("failed").said == ["node.failed", "execution.failed"]
    assert story.status == "failed"


def test_a_pause_after_very_many_failures_is_the_longest() -> None:
    visit = Visit("a", 1, "tool", "running", 0, retry=Retry(10**6, "exponential", 1, 60_000), failures=10**5)
    assert executions.pause(visit) == 60_000


def test_a_failure_that_is_not_to_be_tried_again_is_the_last() -> None:
    assert Story(TOOL).take().report("failed", again=False).status == "failed"


def test_lost_leases_are_not_attempts() -> None:
    story = Story(TOOL, Limits(Retry(1), lost=2))
    for lost in (1, 2):
        story.take().lose()
        assert (story.visit.status, story.visit.lost, story.visit.due_at) == ("scheduled", lost, story.project.now)
    story.take().lose()
    assert story.said == ["node.failed", "execution.failed"]


def test_a_gated_tool_that_may_be_asked_again_goes_to_a_person_when_no_worker_comes_back() -> None:
    story = Story(GATED, Limits(lost=1)).approve()
    story.take(idempotent=True).lose().take(idempotent=True).lose()
    assert (story.visit.status, story.status, story.approval.redemption.outcome) == (
        "outcome_unknown",
        "parked",
        "unknown",
    )
    assert story.resolve("retry").visit.lost == 0


def test_an_approval_covers_all_attempts_of_its_visit_once_it_was_begun() -> None:
    story = Story(GATED, Limits(Retry(2, "fixed", 1_000))).approve().wait(DAY - 1).take().report("failed")
    story.wait(1_000)
    assert story.approval.lapsed(story.project.now)
    assert story.take().said == ["node.started"]
    assert story.report("completed").said == [
        "node.completed",
        "execution.completed",
        "approval.outcome_reported",
    ]


def test_what_was_approved_and_not_begun_in_time_lapses() -> None:
    story = Story(GATED).approve().wait(DAY)
    assert story.take().said == ["node.failed", "execution.failed"]
    assert story.approval.redemption is None


def test_a_persons_retry_approves_anew_for_as_long() -> None:
    story = Story(GATED).approve().wait(DAY - 1).take().report("unknown").wait(7)
    story.resolve("retry")
    assert story.visit.approved_until == story.approval.approved_until == story.project.now + DAY
    assert story.approval.redemption is None
    with pytest.raises(Refusal, match="stale_fence"):
        story.report("completed", fence=1)
    assert story.take().approval.fence == 2


@pytest.mark.parametrize("status", ["failed", "cancelled"])
@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_after_the_run_is_over_a_person_still_says_what_happened(status: str, outcome: str) -> None:
    graph = {"p": Node("fork", branches=("a", "b")), "a": Node("gated"), "b": Node("tool")}
    story = _both_begun(graph)
    if status == "failed":
        story.tell(RUN, executions.Report("wrk_b1", 1, "failed", NOTHING, "no", again=False), WORKER)
    else:
        story.tell(RUN, executions.Cancel(NOTHING), APP)
    assert (story.status, story.visit.status) == (status, "running")
    story.lose()
    assert story.visit.status == "outcome_unknown"
    with pytest.raises(Refusal, match="execution_finished"):
        story.resolve("retry")
    story.resolve(outcome)
    assert (story.status, story.project.run.at("a")) == (status, None)
    assert (story.approval.redemption.outcome, story.approval.redemption.resolved) == (outcome, True)


def _both_begun(graph: Graph) -> Story:
    story = Story.__new__(Story)
    story.project = begin(graph, start="p")
    story.advance().advance().approve().take()
    return story.tell(RUN, executions.Take("wrk_b1", False, "w", "r"), WORKER)


def test_what_was_handed_out_and_lost_is_not_taken_for_unbegun() -> None:
    story = Story(GATED).approve().take(idempotent=True).lose()
    assert story.visit.status == "scheduled"
    story.tell(RUN, executions.Cancel(NOTHING), APP)
    assert story.visit.status == "outcome_unknown"
    assert story.report("completed").approval.redemption.outcome == "succeeded"


def test_a_retry_that_is_withdrawn_ends_the_use_of_its_approval() -> None:
    story = Story(GATED).approve().take().report("failed").tell(RUN, executions.Cancel(NOTHING), APP)
    assert story.project.run.visits == ()
    assert story.approval.redemption.outcome == "failed"


def test_a_late_report_counts_until_the_item_is_handed_on() -> None:
    assert Story(TOOL).take().lose().report("completed").status == "completed"
    story = Story(TOOL).take().lose().take()
    with pytest.raises(Refusal, match="stale_fence"):
        story.report("completed", fence=1)


def test_a_word_on_an_old_approval_is_none_on_the_next_visit() -> None:
    story = Story({"a": Node("gated", "a")}).approve().take().report("completed").advance()
    story.approve().take().report("unknown")
    word = approvals.Resolve(ALICE, NOTHING, "succeeded", permitted=True)
    with pytest.raises(Refusal, match="nothing_to_resolve"):
        story.tell("apr_a1", word, ALICE)
    assert story.tell("apr_a2", word, ALICE).said == ["node.resolved", "execution.resumed", "approval.resolved"]


def test_branches_whose_approvals_are_over_together_fail_the_run_all_the_same() -> None:
    graph = {"p": Node("fork", branches=("a", "b")), "a": Node("ask"), "b": Node("gated")}
    story = Story.__new__(Story)
    story.project = begin(graph, start="p")
    story.advance().advance().wait(EXPIRES_IN)
    story.tell("apr_a1", approvals.Expire(NOTHING))
    assert story.status == "failed"
    assert [approval.status for approval in story.project.approvals] == ["expired", "expired"]


def test_a_run_whose_question_is_overdue_can_be_cancelled() -> None:
    story = Story(GATED).wait(EXPIRES_IN).tell(RUN, executions.Cancel(NOTHING), APP)
    assert (story.status, story.approval.status) == ("cancelled", "expired")


def test_the_last_step_that_may_be_made_is_made_and_the_next_is_not() -> None:
    story = Story({"a": Node("timer", "a")}, Limits(steps=2))
    for _ in range(2):
        story.wait(50_000).tell(RUN, executions.TimeUp("a", story.visit.number)).advance()
    assert (story.status, story.project.run.steps, story.project.run.visits) == ("failed", 2, ())
