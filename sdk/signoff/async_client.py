"""`AsyncSignoff`: the client for event loops. It pumps the flow; what it keeps is in `async_session`."""

import inspect
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from signoff import calls, flow
from signoff.administration import AsyncKeys, AsyncPrincipals
from signoff.approval import Approval
from signoff.asking import ask, fresh_key
from signoff.async_session import AsyncSession
from signoff.config import Config, load_app_config
from signoff.errors import ConfigurationError
from signoff.executions import AsyncExecutions
from signoff.guards import check_may_decide
from signoff.once import log_once
from signoff.protocol import models
from signoff.retry import Deadline, Pace
from signoff.waiting import Mode
from signoff.wire import NetworkWire, Wire
from signoff.workflows import AsyncPolicies, AsyncWorkflows

AsyncOnPending = Callable[[Approval], Any]


class ApprovalRequest:
    """What the async `require_approval` returns: await it, or enter it.

    `approval = await request` waits for the decision. `async with request as approval:` also redeems, renews the lease
    while the block runs, and reports what came of it. Nothing is sent before; each is for one use.
    """

    def __init__(self, answer: Callable[[], Awaitable[Approval]]) -> None:
        self._answer = answer
        self._entered: Approval | None = None
        self._used = False

    def __await__(self) -> Generator[Any, None, Approval]:
        self._used = True
        return self._answer().__await__()

    def __del__(self) -> None:
        # As Python does for a coroutine: without `await` the code after it would run without any approval.
        if not self._used:
            warnings.warn("require_approval was never awaited: nothing was asked", RuntimeWarning, stacklevel=2)

    async def __aenter__(self) -> Approval:
        if self._entered is not None:
            raise ConfigurationError("This request was entered before: call require_approval again.")
        self._used = True
        self._entered = await self._answer()
        return await self._entered.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._entered is not None:
            await self._entered.__aexit__(kind, error, trace)


class AsyncSignoff:
    """A client for event loops; the same options, calls and errors as `Signoff`.

    Use it as an async context manager, or `await aclose()` it. It may be used in several event loops: each gets its own
    connections, which are closed with the loop.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        transport: Mode = "auto",
        retry_for: float = 30.0,
        ssl_context: ssl.SSLContext | None = None,
        client_name: str = "sdk",
    ) -> None:
        config = load_app_config(url, api_key)

        def wire() -> Wire:
            return NetworkWire(config, client_name=client_name, ssl_context=ssl_context)

        self._open(config, wire, transport, retry_for, Pace())

    @classmethod
    def _of(cls, config: Config) -> Self:
        """A client for a configuration that was loaded before."""
        return cls._over(config, lambda: NetworkWire(config, client_name="sdk", ssl_context=None))

    @classmethod
    def _over(
        cls,
        config: Config,
        wire: Callable[[], Wire],
        *,
        mode: Mode = "auto",
        retry_for: float = 30.0,
        pace: Pace | None = None,
    ) -> Self:
        """A client whose bytes go elsewhere."""
        client = cls.__new__(cls)
        client._open(config, wire, mode, retry_for, pace or Pace())
        return client

    def _open(self, config: Config, wire: Callable[[], Wire], mode: Mode, retry_for: float, pace: Pace) -> None:
        self._session = AsyncSession(config, wire, mode=mode, retry_for=retry_for, pace=pace)
        self.approvals = AsyncApprovals(self._session)
        self.workflows = AsyncWorkflows(self._session)
        self.executions = AsyncExecutions(self._session)
        self.policy = AsyncPolicies(self._session)
        self.principals = AsyncPrincipals(self._session)
        self.keys = AsyncKeys(self._session)

    def require_approval(
        self,
        name: str,
        context: Any = None,
        *,
        arguments: Any = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        expires_in: int | None = None,
        reviewers: Sequence[str] = (),
        summary: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_behalf_of: str | None = None,
        on_pending: AsyncOnPending | None = None,
    ) -> ApprovalRequest:
        """Ask, wait for a person, and return what was approved; see `signoff.require_approval_async`."""

        async def answer() -> Approval:
            question = ask(
                name,
                context,
                arguments=arguments,
                idempotency_key=idempotency_key,
                expires_in=expires_in,
                reviewers=reviewers,
                summary=summary,
                metadata=metadata,
                on_behalf_of=on_behalf_of,
            )
            deadline = self._session.pace.deadline(timeout)
            granted = await _pump(self._session, flow.require(question), deadline, on_pending)
            return self._session.approval(granted.approval, reattached=granted.reattached, patience=timeout)

        return ApprovalRequest(answer)

    async def events(
        self,
        *,
        after: int = 0,
        type: str | None = None,  # noqa: A002
        subject: str | None = None,
    ) -> AsyncIterator[models.Event]:
        """The project's ledger after the event number `after`, oldest first, to its present end."""
        while True:
            page = await self._session.call(calls.events({"type": type, "subject": subject, "limit": 200}, after))
            for event in page.data:
                yield event
            if not page.data or page.next_after <= after:
                return
            after = page.next_after

    async def aclose(self) -> None:
        """Close the connections of this event loop; waits under way end with `APIConnectionError`."""
        await self._session.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncApprovals:
    """As `Approvals`, for an event loop."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(
        self,
        name: str,
        context: Any = None,
        *,
        arguments: Any = None,
        idempotency_key: str | None = None,
        expires_in: int | None = None,
        reviewers: Sequence[str] = (),
        summary: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_behalf_of: str | None = None,
    ) -> Approval:
        question = ask(
            name,
            context,
            arguments=arguments,
            idempotency_key=idempotency_key,
            expires_in=expires_in,
            reviewers=reviewers,
            summary=summary,
            metadata=metadata,
            on_behalf_of=on_behalf_of,
        )
        deadline = self._session.pace.deadline(self._session.retry_for)
        created = await _pump(self._session, flow.create(question), deadline, None)
        return self._session.approval(created.approval, reattached=created.replayed)

    async def get(self, approval_id: str) -> Approval:
        return self._checked(await self._session.call(calls.get(approval_id)))

    async def wait(self, approval_id: str, *, timeout: float | None = None) -> Approval:
        deadline = self._session.pace.deadline(timeout)
        known = await self._session.call(calls.get(approval_id), deadline)
        flow.check_bound(known)
        decided = await _pump(self._session, flow.wait(known), deadline, None)
        approval = self._session.approval(decided, patience=timeout)
        approval.raise_unless_approved()
        return approval

    async def as_completed(self, ids: Iterable[str], *, timeout: float | None = None) -> AsyncIterator[Approval]:
        async for decided in self._session.as_decided(list(ids), self._session.pace.deadline(timeout)):
            yield self._checked(decided)

    async def list(
        self,
        *,
        status: models.Status | None = None,
        name: str | None = None,
        execution_id: str | None = None,
        requested_by: str | None = None,
        q: str | None = None,
        limit: int = 50,
    ) -> AsyncIterator[Approval]:
        filters = {
            "status": status,
            "name": name,
            "execution_id": execution_id,
            "requested_by": requested_by,
            "q": q,
            "limit": limit,
        }
        cursor: str | None = None
        while True:
            page = await self._session.call(calls.list_approvals(filters, cursor))
            for each in page.data:
                yield self._checked(each)
            cursor = page.next_cursor
            if cursor is None:
                return

    async def redeem(
        self, approval_id: str, *, binding: str | None = None, redeemer: str | None = None
    ) -> models.Redeemed:
        known = await self.get(approval_id)
        entering = flow.redeem(known, binding, redeemer or fresh_key())
        step = next(entering)
        redeemed: models.Redeemed = flow.finished(
            entering, await self._session.call(calls.redeem(step.approval, step.redeemer))
        )
        return redeemed

    async def renew(self, approval_id: str, fence: int) -> models.Renewed:
        return await self._session.call(calls.renew(approval_id, fence))

    async def report(
        self, approval_id: str, fence: int, outcome: Literal["succeeded", "failed"], *, detail: str | None = None
    ) -> Approval:
        return self._checked(await self._session.call(calls.report(approval_id, fence, outcome, detail)))

    async def resolve(
        self, approval_id: str, outcome: Literal["succeeded", "failed", "release"], *, reason: str
    ) -> Approval:
        return self._checked(await self._session.call(calls.resolve(approval_id, outcome, reason)))

    async def cancel(self, approval_id: str, *, reason: str | None = None) -> Approval:
        return self._checked(await self._session.call(calls.cancel(approval_id, reason)))

    async def decide(
        self, approval_id: str, decision: models.Verdict, *, reason: str | None = None, seen: str | None = None
    ) -> Approval:
        check_may_decide(self._session.config)
        return self._checked(await self._session.call(calls.decide(approval_id, decision, reason, seen)))

    async def events(self, approval_id: str) -> Sequence[models.Event]:
        return (await self._session.call(calls.approval_events(approval_id))).data

    def _checked(self, reply: models.Approval) -> Approval:
        flow.check_bound(reply)
        return self._session.approval(reply)


async def _pump(
    session: AsyncSession, steps: Generator[Any, Any, Any], deadline: Deadline, on_pending: AsyncOnPending | None
) -> Any:
    """Drive a flow to its end."""
    done: Any = None
    try:
        while True:
            done = await _perform(session, steps.send(done), deadline, on_pending)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


async def _perform(
    session: AsyncSession, step: flow.Step, deadline: Deadline, on_pending: AsyncOnPending | None
) -> Any:
    match step:
        case flow.Create(question):
            return await session.call(calls.create(question), deadline)
        case flow.Wait(approval):
            return await session.wait(approval.id, deadline)
        case flow.Tell(approval, reattached):
            if on_pending is not None:
                told = on_pending(session.approval(approval, reattached=reattached))
                if inspect.isawaitable(told):
                    await told
        case flow.Log(message):
            log_once(message)
    return None
