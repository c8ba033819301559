"""`@approval_required`: the signature kept, the payload taken from the call, the approval filled in."""

import asyncio
import inspect
from decimal import Decimal
from typing import Optional

import pytest

from signoff import Approval, ApprovalRejected, AsyncSignoff, ConfigurationError, Signoff, approval_required
from signoff.testing import approve_all, approve_next, reject_next


def test_the_bound_arguments_are_the_payload() -> None:
    @approval_required("payments.wire", idempotency_key="wire:{invoice}:{to[iban]}")
    def pay(invoice: str, amount: Decimal, *, to: dict[str, str], urgent: bool = False) -> str:
        """Pay it."""
        return f"paid {amount}"

    with approve_next("payments.wire") as asked:
        assert pay("17", Decimal("5.00"), to={"iban": "DE"}) == "paid 5.00"
    (approval,) = asked.approvals
    assert approval.context == {"invoice": "17", "amount": "5.00", "to": {"iban": "DE"}, "urgent": False}
    assert approval.redemption.outcome == "succeeded"
    assert pay.__doc__ == "Pay it."
    assert list(inspect.signature(pay).parameters) == ["invoice", "amount", "to", "urgent"]


def test_one_key_runs_once() -> None:
    ran: list[str] = []

    @approval_required("payments.wire", idempotency_key="wire:{invoice}")
    def pay(invoice: str) -> None:
        ran.append(invoice)

    with approve_all():
        pay("17")
        with pytest.raises(Exception, match="do not run it again"):
            pay("17")
        pay("18")
    assert ran == ["17", "18"]


def test_an_approval_is_filled_in_wherever_it_stands() -> None:
    @approval_required("a")
    def first(approval: Approval, x: int) -> tuple[str, int]:
        return approval.execution_key, x

    @approval_required("b")
    def last(x: int, *, approval: Approval | None = None) -> tuple[str, int]:
        assert approval is not None
        return approval.execution_key, x

    @approval_required("c")
    def old(x: int, approval: Optional[Approval] = None) -> tuple[str, int]:  # noqa: UP045
        assert approval is not None
        return approval.execution_key, x

    @approval_required("d")
    def quoted(x: int, approval: "Approval | None" = None) -> tuple[str, int]:
        assert approval is not None
        return approval.execution_key, x

    with approve_all() as asked:
        results = [first(x=1), last(2, approval=None), old(3), quoted(4)]  # type: ignore[call-arg]
        assert first(5)[1] == 5  # type: ignore[call-arg,arg-type]
    assert results == [(approval.id, x) for x, approval in enumerate(asked.approvals[:4], start=1)]
    assert [approval.context for approval in asked.approvals[:4]] == [{"x": x} for x in range(1, 5)]


def test_methods_leave_themselves_out() -> None:
    class Bank:
        tag = "t"

        @approval_required("bank.pay", idempotency_key="{self.tag}:{x}")
        def pay(self, x: int) -> int:
            return x

    with approve_all() as asked:
        assert Bank().pay(3) == 3
    assert asked.approvals[0].context == {"x": 3}


def test_collected_arguments() -> None:
    @approval_required("a")
    def call(*values: int, **named: int) -> int:
        return sum(values) + sum(named.values())

    with approve_all() as asked:
        assert call(1, 2, x=3) == 6
    assert asked.approvals[0].context == {"values": [1, 2], "named": {"x": 3}}


def test_async_functions() -> None:
    @approval_required("a", idempotency_key="k:{x}")
    async def work(x: int, approval: Approval | None = None) -> str:
        assert approval is not None
        await asyncio.sleep(0)
        return approval.name

    assert inspect.iscoroutinefunction(work)
    with approve_all() as asked:
        assert asyncio.run(work(1)) == "a"
    assert asked.approvals[0].redemption.outcome == "succeeded"


def test_an_error_is_reported_and_a_refusal_runs_nothing() -> None:
    ran: list[int] = []

    @approval_required("a")
    def work(x: int) -> None:
        ran.append(x)
        raise ValueError("no")

    with approve_next() as asked, pytest.raises(ValueError):
        work(1)
    assert asked.approvals[0].redemption.outcome == "failed"
    assert asked.approvals[0].redemption.detail == "ValueError"
    with reject_next(), pytest.raises(ApprovalRejected):
        work(2)
    assert ran == [1]


def test_a_call_that_does_not_fit_asks_nothing() -> None:
    @approval_required("a")
    def work(x: int) -> None: ...

    with approve_all() as asked, pytest.raises(TypeError):
        work(1, 2)  # type: ignore[call-arg]
    assert asked.approvals == []


def test_what_cannot_be_gated_says_so() -> None:
    with pytest.raises(ConfigurationError, match="no parameter"):

        @approval_required("a", idempotency_key="{y}")
        def template(x: int) -> None: ...

    with pytest.raises(ConfigurationError, match="cannot be read"):

        @approval_required("a", idempotency_key="{x")
        def broken(x: int) -> None: ...

    with pytest.raises(ConfigurationError, match="generator"):

        @approval_required("a")
        def generator(x: int) -> object:
            yield x

    with pytest.raises(ConfigurationError, match="AsyncSignoff"):

        @approval_required("a", client=Signoff("http://127.0.0.1:9", "k"))
        async def work(x: int) -> None: ...

    with pytest.raises(ConfigurationError, match="Signoff"):

        @approval_required("a", client=AsyncSignoff("http://127.0.0.1:9", "k"))
        def plain(x: int) -> None: ...


def test_a_client_of_its_own() -> None:
    with approve_all() as asked:

        @approval_required("a", client=asked.client)
        def plain(x: int) -> int:
            return x

        @approval_required("b", client=asked.async_client)
        async def work(x: int) -> int:
            return x

        assert plain(1) == 1
        assert asyncio.run(work(2)) == 2
    assert [each.name for each in asked.approvals] == ["a", "b"]


def test_a_plain_function_in_a_running_loop_names_the_async_twin() -> None:
    @approval_required("a")
    def work() -> None: ...

    async def main() -> None:
        work()

    with approve_all(), pytest.raises(ConfigurationError, match="async"):
        asyncio.run(main())
