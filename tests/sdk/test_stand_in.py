"""The stand-in keeps the server's rules: the same requests and the same time, and the same answers."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from signoff.protocol.models import DEFAULT_EXPIRES_IN, rfc3339
from signoff.stand_in import Layer, Rule, StandIn
from signoff.transport import Outgoing
from tests.support.databases import only
from tests.support.project import Project

# Each step is a method of `Side` with its arguments; but for `ask` they are about the approval that was asked last.
# Real time passes too, so that nothing here comes near a deadline without reaching it.
ROADS = {
    "asked twice": "ask k, ask k, ask k 604800 2.00, ask other",
    "approved and used": """
        ask k, redeem, decide approved, look, ask k, redeem, redeem, redeem another, renew 1, renew 2, cancel,
        report 2 failed, report 1 succeeded, report 1 succeeded, report 1 failed, renew 1, redeem, redeem another,
        ask k, look""",
    "rejected": "ask k, decide rejected, look, redeem, cancel, ask k, advance 604800, look",
    "expired": """
        ask k 3600, advance 3000, look, advance 600, look, ask k 3600, cancel, redeem, report 1 failed, renew 1""",
    "cancelled": "ask k, cancel, look, cancel, redeem, ask k, advance 604800, look",
    "lapsed": "ask k, decide approved, advance 86300, look, advance 100, look, ask k, redeem, look",
    "a lease that ends": """
        ask k, decide approved, redeem, advance 30, redeem, look, renew 1, advance 40, look, advance 20, look, redeem,
        redeem another, renew 1, report 2 failed, report 1 failed, look, report 1 succeeded, redeem""",
    "used until after it lapsed": """
        ask k, decide approved, advance 86370, redeem, advance 40, look, redeem, advance 20, redeem, look""",
    "for another binding": "ask k, redeem r sha256:0, decide approved, redeem r sha256:0, look",
    "what who asks may not": "ask k, decide_it_oneself, resolve_it_oneself, look",
}


def steps(road: str) -> Iterator[tuple[str, list[Any]]]:
    for step in ROADS[road].split(","):
        what, *more = step.split()
        yield what, [int(each) if each.isdigit() else each for each in more]


class Side(ABC):
    """One that answers."""

    def __init__(self) -> None:
        self.approval: dict[str, Any] = {}

    @abstractmethod
    def send(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, dict[str, Any]]:
        """As who asks."""

    @abstractmethod
    def decide(self, decision: str) -> None: ...

    @abstractmethod
    def advance(self, seconds: int) -> None: ...

    def ask(self, key: str, expires_in: int = DEFAULT_EXPIRES_IN, amount: str = "1.00") -> Any:
        body = {"name": "payments.wire", "context": {"amount": amount}, "expires_in": expires_in}
        status, reply = self.send("POST", "", body, key)
        if status < 400:
            self.approval = reply
        return status, reply

    def look(self) -> Any:
        return self.send("GET", f"/{self.approval['id']}")

    def redeem(self, redeemer: str = "r", binding: str | None = None) -> Any:
        return self._act("redeem", binding=binding or self.approval["binding"], redeemer=redeemer)

    def renew(self, fence: int) -> Any:
        return self._act("renew", fence=fence)

    def report(self, fence: int, outcome: str) -> Any:
        return self._act("outcome", fence=fence, outcome=outcome, detail="so it went")

    def cancel(self) -> Any:
        return self._act("cancel", reason="oops")

    def decide_it_oneself(self) -> Any:
        return self._act("decision", decision="approved")

    def resolve_it_oneself(self) -> Any:
        return self._act("resolve", outcome="release", reason="x")

    def _act(self, verb: str, **body: Any) -> Any:
        return self.send("POST", f"/{self.approval['id']}/{verb}", body)


class Real(Side):
    def __init__(self, project: Project) -> None:
        super().__init__()
        self._project = project

    def send(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, dict[str, Any]]:
        options = {"json": body} if body is not None else {}
        reply = self._project.call("app", method, f"/v1/approvals{path}", key=key or None, **options)
        return reply.status_code, reply.json()

    def decide(self, decision: str) -> None:
        self._project.decide(self.approval["id"], decision, reason="because")

    def advance(self, seconds: int) -> None:
        self._project.world.advance(seconds)
        while self._owes_something():
            pass

    def _owes_something(self) -> bool:
        """Whether something of the approval is due, which the server does within a second."""
        now = rfc3339(datetime.fromtimestamp(self._project.world.now() / 1000, UTC))
        approval = self._project.get(self.approval["id"])
        held = approval["redemption"]
        if held is not None:
            return held["outcome"] is None and (held["lease_until"] or now) <= now
        return approval["status"] == "pending" and approval["expires_at"] <= now


class Double(Side):
    def __init__(self) -> None:
        super().__init__()
        self._server = StandIn()
        self._rule = Rule("*", None, "because")
        self._server.enter(Layer(self._rule))

    def send(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, dict[str, Any]]:
        encoded = None if body is None else json.dumps(body).encode()
        headers = {"Idempotency-Key": key}
        reply = self._server.answer(Outgoing(method, f"/v1/approvals{path}", body=encoded, headers=headers))
        return reply.status, json.loads(reply.body)

    def decide(self, decision: Any) -> None:
        # A rule decides what is looked at next.
        self._rule.verdict = decision
        self.look()
        self._rule.verdict = None

    def advance(self, seconds: int) -> None:
        self._server.advance(seconds)


def plain(answer: Any, asked: dict[str, Any]) -> Any:
    """What of an answer both sides must have in common; of moments their distance from the asking."""
    if answer is None:
        return None
    status, body = answer
    if status >= 400:
        current = body.get("current")
        return status, body["code"], None if current is None else shown(current, asked)
    if "approval" in body:
        return status, body["fence"], shown(body["approval"], asked)
    return status, shown(body, asked)


def shown(approval: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    told = {name: approval.get(name) for name in ("status", "lapsed", "reason", "via", "metadata", "name", "context")}
    by, held = approval.get("decided_by"), approval.get("redemption")
    told["by"] = by and by["kind"]
    told["decided"] = [each["decision"] for each in approval.get("decisions", ())]
    told["over"] = approval.get("decided_at") == asked["expires_at"]
    told["held"] = held and {name: value for name, value in held.items() if name in ("fence", "outcome", "detail")}
    told["leased"] = held and held.get("lease_until") is not None
    told["same"] = approval.get("id", asked["id"]) == asked["id"]
    return told


@only("sqlite")
@pytest.mark.parametrize("road", sorted(ROADS))
def test_it_answers_as_the_server_does(project: Project, road: str) -> None:
    real, double = Real(project), Double()
    for number, (what, more) in enumerate(steps(road)):
        expected, found = getattr(real, what)(*more), getattr(double, what)(*more)
        assert plain(found, double.approval) == plain(expected, real.approval), (number, what, more)
