"""The whole state space of an approval, by search, and the rules that hold everywhere in it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import pytest

from signoff_server.core import approval_state
from signoff_server.core import approvals as core
from signoff_server.core.approval_state import Approval, Requirement
from signoff_server.core.events import SYSTEM, Actor, Event, Payload, Recorded, from_text, to_text
from signoff_server.core.refusals import CODES, Refusal

NOTHING = Payload(b"{}", b"", "")
APP = Actor("prn_app", "service", "api")
OWNER = Actor("prn_owner", "human", "api")
ALICE = Actor("prn_alice", "human", "api")
BOB = Actor("prn_bob", "human", "api")
ROBOT = Actor("prn_robot", "agent", "mcp")
T0 = 1_790_000_000_000
EXPIRES = T0 + 10_000
APPROVED_FOR = 100_000
TIMES = (T0, T0 + 9_999, EXPIRES, T0 + APPROVED_FOR, T0 + 3 * APPROVED_FOR)

REQUEST = core.Request(APP, NOTHING, "payments.wire", "sha256:x", 10_000, owner=OWNER.id, approved_for=APPROVED_FOR)


def apply(state: Approval | None, event: Event, now: int, actor: Actor) -> Approval:
    version = 1 if state is None else state.requested_seq + 1
    recorded = Recorded(version, "evt", event.type, 1, "apr_1", version, now, actor, event.facts, "")
    return approval_state.evolve(state, recorded)


def start(requirement: Requirement = Requirement()) -> Approval:  # noqa: B008 - frozen
    (event,) = core.decide(None, replace(REQUEST, requirement=requirement), T0)
    return apply(None, event, T0, APP)


def commands(state: Approval, now: int) -> Iterator[tuple[core.Command, Actor]]:
    """Everything that anybody could try."""
    for who in (ALICE, BOB, OWNER, ROBOT, APP):
        for decision in ("approved", "rejected"):
            yield core.Decide(who, NOTHING, decision, "because"), who
    yield core.Decide(ALICE, NOTHING, "rejected", None), ALICE
    yield core.Decide(ALICE, NOTHING, "approved", None, seen="sha256:other"), ALICE
    for who, admin in ((APP, False), (ALICE, False), (BOB, True)):
        yield core.Cancel(who, NOTHING, admin), who
    yield core.Expire(NOTHING), SYSTEM
    for redeemer in ("r1", "r2"):
        for binding in ("sha256:x", "sha256:other"):
            for lease in (None, now - 1, now + 1):
                yield core.Redeem(APP, NOTHING, binding, redeemer, lease), APP
    for fence in (1, 2, 3):
        yield core.LoseLease(NOTHING, fence), SYSTEM
        for outcome in ("succeeded", "failed"):
            yield core.Report(APP, NOTHING, fence, outcome), APP
    for outcome in ("succeeded", "failed", "release"):
        for permitted in (True, False):
            yield core.Resolve(ALICE, NOTHING, outcome, permitted), ALICE


def key(state: Approval) -> tuple[object, ...]:
    """What tells two states apart, with fences beyond two taken as one so that the search ends."""
    held = state.redemption
    redemption = None if held is None else (held.fence, held.redeemer, held.outcome, held.resolved)
    return (state.status, state.fence, redemption, state.approved_until, state.closed_by)


def walk() -> Iterator[tuple[Approval, core.Command, int, list[Event] | Refusal, Approval]]:
    """Every reachable state with every command at every telling moment; fences up to three."""
    first = start()
    seen, queue = {key(first)}, deque([first])
    while queue:
        state = queue.popleft()
        for now in TIMES:
            for command, actor in commands(state, now):
                try:
                    events = core.decide(state, command, now)
                except Refusal as refusal:
                    yield state, command, now, refusal, state
                    continue
                assert len(events) <= 1
                after = apply(state, events[0], now, actor) if events else state
                yield state, command, now, events, after
                if after.fence <= 3 and key(after) not in seen:
                    seen.add(key(after))
                    queue.append(after)


STEPS = list(walk())


def test_the_search_reaches_every_status_and_outcome() -> None:
    after = [step[4] for step in STEPS]
    assert {state.status for state in after} == {"pending", "approved", "rejected", "expired", "cancelled"}
    outcomes = {(state.redemption.outcome, state.redemption.resolved) for state in after if state.redemption}
    assert outcomes == {
        (None, False),
        ("unknown", False),
        ("succeeded", False),
        ("failed", False),
        ("succeeded", True),
        ("failed", True),
    }
    assert len({key(state) for state in after}) > 100


def test_leaving_pending_happens_once_and_stays() -> None:
    for before, _, _, _, after in STEPS:
        if before.status != "pending":
            assert (after.status, after.closed_by, after.closed_at, after.votes) == (
                before.status,
                before.closed_by,
                before.closed_at,
                before.votes,
            )


def test_only_an_eligible_human_in_time_approves() -> None:
    approvals = [step for step in STEPS if step[0].status == "pending" and step[4].status == "approved"]
    assert approvals
    for _, command, now, _, after in approvals:
        assert isinstance(command, core.Decide)
        assert command.actor in (ALICE, BOB)
        assert now < EXPIRES
        assert after.approved_until == now + APPROVED_FOR


def test_nothing_is_redeemed_but_what_is_approved_bound_and_in_time() -> None:
    redeemed = [step for step in STEPS if step[4].fence > step[0].fence]
    assert redeemed
    for before, command, now, _, after in redeemed:
        assert isinstance(command, core.Redeem)
        assert before.status == "approved"
        assert before.redemption is None
        assert command.binding == before.binding
        assert before.approved_until is not None
        assert now < before.approved_until
        assert after.fence == before.fence + 1


def test_a_redemption_ends_only_by_its_own_fence_or_a_persons_word() -> None:
    for before, command, _, _, after in STEPS:
        if before.redemption is None or before.redemption == after.redemption:
            continue
        if isinstance(command, core.Resolve):
            assert command.permitted
            assert before.redemption.outcome == "unknown"
        else:
            assert isinstance(command, core.Report | core.LoseLease)
            assert command.fence == before.redemption.fence
            assert not before.redemption.resolved


def test_a_second_redeemer_never_gets_in_without_a_release() -> None:
    for before, command, _, answer, _ in STEPS:
        if isinstance(command, core.Redeem) and before.redemption is not None and answer == []:
            assert before.redemption.redeemer == command.redeemer
            assert before.redemption.outcome is None


def test_what_was_reported_is_never_reported_otherwise() -> None:
    for before, _, _, _, after in STEPS:
        if before.redemption and before.redemption.outcome in ("succeeded", "failed"):
            assert after.redemption == before.redemption


def test_refusals_are_in_the_table_and_tell_who_came_first() -> None:
    for before, command, now, answer, after in STEPS:
        if not isinstance(answer, Refusal):
            continue
        assert answer.code in CODES
        assert before == after
        if answer.status == 409 and answer.code != "binding_mismatch":
            assert answer.current is not None
            overdue = before.status == "pending" and now >= EXPIRES
            assert answer.current["status"] == ("expired" if overdue else before.status)
        if isinstance(command, core.Decide) and answer.code == "already_decided":
            assert answer.current is not None
            assert before.closed_by is not None
            assert answer.current["decided_by"]["id"] == before.closed_by.id


def test_each_loser_hears_the_code_of_what_won() -> None:
    codes = {
        "approved": "already_decided",
        "rejected": "already_decided",
        "expired": "expired",
        "cancelled": "not_pending",
    }
    for before, command, _, answer, _ in STEPS:
        late = isinstance(command, core.Decide | core.Cancel) and before.status != "pending"
        if late and isinstance(answer, Refusal) and answer.status == 409:
            assert answer.code == codes[before.status]


@pytest.mark.parametrize(
    ("actor", "code"),
    [(APP, "kind_not_allowed"), (ROBOT, "kind_not_allowed"), (OWNER, "self_decision"), (BOB, "reviewer_not_eligible")],
)
def test_who_may_not_decide_hears_why(actor: Actor, code: str) -> None:
    state = start(Requirement(reviewers=("prn_alice",)))
    with pytest.raises(Refusal) as refused:
        core.decide(state, core.Decide(actor, NOTHING, "approved", None), T0)
    assert refused.value.code == code


@pytest.mark.parametrize("field", ["on_behalf_of", "initiator", "owner"])
def test_nobody_decides_what_concerns_themselves(field: str) -> None:
    changed: dict[str, str | None] = {"owner": None, field: "prn_alice"}
    (event,) = core.decide(None, replace(REQUEST, **changed), T0)  # type: ignore[arg-type]
    state = apply(None, event, T0, APP)
    with pytest.raises(Refusal, match="self_decision"):
        core.decide(state, core.Decide(ALICE, NOTHING, "approved", None), T0)


def test_a_human_requester_never_approves_their_own() -> None:
    (event,) = core.decide(None, replace(REQUEST, actor=ALICE), T0)
    state = apply(None, event, T0, ALICE)
    with pytest.raises(Refusal, match="self_decision"):
        core.decide(state, core.Decide(ALICE, NOTHING, "approved", None), T0)


def test_an_event_that_cannot_follow_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not follow"):
        apply(start(), Event("approval.outcome_reported", {"fence": 1, "outcome": "failed"}, NOTHING), T0, APP)


@pytest.mark.parametrize("at", [0, 1, 999, 1_000, 1_790_000_000_123, 253_402_300_799_999])
def test_times_survive_their_text(at: int) -> None:
    assert from_text(to_text(at)) == at


def test_a_requester_has_no_more_pending_than_the_limit() -> None:
    for waiting, most in ((0, None), (10**6, None), (4, 5)):
        assert core.decide(None, replace(REQUEST, waiting=waiting, most=most), T0)
    for waiting in (5, 6):
        with pytest.raises(Refusal) as refusal:
            core.decide(None, replace(REQUEST, waiting=waiting, most=5), T0)
        assert (refusal.value.code, refusal.value.status) == ("pending_cap", 429)
        assert refusal.value.retry_after
