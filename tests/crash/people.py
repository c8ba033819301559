"""The people of a run: two who decide, and one who finds out what became of a caller's payment that nobody knows of."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.crash.journal import Journal, Journals, Line, read

_PAUSE: Final = 0.03
_BETWEEN_ATTEMPTS: Final = 0.05


class Person:
    """Somebody with a key who asks until an answer comes, whatever is killed meanwhile."""

    def __init__(self, url: str, api_key: str, over: threading.Event) -> None:
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {api_key}"}, timeout=10)
        self._over = over

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """The answer; None where the run was over first. A repetition carries the same `Idempotency-Key`."""
        while not self._over.is_set():
            try:
                reply = self._client.request(method, path, **options)
            except httpx.TransportError:
                reply = None
            if reply is not None and reply.status_code != 503:
                return reply
            self._over.wait(_BETWEEN_ATTEMPTS)
        return None

    def close(self) -> None:
        self._client.close()


class Decider:
    """Approves four in five of what is pending and rejects the rest, and journals what was acknowledged."""

    def __init__(self, name: str, principal: str, person: Person, journal: Journal, seed: int) -> None:
        self.name = name
        self._principal = principal
        self._person = person
        self._journal = journal
        self._seed = seed
        self._asked: dict[str, list[str]] = {}

    def run(self, over: threading.Event) -> None:
        while not over.wait(_PAUSE):
            reply = self._person.ask("GET", "/v1/approvals", params={"status": "pending", "limit": 100})
            if reply is None:
                return
            assert reply.status_code == 200, reply.text
            for approval in reply.json()["data"]:
                self._decide(approval)

    def _decide(self, approval: dict[str, Any]) -> None:
        chance = random.Random(f"{self._seed}:{self.name}:{self._question(approval)}")
        decision, comment = "approved", None
        if chance.random() < 0.2:
            decision, comment = "rejected", f"{self.name} says no to {approval['name']}"
        reply = self._say(approval, decision, comment, by_run=chance.random() < 0.5)
        if reply is None:
            return
        facts = {"id": approval["id"], "by": self._principal, "decision": decision}
        current = reply.json().get("current") or {}
        if reply.status_code == 200:
            self._journal.write("decided", reason=comment, **facts)
        elif "decided_by" in current:
            assert reply.status_code == 409, reply.text
            self._journal.write("too_late", current=current, **facts)
        else:
            assert reply.json()["code"] in ("execution_finished", "not_pending"), reply.text

    def _question(self, approval: dict[str, Any]) -> str:
        """What is asked, the same whenever it is asked in another run of this seed."""
        if approval["source"]["execution_id"] is None:
            return str(approval["context"]["job"])
        run = (approval["arguments"] or approval["context"])["run"]
        asked = self._asked.setdefault(f"{run}/{approval['source']['node_id']}", [])
        if approval["id"] not in asked:
            asked.append(approval["id"])
        return f"{run}/{approval['source']['node_id']}/{asked.index(approval['id'])}"

    def _say(
        self, approval: dict[str, Any], decision: str, comment: str | None, *, by_run: bool
    ) -> httpx.Response | None:
        """By the approval, or where it is a run's by the run."""
        headers, source = {"Idempotency-Key": f"{self.name}:{approval['id']}"}, approval["source"]
        if by_run and source["execution_id"] is not None:
            path = f"/v1/executions/{source['execution_id']}/approve"
            body = {"decision": decision, "node_id": source["node_id"], "approval_id": approval["id"]}
            word = {} if comment is None else {"comment": comment}
        else:
            path, body = f"/v1/approvals/{approval['id']}/decision", {"decision": decision, "seen": approval["binding"]}
            word = {} if comment is None else {"reason": comment}
        return self._person.ask("POST", path, json=body | word, headers=headers)


@dataclass
class Ledger:
    """What is known of the jobs from the events: what is finished, and what nobody knows the end of."""

    after: int = 0
    jobs: dict[str, int] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def learn(self, event: dict[str, Any]) -> None:
        self.after = event["seq"]
        subject, kind, facts = event["subject"], event["type"], event["facts"]
        if kind == "approval.requested" and "job" in event["data"]["context"]:
            self.jobs[subject] = event["data"]["context"]["job"]
        if subject not in self.jobs:
            return
        match kind:
            case "approval.rejected":
                self.finished.add(subject)
            case "approval.redeemed":
                self.fences[subject] = facts["fence"]
            case "approval.outcome_unknown":
                self.unknown.add(subject)
            case "approval.outcome_reported" | "approval.resolved":
                self.unknown.discard(subject)
                if facts["outcome"] != "release":
                    self.finished.add(subject)


class Resolver:
    """Follows the ledger, and closes unknown outcomes as a careful person does: by asking the bank, once nobody who
    could still pay is alive."""

    def __init__(
        self,
        person: Person,
        journals: Journals,
        journal: Journal,
        alive: Callable[[], set[int]],
        told: Callable[[Ledger], None],
    ) -> None:
        self.ledger = Ledger()
        self._person = person
        self._journals = journals
        self._journal = journal
        self._alive = alive
        self._told = told

    def run(self, over: threading.Event) -> None:
        while not over.wait(_PAUSE):
            self._follow()
            for approval in sorted(self.ledger.unknown):
                verdict = self._verdict(approval)
                if verdict is not None:
                    self._resolve(approval, *verdict)
            self._told(self.ledger)

    def _follow(self) -> None:
        while True:
            reply = self._person.ask("GET", "/v1/events", params={"after": self.ledger.after, "limit": 200})
            if reply is None:
                return
            assert reply.status_code == 200, reply.text
            page = reply.json()["data"]
            for event in page:
                self.ledger.learn(event)
            if not page:
                return

    def _verdict(self, approval: str) -> tuple[str, str] | None:
        """Outcome and reason; None as long as a living program may still be at it."""
        alive = self._alive()
        lines = self._journals.callers()
        if busy_with(self.ledger.jobs[approval], lines) & alive:
            return None
        mine = [line for line in lines if line.get("id") == approval]
        return found_out(mine, read(self._journals.bank), approval, self.ledger.fences[approval])

    def _resolve(self, approval: str, outcome: str, reason: str) -> None:
        fence = self.ledger.fences[approval]
        reply = self._person.ask(
            "POST",
            f"/v1/approvals/{approval}/resolve",
            json={"outcome": outcome, "reason": reason},
            headers={"Idempotency-Key": f"resolve:{approval}:{fence}"},
        )
        if reply is None:
            return
        self.ledger.unknown.discard(approval)
        if reply.status_code == 409:
            # The program lived and reported after all, later than the ledger was read.
            assert reply.json()["code"] == "nothing_to_resolve", reply.text
            return
        assert reply.status_code == 200, reply.text
        self._journal.write("resolved", id=approval, fence=fence, outcome=outcome, reason=reason)


def busy_with(job: int, lines: list[Line]) -> set[int]:
    """The processes that began an attempt at this job and have not journalled its end."""
    busy: set[int] = set()
    for line in lines:
        if line.get("job") == job:
            if line["what"] in ("left", "raised"):
                busy.discard(line["pid"])
            else:
                busy.add(line["pid"])
    return busy


def found_out(lines: list[Line], bank: list[Line], approval: str, fence: int) -> tuple[str, str]:
    """What a person says of a redemption that nobody reported, from what the program wrote and what the bank has."""
    here = [line["what"] for line in lines if line.get("fence") == fence]
    if any(line["id"] == approval for line in bank):
        return "succeeded", "the bank has paid it"
    if "end" in here:
        # The block came to its end without a payment: that is a failure, and nothing to be done over.
        return "failed", "declined by the bank"
    if "begin" not in here:
        return "release", "nothing was begun"
    if _coin(approval, fence):
        return "release", "begun, and the bank knows nothing of it"
    return "failed", "begun, and not paid"


def _coin(approval: str, fence: int) -> bool:
    """A coin that falls the same way however often it is asked."""
    return random.Random(f"{approval}:{fence}").random() < 0.5
