"""What must be true after a run, whatever was killed: the journals outside against the ledger inside."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from signoff_server.service.rebuild import LedgerDamaged, rebuild
from signoff_server.store.dialects import open_engines
from tests.crash import caller
from tests.crash.journal import Journals, Line, read
from tests.crash.verify_runs import verify_runs
from tests.support.databases import Databases
from tests.support.server import RunningServer
from tests.support.tables import derived

Event = dict[str, Any]
_CLOSING: Final = ("approval.approved", "approval.rejected", "approval.expired", "approval.cancelled")


@dataclass
class Verdict:
    """What was counted, and every violation in words, by its kind."""

    counts: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        kinds = (("lost", self.lost), ("doubled", self.doubled), ("wrong", self.wrong))
        return [f"{kind}: {text}" for kind, texts in kinds for text in texts]


def verify(server: RunningServer, journals: Journals) -> Verdict:
    """Judge a run whose callers have ended; stops the server on the way."""
    seen = _Seen(server, journals)
    seen.check_sequence()
    seen.check_created()
    seen.check_decided()
    seen.check_outcomes()
    seen.check_resolved()
    seen.check_runs()
    seen.check_raised()
    seen.check_ends()
    seen.check_keys_still_attach()
    seen.count()
    seen.check_workflows()
    if (code := server.terminate()) != 0:
        seen.verdict.wrong.append(f"the server ended with {code} when it was asked to stop")
    return seen.verdict


class _Seen:
    """The ledger by subject, and the journals beside it."""

    def __init__(self, server: RunningServer, journals: Journals) -> None:
        self.verdict = Verdict()
        self._server = server
        self._journals = journals
        self._events = _all_events(server)
        self._callers = journals.callers()
        self._people = read(journals.people)
        self._bank = read(journals.bank)
        self._of: dict[str, list[Event]] = defaultdict(list)
        for event in self._events:
            self._of[event["subject"]].append(event)
        asked = [event for event in self._events if _is_job(event)]
        self._approval = {event["data"]["context"]["job"]: event["subject"] for event in asked}
        self._asked = asked

    def check_sequence(self) -> None:
        if [event["seq"] for event in self._events] != list(range(1, len(self._events) + 1)):
            self.verdict.wrong.append("the events are not numbered from 1 without a gap")
        for subject, events in self._of.items():
            if [event["version"] for event in events] != list(range(1, len(events) + 1)):
                self.verdict.wrong.append(f"the events of {subject} are not numbered from 1 without a gap")

    def check_created(self) -> None:
        """One approval for a job, and what was acknowledged as created is there with what was asked."""
        self._no_more_than_once(Counter(event["data"]["context"]["job"] for event in self._asked), "approvals of job")
        for line in self._lines("created"):
            events = self._of.get(line["id"])
            data = events[0]["data"] if events else {"context": None, "idempotency": {}}
            same = data["context"] == caller.context(line["job"])
            if not same or data["idempotency"].get("key") != caller.key(line["job"]):
                self.verdict.lost.append(f"the creation of {line['id']} for job {line['job']}")

    def check_decided(self) -> None:
        for approval in self._approval.values():
            closing = [event for event in self._of[approval] if event["type"] in _CLOSING]
            if len(closing) > 1:
                self.verdict.doubled.append(f"{approval} was decided {len(closing)} times")
        for line in self._people:
            if line["what"] == "decided":
                wanted = (f"approval.{line['decision']}", line["by"], line["reason"])
                found = [
                    (event["type"], event["actor"]["id"], event["data"].get("reason"))
                    for event in self._of[line["id"]]
                    if event["type"] in _CLOSING
                ]
                if found != [wanted]:
                    self.verdict.lost.append(f"the decision {wanted} on {line['id']}: there is {found}")
            elif line["what"] == "too_late":
                self._check_loser(line)

    def _check_loser(self, line: Line) -> None:
        """Who was told that somebody had been faster was told the truth."""
        told = line["current"]
        won = next((event for event in self._of[line["id"]] if event["type"] in _CLOSING), None)
        if won is None or (won["type"], won["actor"]["id"]) != (f"approval.{told['status']}", told["decided_by"]["id"]):
            self.verdict.lost.append(f"the decision on {line['id']} that a loser was told of: {told}")

    def check_outcomes(self) -> None:
        """A `with` statement that was left had its outcome acknowledged, unless the SDK said that it had not."""
        for line in self._lines("log"):
            self.verdict.wrong.append(f"the SDK could not report: {line['text']}")
        for line in self._lines("left"):
            approval = self._approval.get(line["job"], "")
            facts = [event["facts"] for event in self._of[approval] if event["type"] == "approval.outcome_reported"]
            if [fact["outcome"] for fact in facts] != [line["outcome"]]:
                self.verdict.lost.append(f"the outcome {line['outcome']} of {approval}: there is {facts}")

    def check_resolved(self) -> None:
        for line in self._people:
            if line["what"] == "resolved":
                wanted = {"fence": line["fence"], "outcome": line["outcome"]}
                found = [event for event in self._of[line["id"]] if event["type"] == "approval.resolved"]
                if not any(
                    wanted.items() <= event["facts"].items() and event["data"]["detail"] == line["reason"]
                    for event in found
                ):
                    self.verdict.lost.append(f"the resolution {wanted} of {line['id']}")

    def check_runs(self) -> None:
        """No block began twice but where a person had let it, none without an approval, and nothing was paid twice."""
        begun: dict[str, list[int]] = defaultdict(list)
        for line in self._lines("begin"):
            begun[line["id"]].append(line["fence"])
        for approval, fences in begun.items():
            released = [
                event["facts"]["fence"]
                for event in self._of[approval]
                if event["type"] == "approval.resolved" and event["facts"]["outcome"] == "release"
            ]
            redeemed = {event["facts"]["fence"] for event in self._of[approval] if event["type"] == "approval.redeemed"}
            if not set(fences) <= redeemed:
                self.verdict.lost.append(f"a redemption of {approval}: begun {fences}, redeemed {sorted(redeemed)}")
            doubled = [fence for fence, times in Counter(fences).items() if times > 1]
            if doubled or not set(sorted(fences)[:-1]) <= set(released):
                self.verdict.doubled.append(f"the block of {approval} began at {fences}, released were {released}")
            if not any(event["type"] == "approval.approved" for event in self._of[approval]):
                self.verdict.wrong.append(f"the block of {approval} ran without an approval")
        self._no_more_than_once(Counter(line["key"] for line in self._bank), "payments of")
        self._no_more_than_once(Counter(line["key"] for line in self._lines("end")), "ends of")

    def check_raised(self) -> None:
        """Whoever waited saw latency, a rejection, or what a death or another caller left behind."""
        askers: dict[int, set[int]] = defaultdict(set)
        for line in self._lines("ask"):
            askers[line["job"]].add(line["pid"])
        for line in self._lines("raised"):
            types = [event["type"] for event in self._of[self._approval.get(line["job"], "")]]
            allowed = {
                "ApprovalRejected": "approval.rejected" in types,
                "AlreadyRedeemed": "approval.redeemed" in types and len(askers[line["job"]]) > 1,
                "OutcomeUnknown": "approval.outcome_unknown" in types,
            }
            if not allowed.get(line["error"], False):
                self.verdict.wrong.append(f"job {line['job']} raised {line['error']} {line.get('text', '')}: {types}")
            if line["error"] == "ApprovalRejected":
                self._check_rejection(line)

    def _check_rejection(self, line: Line) -> None:
        told = [
            (event["data"]["reason"], event["actor"]["id"])
            for event in self._of[line["id"]]
            if event["type"] == "approval.rejected"
        ]
        if told != [(line["reason"], line["by"])]:
            self.verdict.wrong.append(f"job {line['job']} was told another rejection than {told}")

    def check_ends(self) -> None:
        """Every job came to its end, with everybody who was given it."""
        last = max(self._approval, default=0)
        done = {(line["name"], line["job"]) for line in self._callers if line.get("done")}
        for job in range(1, last + 1):
            for name in caller.CALLERS:
                if caller.is_job_of(name, job) and (name, job) not in done:
                    self.verdict.wrong.append(f"job {job} of {name} has no end")
            events = self._of[self._approval.get(job, "")]
            if not events or not _finished(events):
                self.verdict.wrong.append(f"the approval of job {job} has no end")

    def check_keys_still_attach(self) -> None:
        """Asked once more, each job is answered with the approval that it had."""
        with httpx.Client(base_url=self._server.url, headers=self._server.app()) as client:
            for job, approval in self._approval.items():
                body = {"name": caller.NAME, "context": caller.context(job)}
                reply = client.post("/v1/approvals", json=body, headers={"Idempotency-Key": caller.key(job)})
                if reply.status_code != 200 or reply.json()["id"] != approval:
                    self.verdict.doubled.append(f"job {job} asked again got {reply.status_code}, not {approval}")

    def count(self) -> None:
        types = Counter(event["type"].removeprefix("approval.") for event in self._events)
        released = [event for event in self._events if event["facts"].get("outcome") == "release"]
        self.verdict.counts = {
            "jobs": len(self._approval),
            "approved": types["approved"],
            "rejected": types["rejected"],
            "unknown": types["outcome_unknown"],
            "released": len(released),
        }

    def check_workflows(self) -> None:
        found = verify_runs(self._server, self._journals, self._of)
        verdict = self.verdict
        verdict.counts |= found.counts
        verdict.lost += found.lost
        verdict.doubled += found.doubled
        verdict.wrong += found.wrong

    def _lines(self, what: str) -> list[Line]:
        return [line for line in self._callers if line["what"] == what]

    def _no_more_than_once(self, counted: Counter[Any], what: str) -> None:
        self.verdict.doubled += [f"{times} {what} {which}" for which, times in counted.items() if times > 1]


def check_copy(databases: Databases, database: str) -> list[str]:
    """What is wrong with a copy of the database, as a kill or a stop left it: its pages, and what is derived."""
    wrong = [f"{database}: {fault}" for fault in databases.faults(database)]
    engines = open_engines(database)
    try:
        before = derived(engines.reader)
        with engines.writer.begin() as connection:
            rebuild(connection, 0)
        after = derived(engines.reader)
    except LedgerDamaged as damaged:
        return [*wrong, f"{database}: {damaged}"]
    finally:
        engines.close()
    return wrong + [f"{database}: {name} is not what the events say" for name in before if before[name] != after[name]]


def _is_job(event: Event) -> bool:
    return event["type"] == "approval.requested" and "job" in event["data"]["context"]


def _finished(events: list[Event]) -> bool:
    last = events[-1]
    outcome = last["facts"].get("outcome")
    return last["type"] == "approval.rejected" or outcome in ("succeeded", "failed")


def _all_events(server: RunningServer) -> list[Event]:
    events: list[Event] = []
    with httpx.Client(base_url=server.url, headers=server.reviewer()) as client:
        while True:
            after = events[-1]["seq"] if events else 0
            page = client.get("/v1/events", params={"after": after, "limit": 200}).json()["data"]
            if not page:
                return events
            events += page
