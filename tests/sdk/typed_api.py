"""What a type checker makes of the public API: `make check` runs mypy over this file, and nothing runs it."""

from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from pathlib import Path
from typing import assert_type

from signoff import (
    Approval,
    ApprovalRejected,
    AsyncSignoff,
    Event,
    Execution,
    ExecutionApproval,
    ExecutionFailed,
    ExecutionFailure,
    ExecutionSummary,
    Signoff,
    ToolContext,
    ToolFailed,
    Workflow,
    WorkflowInvalid,
    WorkflowSummary,
    approval_required,
    require_approval,
    require_approval_async,
    tool,
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


def runs(client: Signoff) -> None:
    assert_type(client.executions.start("payment-processor", {"amount": "1.00"}, idempotency_key="k"), Execution)
    assert_type(client.executions.list(status="parked"), Iterator[ExecutionSummary])
    assert_type(client.executions.events("exe_1"), Iterator[Event])
    assert_type(client.executions.approvals("exe_1").pending, list[ExecutionApproval])
    assert_type(client.executions.approve("exe_1", "approved", node_id="pay").node_id, str)
    client.executions.approve("exe_1", "maybe")  # type: ignore[arg-type]
    client.executions.resolve("exe_1", "pay", "succeeded")  # type: ignore[call-arg]
    try:
        assert_type(client.executions.wait("exe_1", timeout=1.5, until_parked=True), Execution)
    except ExecutionFailed as failed:
        assert_type(failed.failure, ExecutionFailure | None)
        assert_type(failed.execution_id, str | None)


def definitions(client: Signoff) -> None:
    try:
        client.workflows.register(Path("workflow.yaml"), on_conflict="build")
    except WorkflowInvalid as invalid:
        assert_type(invalid.errors, tuple[tuple[str, str], ...])
    client.workflows.register("workflow: {}", on_conflict="replace")  # type: ignore[arg-type]
    assert_type(client.workflows.get("payment-processor"), Workflow)
    assert_type(client.workflows.list(), Iterator[WorkflowSummary])
    assert_type(client.policy.judge("a.b").verdict == "block", bool)


async def runs_in_a_loop(client: AsyncSignoff) -> None:
    assert_type(await client.executions.wait("exe_1"), Execution)
    async for each in client.executions.list(workflow_id="payment-processor"):
        assert_type(each, ExecutionSummary)
    async for version in client.workflows.list():
        assert_type(version, WorkflowSummary)
    assert_type((await client.policy.get()).default, str | None)


@tool("payments.submit", idempotent=True)
def submit(number: int, context: ToolContext) -> str:
    assert_type(context.deadline, datetime | None)
    if context.cancelled:
        raise ToolFailed("nothing was sent", retryable=False)
    return f"{number} {context.execution_key}"


@tool("payments.quote")
async def quote(number: int) -> str:
    return str(number)


def a_tool_stays_the_function_that_it_was() -> None:
    keep: Callable[[int, ToolContext], str] = submit
    other: Callable[[int], Coroutine[None, None, str]] = quote
    keep(2, ToolContext("exe_1", "payments", "submit", "payments.submit", "exe_1/submit/1"))
    other(2).close()
    submit("1", ToolContext("exe_1", "w", "n", "t", "k"))  # type: ignore[arg-type]
