"""The testing mode: no server, no network, the real rules."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from signoff import (
    AlreadyRedeemed,
    Approval,
    ApprovalCancelled,
    ApprovalExpired,
    ApprovalRejected,
    ApprovalTimeout,
    ConfigurationError,
    IdempotencyConflict,
    NotFound,
    OutcomeUnknown,
    require_approval,
    require_approval_async,
)
from signoff.testing import Armed, advance_time, approve_all, approve_next, leave_pending, reject_next


def test_approve_next_is_for_one() -> None:
    with approve_next("pay.*") as asked:
        assert require_approval("pay.wire", {"a": 1}).status == "approved"
        with pytest.raises(AssertionError, match=r"pay\.wire"):
            require_approval("pay.wire", {"a": 2})
    assert [each.context for each in asked.approvals] == [{"a": 1}]
    with pytest.raises(ConfigurationError):
        require_approval("pay.wire")


def test_it_stands_in_for_asking_and_no_more() -> None:
    with approve_all() as asked:
        with pytest.raises(NotFound):
            asked.client.workflows.register("workflow: {}")
        with pytest.raises(NotFound):
            asked.client.executions.wait("exe_1")


def test_names_are_matched_by_glob() -> None:
    with approve_next("PAY.?ire"), pytest.raises(AssertionError):
        require_approval("pay.other")
    with approve_next("PAY.?ire"):
        require_approval("pay.wire")


def test_reject_next() -> None:
    with reject_next("pay.*", "too much"), pytest.raises(ApprovalRejected) as raised:
        require_approval("pay.wire")
    assert raised.value.reason == "too much"
    assert raised.value.decided_by.name == "reviewer"


def test_they_nest_and_the_innermost_decides() -> None:
    with approve_all() as outer:
        with reject_next("b") as inner:
            require_approval("a")
            with pytest.raises(ApprovalRejected):
                require_approval("b")
            require_approval("b")
        require_approval("c")
    assert [each.name for each in outer.approvals] == ["a", "b", "b", "c"]
    assert [each.name for each in inner.approvals] == ["a", "b", "b", "c"]


def test_left_pending_times_out_and_can_be_attached_to() -> None:
    with leave_pending():
        with pytest.raises(ApprovalTimeout):
            require_approval("a", idempotency_key="k", timeout=0)
        with pytest.raises(ApprovalTimeout) as raised:
            require_approval("a", idempotency_key="k", timeout=0.01)
    assert raised.value.approval_id


def test_it_is_pending_first() -> None:
    told: list[str] = []
    with approve_all():
        require_approval("a", on_pending=lambda approval: told.append(approval.status))
    assert told == ["pending"]


def test_blocks_and_keys_are_the_real_ones() -> None:
    with approve_all() as asked:
        with require_approval("a", {"x": 1}, idempotency_key="k") as approval:
            assert approval.redemption.fence == 1
        again = require_approval("a", {"x": 1}, idempotency_key="k")
        assert again.reattached
        with pytest.raises(AlreadyRedeemed) as raised, again:
            pass
        assert raised.value.outcome == "succeeded"
        with pytest.raises(IdempotencyConflict):
            require_approval("a", {"x": 2}, idempotency_key="k")
    assert len(asked.approvals) == 1


def test_async() -> None:
    async def main() -> str:
        async with require_approval_async("a") as approval:
            pass
        return (await require_approval_async("b")).status + approval.name

    with approve_all():
        assert asyncio.run(main()) == "approveda"


def test_by_hand() -> None:
    with leave_pending() as asked:
        made = asked.client.approvals.create("a")
        assert asked.client.approvals.cancel(made.id, reason="oops").status == "cancelled"
        with pytest.raises(NotFound):
            asked.client.approvals.get("apr_unknown")
    with approve_all() as asked:
        made = asked.client.approvals.create("a")
        held = asked.client.approvals.redeem(made.id)
        asked.client.approvals.renew(made.id, held.fence)
        assert asked.client.approvals.report(made.id, held.fence, "failed").redemption.outcome == "failed"
        assert [each.id for each in asked.client.approvals.as_completed([made.id])] == [made.id]


def test_of_many_threads_exactly_one_runs() -> None:
    ran: list[int] = []
    together = threading.Barrier(8)

    def work(number: int) -> str:
        together.wait(10)
        try:
            with require_approval("a", {"x": 1}, idempotency_key="k"):
                ran.append(number)
                return "ran"
        except AlreadyRedeemed:
            return "refused"

    with approve_all() as asked, ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(work, range(8)))
    assert outcomes == ["ran"] + ["refused"] * 7 or outcomes == ["refused"] * 7 + ["ran"]
    assert len(ran) == len(asked.approvals) == 1


def test_of_many_threads_with_one_approval_exactly_one_enters() -> None:
    together = threading.Barrier(8)
    with approve_all():
        approval = require_approval("a")

        def work(_: int) -> bool:
            together.wait(10)
            try:
                with approval:
                    return True
            except AlreadyRedeemed:
                return False

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(work, range(8))) == 1


def test_of_many_tasks_exactly_one_runs() -> None:
    async def work() -> bool:
        try:
            async with require_approval_async("a", idempotency_key="k"):
                await asyncio.sleep(0)
                return True
        except AlreadyRedeemed:
            return False

    async def main() -> int:
        return sum(await asyncio.gather(*(work() for _ in range(20))))

    with approve_all():
        assert asyncio.run(main()) == 1


def test_it_refuses_to_stand_in_for_a_server_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNOFF_URL", "https://signoff.example.com")
    monkeypatch.setenv("SIGNOFF_API_KEY", "k")
    for mode in (approve_all(), approve_next(), reject_next(), leave_pending()):
        with pytest.raises(ConfigurationError, match="not on this machine"), mode:
            pass
    monkeypatch.setenv("SIGNOFF_URL", "http://127.0.0.1:8484")
    with approve_all():
        assert require_approval("a").status == "approved"


# ---------------------------------------------------------------- time

WEEK = 7 * 86_400


def test_who_waits_hears_at_once_that_it_expired() -> None:
    with leave_pending() as asked, pytest.raises(ApprovalExpired) as raised:
        require_approval("a", on_pending=lambda _: advance_time(WEEK))
    (approval,) = asked.approvals
    assert raised.value.approval_id == approval.id
    assert (approval.status, approval.decisions) == ("expired", [])
    assert approval.decided_by is not None
    assert approval.decided_by.kind == "system"
    assert approval.decided_at == approval.expires_at


def test_time_moves_on_from_any_thread() -> None:
    waiting = threading.Event()

    def wait() -> str:
        try:
            require_approval("a", expires_in=60, on_pending=lambda _: waiting.set())
        except ApprovalExpired:
            return "expired"
        return "approved"

    async def wait_too() -> str:
        with pytest.raises(ApprovalExpired):
            await require_approval_async("b", expires_in=60)
        return "expired"

    with leave_pending() as asked, ThreadPoolExecutor() as pool:
        both = [pool.submit(wait), pool.submit(lambda: asyncio.run(wait_too()))]
        assert waiting.wait(10)
        while len(asked.approvals) < 2:
            pass
        advance_time(30)
        assert [each.status for each in asked.approvals] == ["pending", "pending"]
        advance_time(30)
        assert [each.result(10) for each in both] == ["expired", "expired"]


def test_it_expires_by_itself_too() -> None:
    with leave_pending(), pytest.raises(ApprovalExpired):
        require_approval("a", expires_in=1)


def test_who_is_cancelled_elsewhere_hears_at_once() -> None:
    def cancel(approval: Approval) -> None:
        asked.client.approvals.cancel(approval.id, reason="oops")

    with leave_pending() as asked, pytest.raises(ApprovalCancelled) as raised:
        require_approval("a", on_pending=cancel)
    assert raised.value.reason == "oops"


def test_who_attaches_hears_that_it_expired() -> None:
    with leave_pending() as asked:
        with pytest.raises(ApprovalTimeout):
            require_approval("a", idempotency_key="k", timeout=0)
        advance_time(WEEK)
        with pytest.raises(ApprovalExpired):
            require_approval("a", idempotency_key="k")
        with pytest.raises(ApprovalExpired):
            asked.client.approvals.cancel(asked.approvals[0].id)


def test_patience_is_the_callers_own() -> None:
    with leave_pending(), pytest.raises(ApprovalTimeout):
        require_approval("a", timeout=0.05, on_pending=lambda _: advance_time(3_600))


def test_an_approval_that_is_not_used_lapses() -> None:
    with approve_all() as asked:
        approval = require_approval("a", idempotency_key="k")
        advance_time(86_400)
        assert asked.approvals[0].lapsed
        with pytest.raises(ApprovalExpired), approval:
            pass
        with pytest.raises(ApprovalExpired):
            require_approval("a", idempotency_key="k")


def test_a_lease_ends_and_nobody_knows_the_outcome() -> None:
    with approve_all() as asked:
        with require_approval("a", idempotency_key="k"):
            advance_time(30)
            with pytest.raises(AlreadyRedeemed), require_approval("a", idempotency_key="k"):
                pass
            advance_time(30)
            with pytest.raises(OutcomeUnknown), require_approval("a", idempotency_key="k"):
                pass
            assert asked.approvals[0].redemption.outcome == "unknown"  # type: ignore[union-attr]
        # What is reported late counts.
        with pytest.raises(AlreadyRedeemed) as raised, require_approval("a", idempotency_key="k"):
            pass
    assert raised.value.outcome == "succeeded"


def test_the_clock_needs_a_testing_mode_and_never_runs_backwards() -> None:
    with pytest.raises(ConfigurationError, match="enter approve_all"):
        advance_time(1)
    with leave_pending() as asked:
        advance_time(0)
        for seconds in (-1, -0.001, float("nan")):
            with pytest.raises(ValueError, match="time only moves on"):
                advance_time(seconds)
        for seconds in (float("inf"), 1e15):
            with pytest.raises(OverflowError):
                advance_time(seconds)
        advance_time(1.5)
        with pytest.raises(ApprovalTimeout):
            require_approval("a", timeout=0)
        assert asked.approvals[0].status == "pending"
    with leave_pending(), pytest.raises(ApprovalTimeout):
        # Each mode begins with the time as it is.
        require_approval("a", expires_in=60, timeout=0)


# ---------------------------------------------------------------- what is armed without blocks


def test_armed_ones_are_used_in_order_by_the_first_that_fits() -> None:
    with Armed() as armed:
        first = armed.approve_next("pay.*")
        armed.reject_next("pay.*", "enough")
        armed.reject_next("mail.*")
        assert require_approval("pay.a").status == "approved"
        with pytest.raises(ApprovalRejected, match="rejected"):
            require_approval("mail.a")
        with pytest.raises(ApprovalRejected) as raised:
            require_approval("pay.b")
        assert raised.value.reason == "enough"
        with pytest.raises(AssertionError, match=r"pay\.c"):
            require_approval("pay.c")
        assert [each.name for each in first.approvals] == ["pay.a", "mail.a", "pay.b"]
        assert [each.name for each in armed.approve_next().approvals] == []


def test_armed_for_all_counts_where_none_for_one_fits() -> None:
    with Armed() as armed:
        armed.approve_all()
        armed.leave_pending("slow.*")
        armed.reject_next("b")
        assert require_approval("a").status == "approved"
        with pytest.raises(ApprovalRejected):
            require_approval("b")
        assert require_approval("b").status == "approved"
        with pytest.raises(ApprovalTimeout):
            require_approval("slow.a", timeout=0)


def test_blocks_inside_are_asked_first() -> None:
    with Armed() as armed:
        armed.approve_next()
        with reject_next(), pytest.raises(ApprovalRejected):
            require_approval("a")
        assert require_approval("a").status == "approved"


def test_arming_refuses_too_to_stand_in_for_a_server_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with Armed() as armed:
        monkeypatch.setenv("SIGNOFF_URL", "https://signoff.example.com")
        monkeypatch.setenv("SIGNOFF_API_KEY", "k")
        with pytest.raises(ConfigurationError, match="not on this machine"):
            armed.approve_all()
    with pytest.raises(ConfigurationError, match="not on this machine"), Armed():
        pass
