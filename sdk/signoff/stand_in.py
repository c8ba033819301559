"""A server in memory, for tests: it answers requests as a signoff server would, and a rule of the test decides.

It stands in for the wire alone. The client above it is the real one: its flow, waiting, checks, redeeming and errors.

Rules of the room: what it allows and refuses, and what its clock does, is what the server's core does in that place; a
deadline is over when its moment has come. Its clock is the real one, moved ahead by `advance`; it never runs backwards.
"""

import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from signoff.protocol import canonical
from signoff.protocol import models as m
from signoff.transport import Incoming, Outgoing

LEASE: Final = timedelta(seconds=60)
APPROVED_FOR: Final = timedelta(days=1)
PROJECT: Final = "prj_00000000000000000000000000"
CALLER: Final = m.Principal(id="prn_00000000000000000000000000", name="test", kind="service")
SYSTEM: Final = m.Principal(id=None, name=None, kind="system")
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


class Layer:
    """Rules that were armed together: those for one approval count first, in the order of their arming."""

    def __init__(self, *rules: Rule) -> None:
        self._rules = list(rules)

    def arm(self, rule: Rule) -> None:
        """One for a single approval comes after those before it; one for all comes before those before it."""
        standing = (at for at, each in enumerate(self._rules) if each.uses is None)
        self._rules.insert(next(standing, len(self._rules)), rule)

    def find(self, name: str) -> Rule | None:
        return next((rule for rule in self._rules if rule.fits(name)), None)


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


class StandIn:
    """The server. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._layers: list[Layer] = []
        self._asked: list[str] = []
        self._records: dict[str, _Record] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._ahead = timedelta()
        self._held: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    def answer(self, request: Outgoing) -> Incoming:
        """The reply at once; raises `AssertionError` where an approval is asked that no rule decides."""
        with self._lock:
            try:
                return self._route(request)
            except _No as no:
                return _problem(no)

    @contextmanager
    def listening(self, stir: Callable[[], None]) -> Iterator[None]:
        """Call `stir` whenever an approval may have changed, from whatever thread; it must be quick."""
        with self._lock:
            self._held.append(stir)
        try:
            yield
        finally:
            with self._lock:
                self._held.remove(stir)

    def expires_in(self, approval: str) -> float:
        """For how many seconds it may still be decided, by this clock."""
        with self._lock:
            return (self._records[approval].approval.expires_at - self._now()).total_seconds()

    # ------------------------------------------------------------ what a test says

    def enter(self, layer: Layer) -> None:
        """The layer entered last is asked first."""
        with self._lock:
            self._layers.append(layer)

    def leave(self, layer: Layer) -> None:
        with self._lock:
            self._layers.remove(layer)

    def arm(self, layer: Layer, rule: Rule) -> None:
        with self._lock:
            layer.arm(rule)

    def advance(self, seconds: float) -> None:
        """Move the clock ahead, and do what has fallen due by then. Raises `ValueError`, `OverflowError`."""
        if not seconds >= 0:
            raise ValueError(f"time only moves on: {seconds} seconds is no way ahead")
        with self._lock:
            ahead = self._ahead + timedelta(seconds=seconds)
            # Here and not when somebody asks what time it is: a clock has an end.
            _ = datetime.now(UTC) + ahead
            self._ahead = ahead
            for record in self._records.values():
                self._let_time_pass(record)

    def asked(self, since: int = 0) -> list[m.Approval]:
        """What was asked, in order, from that number on; each as it is now."""
        with self._lock:
            records = [self._records[each] for each in self._asked[since:]]
            for record in records:
                self._let_time_pass(record)
            return [record.approval for record in records]

    # ------------------------------------------------------------ requests

    def _route(self, request: Outgoing) -> Incoming:
        if not request.path.startswith("/v1/approvals"):
            # It stands in for asking and for no more.
            raise _No(404, "not_found")
        parts = request.path.removeprefix("/v1/approvals").strip("/").split("/")
        body = json.loads(request.body) if request.body else {}
        if parts == [""] and request.method == "POST":
            return self._create(body, request.headers["Idempotency-Key"])
        record = self._records.get(parts[0])
        if record is None:
            raise _No(404, "not_found")
        if len(parts) > 1 and parts[1] in ("decision", "resolve"):
            # Nobody who asks decides: the key has no such scope.
            raise _No(403, "forbidden")
        self._look_at(record)
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
            self._look_at(record)
            return _reply(record.approval, headers={"idempotent-replayed": "true"})
        record = _Record(_pending(body, self._now()), fingerprint, self._rule(body["name"]))
        self._records[record.approval.id] = record
        self._keys[body["name"], key] = record.approval.id
        self._asked.append(record.approval.id)
        return _reply(record.approval, status=201)

    def _rule(self, name: str) -> Rule:
        rule = next((rule for layer in reversed(self._layers) if (rule := layer.find(name)) is not None), None)
        if rule is None:
            raise AssertionError(f"{name!r} was asked, and no approve_next, reject_next or approve_all is left for it")
        if rule.uses is not None:
            rule.uses -= 1
        return rule

    def _look_at(self, record: _Record) -> None:
        """It is decided when it is first looked at again, so that it is pending just after it was asked."""
        self._let_time_pass(record)
        rule = record.rule
        if record.approval.status != "pending" or rule.verdict is None:
            return
        now = self._now()
        decision = m.Decision(decision=rule.verdict, decided_by=REVIEWER, reason=rule.reason, decided_at=now, via="api")
        self._change(
            record,
            status=rule.verdict,
            decisions=[decision],
            decided_by=REVIEWER,
            reason=rule.reason,
            decided_at=now,
            approved_until=now + APPROVED_FOR if rule.verdict == "approved" else None,
        )

    def _redeem(self, record: _Record, body: dict[str, Any]) -> Incoming:
        approval, held = record.approval, record.approval.redemption
        if body["binding"] != approval.binding:
            raise _No(409, "binding_mismatch")
        if approval.status != "approved":
            raise _No(409, "not_approved", approval)
        if held is None:
            if approval.lapsed:
                raise _No(409, "expired", approval)
            now = self._now()
            held = m.Redemption(fence=1, redeemed_at=now, lease_until=now + LEASE, outcome=None, detail=None)
            record.redeemer = body["redeemer"]
            self._change(record, redemption=held)
        elif held.outcome == "unknown":
            raise _No(409, "outcome_unknown", approval)
        elif held.outcome is not None or record.redeemer != body["redeemer"]:
            raise _No(409, "already_redeemed", approval)
        assert held.lease_until is not None
        return _reply(m.Redeemed(fence=held.fence, lease_until=held.lease_until, approval=record.approval))

    def _renew(self, record: _Record, body: dict[str, Any]) -> Incoming:
        held = record.approval.redemption
        if held is None or held.outcome is not None or held.fence != body["fence"]:
            raise _No(409, "stale_fence", record.approval)
        until = self._now() + LEASE
        self._change(record, redemption=held.model_copy(update={"lease_until": until}))
        return _reply(m.Renewed(lease_until=until))

    def _report(self, record: _Record, body: dict[str, Any]) -> Incoming:
        held = record.approval.redemption
        if held is None or held.fence != body["fence"]:
            raise _No(409, "stale_fence", record.approval)
        if held.outcome in ("succeeded", "failed"):
            # Told once more it is no news; told otherwise it is too late.
            if held.outcome != body["outcome"]:
                raise _No(409, "stale_fence", record.approval)
            return _reply(record.approval)
        said = {"outcome": body["outcome"], "detail": body.get("detail"), "lease_until": None}
        self._change(record, redemption=held.model_copy(update=said))
        return _reply(record.approval)

    def _cancel(self, record: _Record, body: dict[str, Any]) -> Incoming:
        status = record.approval.status
        if status != "pending":
            code = {"expired": "expired", "cancelled": "not_pending"}.get(status, "already_decided")
            raise _No(409, code, record.approval)
        self._change(record, status="cancelled", decided_by=CALLER, reason=body.get("reason"), decided_at=self._now())
        return _reply(record.approval)

    # ------------------------------------------------------------ what time does

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def _let_time_pass(self, record: _Record) -> None:
        approval, held, now = record.approval, record.approval.redemption, self._now()
        if approval.status == "pending" and approval.expires_at <= now:
            # It was over when its time was, also where nobody looked then.
            self._change(record, status="expired", decided_by=SYSTEM, decided_at=approval.expires_at)
        if approval.approved_until is not None and approval.approved_until <= now and not approval.lapsed:
            self._change(record, lapsed=True)
        if held is not None and held.lease_until is not None and held.lease_until <= now:
            ended = held.model_copy(update={"outcome": "unknown", "lease_until": None})
            self._change(record, redemption=ended)

    def _change(self, record: _Record, **changes: Any) -> None:
        record.approval = record.approval.model_copy(update=changes)
        for stir in tuple(self._held):
            stir()


def _pending(body: dict[str, Any], now: datetime) -> m.Approval:
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


def _reply(body: m.Reply, status: int = 200, headers: Mapping[str, str] | None = None) -> Incoming:
    return Incoming(status, {"content-type": _JSON, **(headers or {})}, body.model_dump_json().encode())


def _problem(no: _No) -> Incoming:
    current = None if no.current is None else _standing(no.current)
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


def _standing(approval: m.Approval) -> dict[str, Any]:
    """What whoever comes too late is told."""
    said = approval.model_dump(mode="json")
    by, held = approval.decided_by, said["redemption"]
    return {
        **{member: said[member] for member in ("id", "status", "decided_by", "decided_at", "approved_until")},
        "via": None if by is None else "system" if by.kind == "system" else "api",
        "redemption": held and {member: held[member] for member in ("fence", "redeemed_at", "outcome")},
    }
