"""`Signoff`: the client for threads. It pumps the flow; what it keeps is in `sync_session`."""

import ssl
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from signoff import calls, flow
from signoff.administration import Keys, Principals
from signoff.approval import Approval
from signoff.asking import ask, fresh_key
from signoff.config import Config, load_app_config
from signoff.executions import Executions
from signoff.guards import check_may_decide, refuse_in_loop
from signoff.once import log_once
from signoff.protocol import models
from signoff.retry import Deadline, Pace
from signoff.sync_session import SyncSession
from signoff.waiting import Mode
from signoff.wire import NetworkWire, Wire
from signoff.workflows import Policies, Workflows

OnPending = Callable[[Approval], Any]


class Signoff:
    """A client for threads. Use it as a context manager, or `close()` it.

    `url` and `api_key` are given both or neither; without them see `signoff.config`. `transport` says how to wait:
    `"auto"` takes a websocket where it can be had and long polling else. `retry_for` is for how many seconds a call
    that waits for nobody is tried again. `ssl_context` replaces the one that trusts the usual authorities. Nothing is
    opened before the first call. Raises `ConfigurationError`.
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
        self._session = SyncSession(config, wire, mode=mode, retry_for=retry_for, pace=pace)
        self.approvals = Approvals(self._session)
        self.workflows = Workflows(self._session)
        self.executions = Executions(self._session)
        self.policy = Policies(self._session)
        self.principals = Principals(self._session)
        self.keys = Keys(self._session)

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
        on_pending: OnPending | None = None,
    ) -> Approval:
        """Ask, wait for a person, and return what was approved; see `signoff.require_approval`."""
        refuse_in_loop("require_approval", "AsyncSignoff.require_approval (or require_approval_async)")
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
        granted = _pump(self._session, flow.require(question), self._session.pace.deadline(timeout), on_pending)
        return self._session.approval(granted.approval, reattached=granted.reattached, patience=timeout)

    def events(self, *, after: int = 0, type: str | None = None, subject: str | None = None) -> Iterator[models.Event]:  # noqa: A002
        """The project's ledger after the event number `after`, oldest first, to its present end."""
        while True:
            page = self._session.call(calls.events({"type": type, "subject": subject, "limit": 200}, after))
            yield from page.data
            if not page.data or page.next_after <= after:
                return
            after = page.next_after

    def close(self) -> None:
        """Close the connections; waits that are under way end with `APIConnectionError`."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Approvals:
    """The approvals of the key's project, step by step."""

    def __init__(self, session: SyncSession) -> None:
        self._session = session

    def create(
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
        """Ask without waiting: the approval in whatever state it is, which is another than pending where it was
        attached to by its idempotency key. Raises as `require_approval` does, but for what was decided."""
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
        created = _pump(self._session, flow.create(question), deadline, None)
        return self._session.approval(created.approval, reattached=created.replayed)

    def get(self, approval_id: str) -> Approval:
        """The approval as it is now. Raises `NotFound`, and `BindingMismatch` where it contradicts itself."""
        return self._checked(self._session.call(calls.get(approval_id)))

    def wait(self, approval_id: str, *, timeout: float | None = None) -> Approval:
        """Wait until it is approved; raises what it became instead, as `require_approval` does."""
        refuse_in_loop("approvals.wait", "AsyncSignoff.approvals.wait")
        deadline = self._session.pace.deadline(timeout)
        known = self._session.call(calls.get(approval_id), deadline)
        flow.check_bound(known)
        approval = self._session.approval(_pump(self._session, flow.wait(known), deadline, None), patience=timeout)
        approval.raise_unless_approved()
        return approval

    def as_completed(self, ids: Iterable[str], *, timeout: float | None = None) -> Iterator[Approval]:
        """Each approval once it is no longer pending, in the order of the decisions; look at its `status`.

        One socket and one thread carry them all. Raises `ApprovalTimeout` when `timeout` seconds are over for the rest,
        and what ends a wait, as `NotFound`.
        """
        refuse_in_loop("approvals.as_completed", "AsyncSignoff.approvals.as_completed")
        for decided in self._session.as_decided(list(ids), self._session.pace.deadline(timeout)):
            yield self._checked(decided)

    def list(
        self,
        *,
        status: models.Status | None = None,
        name: str | None = None,
        execution_id: str | None = None,
        requested_by: str | None = None,
        q: str | None = None,
        limit: int = 50,
    ) -> Iterator[Approval]:
        """Every approval that fits, newest first, through all pages of `limit`."""
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
            page = self._session.call(calls.list_approvals(filters, cursor))
            yield from (self._checked(each) for each in page.data)
            cursor = page.next_cursor
            if cursor is None:
                return

    def redeem(self, approval_id: str, *, binding: str | None = None, redeemer: str | None = None) -> models.Redeemed:
        """Take the one use of it; `with approval:` does this, renews the lease and reports.

        `redeemer` names this holder: pass the same to ask again after a crash. `binding` is what was approved, read
        from the server where it is not given.
        """
        known = self.get(approval_id)
        entering = flow.redeem(known, binding, redeemer or fresh_key())
        step = next(entering)
        reply = self._session.call(calls.redeem(step.approval, step.redeemer))
        redeemed: models.Redeemed = flow.finished(entering, reply)
        return redeemed

    def renew(self, approval_id: str, fence: int) -> models.Renewed:
        """Renew a lease; raises `ApprovalConflict` where it is no longer the last one or was reported."""
        return self._session.call(calls.renew(approval_id, fence))

    def report(
        self, approval_id: str, fence: int, outcome: Literal["succeeded", "failed"], *, detail: str | None = None
    ) -> Approval:
        """Say what came of the redemption with that fence."""
        return self._checked(self._session.call(calls.report(approval_id, fence, outcome, detail)))

    def resolve(self, approval_id: str, outcome: Literal["succeeded", "failed", "release"], *, reason: str) -> Approval:
        """A person's word on an outcome that is unknown; `"release"` lets it be redeemed once more."""
        return self._checked(self._session.call(calls.resolve(approval_id, outcome, reason)))

    def cancel(self, approval_id: str, *, reason: str | None = None) -> Approval:
        """Withdraw what is still pending. Raises `AlreadyDecided` where somebody was faster."""
        return self._checked(self._session.call(calls.cancel(approval_id, reason)))

    def decide(
        self, approval_id: str, decision: models.Verdict, *, reason: str | None = None, seen: str | None = None
    ) -> Approval:
        """Approve or reject; a rejection takes a `reason`. `seen` is the binding of what the reviewer was shown.

        The client's key must have been given for it, as an argument or as a reviewer's configuration: raises
        `ConfigurationError` else. Raises `AlreadyDecided` with what stands, `PermissionDenied`.
        """
        check_may_decide(self._session.config)
        return self._checked(self._session.call(calls.decide(approval_id, decision, reason, seen)))

    def events(self, approval_id: str) -> Sequence[models.Event]:
        """What happened to it, oldest first."""
        return self._session.call(calls.approval_events(approval_id)).data

    def _checked(self, reply: models.Approval) -> Approval:
        flow.check_bound(reply)
        return self._session.approval(reply)


def _pump(
    session: SyncSession, steps: Generator[Any, Any, Any], deadline: Deadline, on_pending: OnPending | None
) -> Any:
    """Drive a flow to its end."""
    done: Any = None
    try:
        while True:
            done = _perform(session, steps.send(done), deadline, on_pending)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


def _perform(session: SyncSession, step: flow.Step, deadline: Deadline, on_pending: OnPending | None) -> Any:
    match step:
        case flow.Create(question):
            return session.call(calls.create(question), deadline)
        case flow.Wait(approval):
            return session.wait(approval.id, deadline)
        case flow.Tell(approval, reattached):
            if on_pending is not None:
                on_pending(session.approval(approval, reattached=reattached))
        case flow.Log(message):
            log_once(message)
    return None
