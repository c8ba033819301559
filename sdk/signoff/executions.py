"""Runs of workflows: started, waited for, decided, signalled, resolved and cancelled."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

from signoff import workflow_calls as calls
from signoff.async_session import AsyncSession
from signoff.errors import ExecutionCancelled, ExecutionFailed, ExecutionTimeout
from signoff.execution_waits import has_ended, rests
from signoff.guards import check_may_decide, refuse_in_loop
from signoff.protocol import models
from signoff.protocol import workflows as w
from signoff.sync_session import SyncSession


class Executions:
    """The runs of the key's project."""

    def __init__(self, session: SyncSession) -> None:
        self._session = session

    def start(
        self,
        workflow_id: str,
        input: Any = None,  # noqa: A002
        *,
        version: str | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> w.Execution:
        """Start a run, or find the one that the same `idempotency_key` started; without a key every call starts one.

        `input` is what `require_approval` takes as its context. Without `version` it is the one registered last. Raises
        `InvalidRequest` where the input does not fit, `NotFound`, `IdempotencyConflict`.
        """
        return self._session.call(
            calls.start(workflow_id, input, version=version, idempotency_key=idempotency_key, traceparent=traceparent)
        )

    def get(self, execution_id: str) -> w.Execution:
        """The run as it is now. Raises `NotFound`."""
        return self._session.call(calls.get_execution(execution_id))

    def list(
        self, *, status: w.ExecutionStatus | None = None, workflow_id: str | None = None, limit: int = 50
    ) -> Iterator[w.ExecutionSummary]:
        """Every run that fits, newest first, through all pages of `limit`."""
        filters = {"status": status, "workflow_id": workflow_id, "limit": limit}
        cursor: str | None = None
        while True:
            page = self._session.call(calls.list_executions(filters, cursor))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def wait(
        self,
        execution_id: str,
        *,
        timeout: float | None = None,
        until_parked: bool = False,
        raise_on_failure: bool = True,
    ) -> w.Execution:
        """Wait until the run has ended, through restarts of the server; with `until_parked` until it rests.

        Raises `ExecutionFailed` with the failure and `ExecutionCancelled`, unless `raise_on_failure` is false, and
        `ExecutionTimeout` after `timeout` seconds (None: never); the run goes on.
        """
        refuse_in_loop("executions.wait", "AsyncSignoff.executions.wait")
        deadline = self._session.pace.deadline(timeout)
        known = self._session.call(calls.get_execution(execution_id), deadline)
        found = self._session.wait_execution(known, rests if until_parked else has_ended, deadline)
        return _outcome(known, found, raise_on_failure=raise_on_failure)

    def events(self, execution_id: str) -> Iterator[models.Event]:
        """What happened to it, oldest first, through all pages."""
        after = 0
        while True:
            page = self._session.call(calls.execution_events(execution_id, after))
            yield from page.data
            if page.next_after is None or page.next_after <= after:
                return
            after = page.next_after

    def approvals(self, execution_id: str) -> w.ExecutionApprovals:
        """What it asked people: the `pending`, and the `decided`."""
        return self._session.call(calls.execution_approvals(execution_id))

    def node(self, execution_id: str, node_id: str) -> w.NodeDetail:
        """A node's last visit, with what went in and what came out. Raises `NotFound`."""
        return self._session.call(calls.node(execution_id, node_id))

    def approve(
        self,
        execution_id: str,
        decision: models.Verdict,
        *,
        node_id: str | None = None,
        comment: str | None = None,
        approval_id: str | None = None,
    ) -> w.ExecutionDecided:
        """Approve or reject what a node awaits; a rejection takes a `comment`.

        `node_id` may be left out where one node alone awaits a decision. `approval_id` makes sure that it is the very
        approval that was looked at, and not that of a later visit. The client's key must have been given for deciding,
        as with `approvals.decide`: raises `ConfigurationError` else. Raises `AmbiguousNode` with the `pending` nodes,
        `AlreadyDecided` with what stands, `ApprovalConflict` where nothing is pending, `ExecutionFinished`.
        """
        check_may_decide(self._session.config)
        return self._session.call(
            calls.approve(execution_id, decision=decision, node_id=node_id, comment=comment, approval_id=approval_id)
        )

    def cancel(self, execution_id: str, *, reason: str | None = None) -> w.Execution:
        """End it: what is pending is withdrawn, what runs is told. Raises `ExecutionFinished`."""
        return self._session.call(calls.cancel(execution_id, reason))

    def signal(
        self, execution_id: str, name: str, payload: Any = None, *, idempotency_key: str | None = None
    ) -> w.Execution:
        """Send what a `wait` node waits for; one that comes early is kept. Raises `ExecutionFinished`."""
        return self._session.call(calls.signal(execution_id, name, payload, idempotency_key))

    def resolve(
        self,
        execution_id: str,
        node_id: str,
        outcome: Literal["succeeded", "failed", "retry"],
        *,
        reason: str,
        output: Any = None,
    ) -> w.Execution:
        """A person's word on a node whose outcome is unknown; `"retry"` runs it once more, with the same key.

        `output` is what the tool would have returned. Raises `ApprovalConflict` where the outcome is known.
        """
        return self._session.call(calls.resolve(execution_id, node_id, outcome, reason, output))


class AsyncExecutions:
    """As `Executions`, for an event loop."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def start(
        self,
        workflow_id: str,
        input: Any = None,  # noqa: A002
        *,
        version: str | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> w.Execution:
        return await self._session.call(
            calls.start(workflow_id, input, version=version, idempotency_key=idempotency_key, traceparent=traceparent)
        )

    async def get(self, execution_id: str) -> w.Execution:
        return await self._session.call(calls.get_execution(execution_id))

    async def list(
        self, *, status: w.ExecutionStatus | None = None, workflow_id: str | None = None, limit: int = 50
    ) -> AsyncIterator[w.ExecutionSummary]:
        filters = {"status": status, "workflow_id": workflow_id, "limit": limit}
        cursor: str | None = None
        while True:
            page = await self._session.call(calls.list_executions(filters, cursor))
            for each in page.data:
                yield each
            cursor = page.next_cursor
            if cursor is None:
                return

    async def wait(
        self,
        execution_id: str,
        *,
        timeout: float | None = None,
        until_parked: bool = False,
        raise_on_failure: bool = True,
    ) -> w.Execution:
        deadline = self._session.pace.deadline(timeout)
        known = await self._session.call(calls.get_execution(execution_id), deadline)
        found = await self._session.wait_execution(known, rests if until_parked else has_ended, deadline)
        return _outcome(known, found, raise_on_failure=raise_on_failure)

    async def events(self, execution_id: str) -> AsyncIterator[models.Event]:
        after = 0
        while True:
            page = await self._session.call(calls.execution_events(execution_id, after))
            for each in page.data:
                yield each
            if page.next_after is None or page.next_after <= after:
                return
            after = page.next_after

    async def approvals(self, execution_id: str) -> w.ExecutionApprovals:
        return await self._session.call(calls.execution_approvals(execution_id))

    async def node(self, execution_id: str, node_id: str) -> w.NodeDetail:
        return await self._session.call(calls.node(execution_id, node_id))

    async def approve(
        self,
        execution_id: str,
        decision: models.Verdict,
        *,
        node_id: str | None = None,
        comment: str | None = None,
        approval_id: str | None = None,
    ) -> w.ExecutionDecided:
        check_may_decide(self._session.config)
        return await self._session.call(
            calls.approve(execution_id, decision=decision, node_id=node_id, comment=comment, approval_id=approval_id)
        )

    async def cancel(self, execution_id: str, *, reason: str | None = None) -> w.Execution:
        return await self._session.call(calls.cancel(execution_id, reason))

    async def signal(
        self, execution_id: str, name: str, payload: Any = None, *, idempotency_key: str | None = None
    ) -> w.Execution:
        return await self._session.call(calls.signal(execution_id, name, payload, idempotency_key))

    async def resolve(
        self,
        execution_id: str,
        node_id: str,
        outcome: Literal["succeeded", "failed", "retry"],
        *,
        reason: str,
        output: Any = None,
    ) -> w.Execution:
        return await self._session.call(calls.resolve(execution_id, node_id, outcome, reason, output))


def _outcome(known: w.Execution, found: w.Execution | None, *, raise_on_failure: bool) -> w.Execution:
    """What a wait returns, or raises; `found` is None when the patience was over."""
    about = {"execution_id": known.id, "url": known.url}
    if found is None:
        raise ExecutionTimeout(**about)
    if raise_on_failure and found.status == "failed":
        raise ExecutionFailed(failure=found.failure, **about)
    if raise_on_failure and found.status == "cancelled":
        raise ExecutionCancelled(**about)
    return found
