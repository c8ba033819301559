"""A server in memory, for tests: it answers requests as a signoff server would, and a rule of the test decides.

It stands in for the wire alone. The client above it is the real one: its flow, waiting, checks, redeeming and errors.
"""

import asyncio
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from signoff.protocol import canonical
from signoff.protocol import models as m
from signoff.transport import Incoming, Outgoing
from signoff.watch_socket import Impossible, WatchSocket

LEASE: Final = timedelta(seconds=60)
PROJECT: Final = "prj_00000000000000000000000000"
CALLER: Final = m.Principal(id="prn_00000000000000000000000000", name="test", kind="service")
REVIEWER: Final = m.Principal(id="prn_00000000000000000000000001", name="reviewer", kind="human")
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"


@dataclass
class Rule:
    """What becomes of approvals whose name fits; `verdict` None leaves them pending."""

    pattern: str
    verdict: m.Verdict | None
    reason: str | None = None
    uses: int | None = None

    def fits(self, name: str) -> bool:
        expression = re.escape(self.pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
        return self.uses != 0 and re.fullmatch(expression, name.lower()) is not None


@dataclass
class _Record:
    approval: m.Approval
    fingerprint: str
    rule: Rule
    redeemer: str | None = None


class _No(Exception):
    def __init__(self, status: int, code: str, current: m.Approval | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.current = current


@dataclass
class StandIn:
    """The server. Its methods may be called from any thread."""

    rules: list[Rule] = field(default_factory=list)
    asked: list[m.Approval] = field(default_factory=list)
    _records: dict[str, _Record] = field(default_factory=dict)
    _keys: dict[tuple[str, str], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Outgoing) -> Incoming:
        """The reply at once; raises `AssertionError` where an approval is asked that no rule decides."""
        with self._lock:
            try:
                return self._route(request)
            except _No as no:
                return _problem(no)

    def approval(self, approval_id: str) -> m.Approval:
        """The approval as it is now."""
        with self._lock:
            return self._records[approval_id].approval

    def _route(self, request: Outgoing) -> Incoming:
        parts = request.path.removeprefix("/v1/approvals").strip("/").split("/")
        body = json.loads(request.body) if request.body else {}
        if parts == [""] and request.method == "POST":
            return self._create(body, request.headers["Idempotency-Key"])
        record = self._records.get(parts[0])
        if record is None:
            raise _No(404, "not_found")
        self._decide(record)
        if len(parts) == 1:
            return _reply(record.approval)
        act = self._acts().get(parts[1])
        if act is None:
            raise _No(405, "method_not_allowed")
        return act(record, body)

    def _acts(self) -> Mapping[str, Callable[[_Record, dict[str, Any]], Incoming]]:
        return {"redeem": self._redeem, "renew": self._renew, "outcome": self._report, "cancel": self._cancel}

    def _create(self, body: dict[str, Any], key: str) -> Incoming:
        fingerprint = canonical.canonical([body.get(part) for part in ("context", "arguments", "reviewers")]).hex()
        known = self._keys.get((body["name"], key))
        if known is not None:
            record = self._records[known]
            if record.fingerprint != fingerprint:
                raise _No(422, "idempotency_key_reuse")
            self._decide(record)
            return _reply(record.approval, headers={"idempotent-replayed": "true"})
        record = _Record(_pending(body), fingerprint, self._rule(body["name"]))
        self._records[record.approval.id] = record
        self._keys[body["name"], key] = record.approval.id
        self.asked.append(record.approval)
        return _reply(record.approval, status=201)

    def _rule(self, name: str) -> Rule:
        rule = next((each for each in reversed(self.rules) if each.fits(name)), None)
        if rule is None:
            raise AssertionError(f"{name!r} was asked, and no approve_next, reject_next or approve_all is left for it")
        if rule.uses is not None:
            rule.uses -= 1
        return rule

    def _decide(self, record: _Record) -> None:
        """Decided when it is first looked at again, so that it is pending just after it was asked."""
        rule = record.rule
        if record.approval.status != "pending" or rule.verdict is None:
            return
        now = _now()
        decision = m.Decision(decision=rule.verdict, decided_by=REVIEWER, reason=rule.reason, decided_at=now, via="api")
        self._change(
            record,
            status=rule.verdict,
            decisions=[decision],
            decided_by=REVIEWER,
            reason=rule.reason,
            decided_at=now,
            approved_until=now + timedelta(days=1) if rule.verdict == "approved" else None,
        )

    def _redeem(self, record: _Record, body: dict[str, Any]) -> Incoming:
        approval = record.approval
        if approval.status != "approved":
            raise _No(409, "not_approved", approval)
        if body["binding"] != approval.binding:
            raise _No(409, "binding_mismatch", approval)
        self._end_lease(record)
        held = record.approval.redemption
        if held is None:
            held = m.Redemption(fence=1, redeemed_at=_now(), lease_until=_now() + LEASE, outcome=None, detail=None)
            record.redeemer = body["redeemer"]
            self._change(record, redemption=held)
        elif held.outcome == "unknown":
            raise _No(409, "outcome_unknown", record.approval)
        elif held.outcome is not None or record.redeemer != body["redeemer"]:
            raise _No(409, "already_redeemed", record.approval)
        assert held.lease_until is not None
        return _reply(m.Redeemed(fence=held.fence, lease_until=held.lease_until, approval=record.approval))

    def _renew(self, record: _Record, body: dict[str, Any]) -> Incoming:
        held = record.approval.redemption
        if held is None or held.outcome is not None or held.fence != body["fence"]:
            raise _No(409, "stale_fence", record.approval)
        until = _now() + LEASE
        self._change(record, redemption=held.model_copy(update={"lease_until": until}))
        return _reply(m.Renewed(lease_until=until))

    def _report(self, record: _Record, body: dict[str, Any]) -> Incoming:
        held = record.approval.redemption
        if held is None or held.fence != body["fence"]:
            raise _No(409, "stale_fence", record.approval)
        said = {"outcome": body["outcome"], "detail": body.get("detail"), "lease_until": None}
        self._change(record, redemption=held.model_copy(update=said))
        return _reply(record.approval)

    def _cancel(self, record: _Record, body: dict[str, Any]) -> Incoming:
        if record.approval.status != "pending":
            raise _No(409, "already_decided", record.approval)
        self._change(record, status="cancelled", decided_by=CALLER, reason=body.get("reason"), decided_at=_now())
        return _reply(record.approval)

    def _end_lease(self, record: _Record) -> None:
        held = record.approval.redemption
        if held is not None and held.lease_until is not None and held.lease_until <= _now():
            ended = held.model_copy(update={"outcome": "unknown", "lease_until": None})
            self._change(record, redemption=ended)

    def _change(self, record: _Record, **changes: Any) -> None:
        record.approval = record.approval.model_copy(update=changes)


class StandInWire:
    """A wire that ends in a `StandIn`."""

    def __init__(self, server: StandIn) -> None:
        self._server = server

    def transport(self) -> "_Transport":
        return _Transport(self._server)

    def async_transport(self, connections: int) -> "_AsyncTransport":
        return _AsyncTransport(self._server)

    async def dial(self) -> WatchSocket:
        raise Impossible("a stand-in has no socket")


class _Transport:
    def __init__(self, server: StandIn) -> None:
        self._server = server

    def send(self, request: Outgoing, patience: float | None) -> Incoming:
        return self._server.answer(request)

    def close(self) -> None:
        pass


class _AsyncTransport:
    def __init__(self, server: StandIn) -> None:
        self._server = server

    async def send(self, request: Outgoing, patience: float | None) -> Incoming:
        reply = self._server.answer(request)
        if request.hold and json.loads(reply.body).get("status") == "pending":
            await asyncio.sleep(request.hold)
            reply = self._server.answer(request)
        return reply

    async def aclose(self) -> None:
        pass


def _pending(body: dict[str, Any]) -> m.Approval:
    now = _now()
    new = "apr_" + "".join(secrets.choice(_ALPHABET) for _ in range(26))
    nonce = secrets.token_urlsafe(32)
    context, arguments = body.get("context", {}), body.get("arguments")
    return m.Approval(
        id=new,
        project=PROJECT,
        name=body["name"],
        status="pending",
        lapsed=False,
        context=context,
        arguments=arguments,
        summary=body.get("summary"),
        metadata=body.get("metadata", {}),
        nonce=nonce,
        binding=canonical.binding(
            project=PROJECT, name=body["name"], context=context, arguments=arguments, nonce=nonce
        ),
        execution_key=new,
        requested_by=CALLER,
        on_behalf_of=body.get("on_behalf_of"),
        source=m.Source(kind="sdk"),
        requirement=m.Requirement(
            rule=None, approvals=1, kinds=["human"], reviewers=body.get("reviewers", []), on_expiry="expire"
        ),
        decisions=[],
        decided_by=None,
        reason=None,
        decided_at=None,
        created_at=now,
        expires_at=now + timedelta(seconds=body.get("expires_in", m.DEFAULT_EXPIRES_IN)),
        approved_until=None,
        redemption=None,
        url=f"http://127.0.0.1/approvals/{new}",
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _reply(body: m.Reply, status: int = 200, headers: Mapping[str, str] | None = None) -> Incoming:
    return Incoming(status, {"content-type": _JSON, **(headers or {})}, body.model_dump_json().encode())


def _problem(no: _No) -> Incoming:
    current = None if no.current is None else no.current.model_dump(mode="json")
    problem = m.Problem(
        type=f"urn:signoff:problem:{no.code}",
        title=no.code,
        status=no.status,
        detail=no.code.replace("_", " "),
        code=no.code,
        request_id="test",
        current=current,
    )
    return Incoming(no.status, {"content-type": _PROBLEM}, problem.model_dump_json(exclude_none=True).encode())
