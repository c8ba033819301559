"""What must be true of the runs of workflows: what the far side and the people saw against the ledger inside.

Rules of the room: `attempt` and `fence` of a visit grow together, so an attempt is found by either.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from signoff.protocol.canonical import canonical
from tests.crash import flows
from tests.crash.journal import Journals, Line, read
from tests.support.server import RunningServer

Event = dict[str, Any]
_ENDS: Final = ("execution.completed", "execution.failed", "execution.cancelled")
# What a run's workers and people may still tell of it when it is over.
_LATE: Final = ("node.completed", "node.failed", "node.outcome_unknown", "node.resolved")
_FAILURES: Final = ("approval_rejected", "tool_failed", "outcome_failed", "lease_lost")


@dataclass
class Findings:
    counts: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Visit:
    """One visit of a node: its events in their order, and those of its approval."""

    key: str
    events: list[Event]
    approval: list[Event]

    @property
    def approval_id(self) -> str | None:
        found: str | None = self.events[0]["facts"].get("approval")
        return found

    def of(self, *what: str) -> list[Event]:
        return [event for event in self.events if event["type"].removeprefix("node.") in what]

    def started(self, attempt: int) -> Event | None:
        return next((event for event in self.of("started") if event["facts"].get("attempt") == attempt), None)

    @property
    def input(self) -> Any:
        """What is to run: what was approved, or what was scheduled."""
        return self.approval[0]["data"]["arguments"] if self.approval else self.events[0]["data"]["input"]


def verify_runs(server: RunningServer, journals: Journals, of: dict[str, list[Event]]) -> Findings:
    """`of` are the events by their subject."""
    seen = Seen(server, journals, of)
    seen.check_journals()
    seen.check_keys_still_find()
    seen.check_shown()
    seen.count()
    return seen.found


class Seen:
    """The runs in the ledger, and the journals beside it."""

    def __init__(self, server: RunningServer | None, journals: Journals, of: dict[str, list[Event]]) -> None:
        self.found = Findings()
        self._server = server
        self._of = of
        self._runs = {subject: events for subject, events in of.items() if subject.startswith("exe_")}
        self._numbers = {subject: events[0]["data"]["input"]["run"] for subject, events in self._runs.items()}
        self._tools = read(journals.tools)
        self._starter = read(journals.starter)
        self._reports = read(journals.reports)
        self._people = read(journals.people)
        self._visits = {visit.key: visit for events in self._runs.values() for visit in self._visits_of(events)}

    def _client(self) -> httpx.Client:
        assert self._server is not None
        return httpx.Client(base_url=self._server.url, headers=self._server.app())

    def _visits_of(self, events: list[Event]) -> list[Visit]:
        by: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            if "visit" in event["facts"]:
                by[f"{event['subject']}/{event['facts']['node']}/{event['facts']['visit']}"].append(event)
        return [Visit(key, each, self._of.get(each[0]["facts"].get("approval"), [])) for key, each in by.items()]

    # ------------------------------------------------------------ runs

    def check_journals(self) -> None:
        """All that takes no server."""
        self.check_started()
        self.check_ends()
        self.check_visits()
        self.check_approvals()
        self.check_effects()
        self.check_reports()
        self.check_words()

    def check_started(self) -> None:
        """What was acknowledged as started is there once, with what it was given."""
        for run, times in Counter(self._numbers.values()).items():
            if times > 1:
                self.found.doubled.append(f"{times} runs of number {run}")
        for line in self._starter:
            events = self._runs.get(line["id"])
            if events is None or events[0]["data"]["input"] != flows.given(line["run"]):
                self.found.lost.append(f"the start of {line['id']} as number {line['run']}")

    def check_keys_still_find(self) -> None:
        """Asked for once more, each run is the one that was there."""
        with self._client() as client:
            for subject, run in self._numbers.items():
                body = {"workflow_id": flows.flow(run), "input": flows.given(run)}
                reply = client.post("/v1/executions", json=body, headers={"Idempotency-Key": flows.key(run)})
                if reply.status_code != 200 or reply.json()["id"] != subject:
                    self.found.doubled.append(f"run {run} asked for again got {reply.status_code}, not {subject}")

    def check_ends(self) -> None:
        """Each run ends once, and nothing of it moves after."""
        for subject, events in self._runs.items():
            types = [event["type"] for event in events]
            ends = [at for at, type_ in enumerate(types) if type_ in _ENDS]
            if len(ends) != 1:
                self.found.wrong.append(f"{subject} has {len(ends)} ends")
                continue
            if late := [type_ for type_ in types[ends[0] + 1 :] if type_ not in _LATE]:
                self.found.wrong.append(f"{subject} went on after its end: {late}")
            rests = [type_ for type_ in types if type_ in ("execution.parked", "execution.resumed")]
            if rests != (["execution.parked", "execution.resumed"] * len(rests))[: len(rests)]:
                self.found.wrong.append(f"{subject} parked and went on in a strange order: {rests}")

    # ------------------------------------------------------------ nodes and their approvals

    def check_visits(self) -> None:
        """A node that is finished is never run again; its fence grows with each attempt."""
        for visit in self._visits.values():
            attempts = [event["facts"]["attempt"] for event in visit.of("started") if "attempt" in event["facts"]]
            fences = [event["facts"]["fence"] for event in visit.of("started") if "fence" in event["facts"]]
            if not attempts == fences == list(range(1, len(attempts) + 1)):
                self.found.wrong.append(f"{visit.key} was tried as {attempts} with the fences {fences}")
            ends = [at for at, event in enumerate(visit.events) if _is_end(event)]
            if ends != [len(visit.events) - 1]:
                types = [event["type"] for event in visit.events]
                self.found.wrong.append(f"{visit.key} did not end once, and last: {types}")

    def check_approvals(self) -> None:
        """The stream of an approval tells what that of its run tells, in the same transactions."""
        for visit in self._visits.values():
            if visit.approval_id is None:
                continue
            told = [(event["type"], event["facts"].get("outcome"), event["at"]) for event in visit.approval]
            wanted = _of_approval(visit)
            if told != wanted:
                self.found.wrong.append(f"{visit.key}: its approval tells {told}, its run {wanted}")

    # ------------------------------------------------------------ what happened outside

    def check_effects(self) -> None:
        """Nothing gated without an approval before it, nothing but what was approved, nothing that was not handed out,
        and nothing twice that is not idempotent."""
        effects = [line for line in self._tools if line["what"] == "effect"]
        for line in self._tools:
            visit = self._visits.get(line["key"])
            started = None if visit is None else visit.started(line["attempt"])
            if visit is None or started is None:
                self.found.lost.append(f"the handing out of {line['key']} attempt {line['attempt']}")
            elif started["facts"]["worker"] != line["worker"]:
                self.found.doubled.append(f"{line['key']} attempt {line['attempt']} was run by {line['worker']} too")
            elif line["what"] == "effect":
                self._check_effect(line, visit, started)
        for (key, attempt), times in Counter((line["key"], line["attempt"]) for line in effects).items():
            if times > 1:
                self.found.doubled.append(f"{times} effects of {key} attempt {attempt}")
        gated = Counter(line["key"] for line in effects if flows.GATED.get(line["tool"]) is False)
        self.found.doubled += [f"{times} effects of {key}" for key, times in gated.items() if times > 1]

    def _check_effect(self, line: Line, visit: Visit, started: Event) -> None:
        if canonical(visit.input).decode() != line["input"]:
            self.found.wrong.append(f"{visit.key} ran with {line['input']}, and {visit.input} was meant")
        if line["tool"] not in flows.GATED:
            return
        approved = [event for event in visit.approval if event["type"] == "approval.approved"]
        before = approved and approved[0]["seq"] < started["seq"]
        if line["approval"] != visit.approval_id or not before:
            self.found.wrong.append(f"{visit.key} had its effect without an approval before it")

    def check_reports(self) -> None:
        """What a worker was told had been taken from it stands."""
        taken: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        for visit in self._visits.values():
            for event in visit.of("completed", "failed", "retry_scheduled"):
                facts = event["facts"]
                if "fence" in facts:
                    known = (event["subject"], facts["tool"], facts["fence"])
                    taken[known].add("completed" if event["type"] == "node.completed" else "failed")
        for line in self._reports:
            said = line["said"]
            if said["event"] == "settled" and said["outcome"] != "unknown":
                known = (said["execution"], said["tool"], said["attempt"])
                if said["outcome"] not in taken[known]:
                    self.found.lost.append(f"the report {said['outcome']} of {known}")
            elif said["event"] == "error":
                self.found.wrong.append(f"the worker {line['worker']} says: {said}")

    def check_words(self) -> None:
        """What a person was told had been done with a run stands."""
        for line in self._people:
            match line["what"]:
                case "settled":
                    found = [event for event in self._visits[line["key"]].of("resolved") if _says(event, line)]
                    if not found:
                        self.found.lost.append(f"the word {line['outcome']} on {line['key']}")
                case "signalled":
                    signals = [event for event in self._runs[line["id"]] if event["type"] == "execution.signalled"]
                    if [event["data"]["payload"] for event in signals] != [{"run": line["run"]}]:
                        self.found.lost.append(f"the signal to {line['id']}: there is {signals}")
                case "cancelled":
                    if not any(event["type"] == "execution.cancelled" for event in self._runs[line["id"]]):
                        self.found.lost.append(f"the cancellation of {line['id']}")

    def check_shown(self) -> None:
        """What is shown of a run is what its events tell, its failure too."""
        with self._client() as client:
            for subject, events in self._runs.items():
                shown = client.get(f"/v1/executions/{subject}").json()
                end = next((event for event in events if event["type"] in _ENDS), None)
                if end is not None and shown["status"] != end["type"].removeprefix("execution."):
                    self.found.wrong.append(f"{subject} is shown as {shown['status']} after {end['type']}")
                elif end is not None and end["type"] == "execution.failed":
                    self._check_failure(subject, shown["failure"], end)

    def _check_failure(self, subject: str, shown: dict[str, Any], end: Event) -> None:
        code, node = end["facts"]["code"], end["facts"]["node"]
        visit = [visit for visit in self._visits.values() if visit.key.startswith(f"{subject}/{node}/")][-1]
        fits = code in _FAILURES and (shown["code"], shown["node_id"]) == (code, node)
        if code == "approval_rejected":
            said = next((event for event in visit.approval if event["type"] == "approval.rejected"), None)
            told = (shown["decided_by"] or {}).get("id"), shown["comment"]
            fits &= said is not None and told == (said["actor"]["id"], said["data"]["reason"])
        elif code == "tool_failed":
            fits &= flows.failures(self._numbers[subject]) >= 3
        elif code == "outcome_failed":
            fits &= any(event["facts"]["outcome"] == "failed" for event in visit.of("resolved"))
        if not fits:
            self.found.wrong.append(f"{subject} failed with {shown}, and its events tell {end['facts']}")

    def count(self) -> None:
        types = Counter(event["type"] for events in self._runs.values() for event in events)
        retried = [line for line in self._people if line["what"] == "settled" and line["outcome"] == "retry"]
        self.found.counts = {
            "runs": len(self._runs),
            "completed": types["execution.completed"],
            "failed": types["execution.failed"],
            "cancelled": types["execution.cancelled"],
            "unreported": types["node.outcome_unknown"],
            "retried": len(retried),
        }


def _says(event: Event, line: Line) -> bool:
    said = (event["facts"]["outcome"], event["facts"]["fence"])
    return said == (line["outcome"], line["fence"])


def _is_end(event: Event) -> bool:
    what = event["type"].removeprefix("node.")
    return what in ("completed", "failed", "cancelled") or (what == "resolved" and event["facts"]["outcome"] != "retry")


def _of_approval(visit: Visit) -> list[tuple[str, str | None, str]]:
    """What the approval of a node has to tell, by what its run tells: type, outcome and time of each event."""
    told: list[tuple[str, str | None, str]] = []
    is_open, is_redeemed = True, False
    for event in visit.events:
        facts, what = event["facts"], event["type"].removeprefix("node.")
        new: tuple[str, str | None] | None = None
        match what:
            case "approval_required":
                new = ("requested", None)
            case "scheduled" if is_open:
                new, is_open = ("approved", None), False
            case "started" if not is_redeemed:
                new, is_redeemed = ("redeemed", None), True
            case "completed" if is_open:
                new, is_open = (event["data"]["output"]["decision"], None), False
            case "failed" if is_open:
                new, is_open = (facts["code"].removeprefix("approval_"), None), False
            case "cancelled" if is_open:
                new, is_open = ("cancelled", None), False
            case "completed" | "failed" if is_redeemed:
                new = ("outcome_reported", "succeeded" if what == "completed" else "failed")
            case "outcome_unknown":
                new = ("outcome_unknown", None)
            case "resolved":
                new = ("resolved", "release" if facts["outcome"] == "retry" else facts["outcome"])
                is_redeemed = facts["outcome"] != "retry"
        if new is not None:
            told.append((f"approval.{new[0]}", new[1], event["at"]))
    return told
