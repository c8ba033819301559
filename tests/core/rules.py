"""What holds of every step of every run: each rule is a function of one step, and fails by an assertion."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from signoff_server.core import approvals, executions, gates
from signoff_server.core.approval_state import Approval
from signoff_server.core.execution_state import MOVING, Visit
from signoff_server.core.refusals import CODES, Refusal
from tests.core.runs import RUN, Project, Step, demanded


@dataclass(frozen=True, slots=True)
class Tried:
    """One command at one moment; where it was refused, nothing was recorded and `after` is `before`."""

    before: Project
    subject: str
    command: Any
    after: Project
    steps: tuple[Step, ...] = ()
    refusal: Refusal | None = None

    @property
    def types(self) -> list[str]:
        return [step.event.type for step in self.steps]

    def visits(self) -> list[tuple[Visit, Visit]]:
        """The visits that were under way before and still are, each as it was and as it is."""
        after = {(visit.node, visit.number): visit for visit in self.after.run.visits}
        both = ((visit, after.get((visit.node, visit.number))) for visit in self.before.run.visits)
        return [(was, visit) for was, visit in both if visit is not None]


# ---------------------------------------------------------------- the run as a whole


def a_run_that_is_over_stays_over(tried: Tried) -> None:
    was, run = tried.before.run, tried.after.run
    if not was.over:
        return
    assert (run.status, run.ended_at, run.ended_seq, run.steps) == (was.status, was.ended_at, was.ended_seq, was.steps)
    assert {visit.node for visit in run.visits} <= {visit.node for visit in was.visits}
    ends = {"node.completed", "node.failed", "node.outcome_unknown", "node.resolved"}
    assert set(tried.types) <= ends | {"approval.outcome_reported", "approval.outcome_unknown", "approval.resolved"}


def parked_means_that_nothing_moves_and_completed_that_nothing_is_left(tried: Tried) -> None:
    run = tried.after.run
    if run.status == "completed":
        assert not run.visits
    if run.over:
        assert not run.ready
        return
    assert run.ready or run.visits
    moving = bool(run.ready) or any(visit.status in MOVING for visit in run.visits)
    assert run.status == ("running" if moving else "parked")


def what_ends_badly_takes_back_all_that_has_not_begun(tried: Tried) -> None:
    was, run = tried.before.run, tried.after.run
    if was.over or not run.over:
        return
    assert all(visit.status in ("running", "outcome_unknown") for visit in run.visits)
    assert not any(approval.status == "pending" for approval in tried.after.approvals)
    for before, after in tried.visits():
        assert after == before or (before.unheard and after.status == "outcome_unknown")


def the_state_is_bounded_by_the_graph(tried: Tried) -> None:
    run = tried.after.run
    places = [visit.node for visit in run.visits] + [ready.node for ready in run.ready]
    assert len(places) == len(set(places)) <= len(tried.after.graph)
    assert len(run.signals) <= executions.MAX_SIGNALS
    assert run.steps <= run.max_steps


# ---------------------------------------------------------------- what is handed out, and what is reported


def nothing_gated_is_handed_out_but_what_is_approved_and_in_time(tried: Tried) -> None:
    for step in tried.steps:
        if step.event.type != "node.started" or "item" not in step.event.facts:
            continue
        visit = tried.before.run.of_item(step.event.facts["item"])
        assert visit is not None
        assert visit.status in ("scheduled", "retrying")
        assert visit.due_at is not None
        assert tried.before.now >= visit.due_at
        if visit.approval is None:
            continue
        approval = tried.before.approval(visit)
        assert approval.status == "approved"
        assert visit.began or not approval.lapsed(tried.before.now)
        assert tried.types.count("approval.redeemed") == (0 if visit.began else 1)


def what_was_approved_once_never_happens_twice_by_itself(tried: Tried) -> None:
    for was, visit in tried.visits():
        risky = was.approval is not None and was.unheard and was.status in ("running", "outcome_unknown")
        if not risky or visit.status not in ("scheduled", "retrying", "running") or visit == was:
            continue
        by_a_person = isinstance(tried.command, gates.Resolve | approvals.Resolve) and tried.command.permitted
        failed = isinstance(tried.command, executions.Report) and tried.command.outcome == "failed"
        reported = failed and visit.status == "retrying" and tried.command.fence == was.fence
        lost_but_safe = was.status == "running" and was.idempotent and visit.lost == was.lost + 1
        assert by_a_person or reported or lost_but_safe


def fences_only_grow(tried: Tried) -> None:
    for was, visit in tried.visits():
        assert visit.fence - was.fence == (1 if visit.attempt > was.attempt else 0)
        assert was.settled <= visit.settled <= visit.fence
        assert visit.attempt - was.attempt in (0, 1)


def a_report_counts_by_the_last_fence_until_that_is_settled(tried: Tried) -> None:
    command = tried.command
    if not isinstance(command, executions.Report):
        return
    visit = tried.before.run.of_item(command.item)
    counts = visit is not None and command.fence == visit.fence and visit.unheard
    assert (tried.refusal is None) == counts
    assert counts or tried.refusal is not None
    assert tried.refusal is None or tried.refusal.code == "stale_fence"


def attempts_and_lost_leases_are_counted(tried: Tried) -> None:
    limits = tried.after.limits
    for visit in tried.after.run.visits:
        assert visit.failures < limits.retry.max_attempts
        assert visit.lost <= limits.lost


def a_visit_ends_once(tried: Tried) -> None:
    under_way = {(visit.node, visit.number) for visit in tried.before.run.visits}
    for step in tried.steps:
        facts = step.event.facts
        if step.event.subject != RUN or "visit" not in facts:
            continue
        if "type" in facts:
            assert facts["visit"] == tried.before.visits.get(facts["node"], 0) + 1
            under_way.add((facts["node"], facts["visit"]))
        assert (facts["node"], facts["visit"]) in under_way
        if step.state.at(facts["node"]) is None:
            under_way.discard((facts["node"], facts["visit"]))


# ---------------------------------------------------------------- the run and its approvals


def every_pending_approval_belongs_to_one_visit_that_awaits_it(tried: Tried) -> None:
    run = tried.after.run
    awaiting = [visit.approval for visit in run.visits if visit.status == "awaiting_approval"]
    assert len(awaiting) == len(set(awaiting))
    assert not (run.over and awaiting)
    assert {approval.id for approval in tried.after.approvals if approval.status == "pending"} == set(awaiting)


def both_streams_say_the_same(tried: Tried) -> None:
    used = set()
    for visit in tried.after.run.visits:
        if visit.approval is None:
            continue
        used.add(visit.approval)
        approval, held = tried.after.approval(visit), tried.after.approval(visit).redemption
        assert approval.status == ("pending" if visit.status == "awaiting_approval" else "approved")
        assert visit.began == (held is not None)
        assert held is None or held.outcome in (None, "unknown")
        assert visit.status != "outcome_unknown" or (held is not None and held.outcome == "unknown")
        assert visit.began or visit.approved_until == approval.approved_until
    for approval in tried.after.approvals:
        assert approval.id in used or _closed(approval)


def _closed(approval: Approval) -> bool:
    held = approval.redemption
    return approval.status != "pending" and (held is None or held.outcome in ("succeeded", "failed"))


def a_decision_in_time_is_never_undecidable(tried: Tried) -> None:
    command = tried.command
    if not isinstance(command, approvals.Decide):
        return
    before, after = tried.before.streams[tried.subject], tried.after.streams[tried.subject]
    if before.status == "pending" and tried.before.now < before.expires_at:
        assert tried.refusal is None
        assert after.status == command.decision
        visit = tried.after.run.of_approval(after.id)
        assert visit is None or visit.status == "scheduled"


# ---------------------------------------------------------------- what is refused, and what follows by itself

TOLD: Final = (
    executions.LoseLease
    | executions.Lapse
    | executions.TimeUp
    | executions.Withhold
    | executions.Advance
    | approvals.Expire
)


def what_is_told_is_never_refused(tried: Tried) -> None:
    assert tried.refusal is None or not isinstance(tried.command, TOLD)


def only_what_is_over_cannot_be_cancelled(tried: Tried) -> None:
    if isinstance(tried.command, executions.Cancel):
        assert (tried.refusal is not None) == tried.before.run.over
        assert tried.refusal is not None or tried.after.run.status == "cancelled"


def refusals_are_in_the_table(tried: Tried) -> None:
    if tried.refusal is not None:
        assert tried.refusal.code in CODES
        assert tried.after is tried.before


def nobody_uses_a_runs_approval_by_hand(tried: Tried) -> None:
    if isinstance(tried.command, approvals.Redeem | approvals.Report | approvals.LoseLease):
        assert tried.refusal is not None
        assert tried.refusal.code == "forbidden"


def a_persons_word_counts_where_the_outcome_is_unknown(tried: Tried) -> None:
    command = tried.command
    if not isinstance(command, gates.Resolve | approvals.Resolve) or tried.refusal is not None:
        return
    assert command.permitted
    visits = tried.before.run.visits
    (visit,) = [visit for visit in visits if visit.approval == tried.subject or visit.node == _node(command)]
    assert visit.status == "outcome_unknown"
    assert not (tried.before.run.over and command.outcome in ("retry", "release"))


def _node(command: Any) -> str | None:
    return command.node if isinstance(command, gates.Resolve) else None


def the_agenda_is_what_the_state_demands(tried: Tried) -> None:
    wanted, agenda = demanded(tried.after), tried.after.agenda
    assert agenda.keys() == wanted.keys()
    for key, (due, fence) in wanted.items():
        assert agenda[key][1] == fence
        assert due is None or agenda[key][0] == due


Rule = Callable[[Tried], None]
# Of what was recorded, or left as it was by a command that was not refused.
RULES: Final[tuple[Rule, ...]] = (
    a_run_that_is_over_stays_over,
    parked_means_that_nothing_moves_and_completed_that_nothing_is_left,
    what_ends_badly_takes_back_all_that_has_not_begun,
    the_state_is_bounded_by_the_graph,
    nothing_gated_is_handed_out_but_what_is_approved_and_in_time,
    what_was_approved_once_never_happens_twice_by_itself,
    fences_only_grow,
    attempts_and_lost_leases_are_counted,
    a_visit_ends_once,
    every_pending_approval_belongs_to_one_visit_that_awaits_it,
    both_streams_say_the_same,
    the_agenda_is_what_the_state_demands,
)
# Of every answer, also where nothing came of it.
ANSWERS: Final[tuple[Rule, ...]] = (
    a_report_counts_by_the_last_fence_until_that_is_settled,
    a_decision_in_time_is_never_undecidable,
    what_is_told_is_never_refused,
    only_what_is_over_cannot_be_cancelled,
    refusals_are_in_the_table,
    nobody_uses_a_runs_approval_by_hand,
    a_persons_word_counts_where_the_outcome_is_unknown,
)


def check(tried: Tried) -> None:
    """Every rule that bears on it."""
    for rule in ANSWERS:
        rule(tried)
    if tried.steps:
        for rule in RULES:
            rule(tried)
