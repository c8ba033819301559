"""The testing mode: no server, no network, the real rules."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from signoff import (
    AlreadyRedeemed,
    ApprovalRejected,
    ApprovalTimeout,
    ConfigurationError,
    IdempotencyConflict,
    NotFound,
    require_approval,
    require_approval_async,
)
from signoff.testing import approve_all, approve_next, leave_pending, reject_next


def test_approve_next_is_for_one() -> None:
    with approve_next("pay.*") as asked:
        assert require_approval("pay.wire", {"a": 1}).status == "approved"
        with pytest.raises(AssertionError, match=r"pay\.wire"):
            require_approval("pay.wire", {"a": 2})
    assert [each.context for each in asked.approvals] == [{"a": 1}]
    with pytest.raises(ConfigurationError):
        require_approval("pay.wire")


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
