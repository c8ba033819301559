"""What a type checker makes of the public API: `make check` runs mypy over this file, and nothing runs it."""

from collections.abc import Callable, Iterator
from typing import assert_type

from signoff import (
    Approval,
    ApprovalRejected,
    AsyncSignoff,
    Signoff,
    approval_required,
    require_approval,
    require_approval_async,
)


def plain() -> None:
    assert_type(require_approval("a.b", {"x": 1}), Approval)
    with require_approval("a.b", idempotency_key="k", timeout=1.5) as approval:
        assert_type(approval, Approval)
        assert_type(approval.execution_key, str)
    try:
        require_approval("a.b")
    except ApprovalRejected as refused:
        assert_type(refused.reason, str | None)
        assert_type(refused.decided_by.name, str | None)


async def in_a_loop(client: AsyncSignoff) -> None:
    assert_type(await require_approval_async("a.b"), Approval)
    async with client.require_approval("a.b") as approval:
        assert_type(approval, Approval)
    async for each in client.approvals.as_completed(["apr_1"]):
        assert_type(each, Approval)


def two_phases(client: Signoff) -> None:
    assert_type(client.approvals.create("a.b"), Approval)
    assert_type(client.approvals.as_completed(["apr_1"]), Iterator[Approval])


@approval_required("a.b", idempotency_key="{number}")
def gated(number: int, approval: Approval | None = None) -> str:
    return f"{number} {approval}"


def the_signature_is_kept() -> None:
    assert_type(gated(1), str)
    keep: Callable[[int], str] = gated
    keep(2)
    gated("1")  # type: ignore[arg-type]
    gated(missing=1)  # type: ignore[call-arg]
