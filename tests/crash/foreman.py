"""Whoever starts the runs of workflows, and whoever sees to them: signals, cancellations, and nodes of which nobody
knows what came of them.
"""

import random
import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Protocol

import httpx

from signoff import Signoff
from tests.crash import flows
from tests.crash.caller import RETRY_FOR
from tests.crash.journal import Journal, Journals, Line, read
from tests.crash.people import Person

_PAUSE: Final = 0.1
# How long a living worker may say nothing of an item before the person who has to settle it ends that worker first.
_PATIENCE: Final = 4.0
# The moments at which a run may be cancelled.
_MOMENTS: Final = ("execution.started", "node.approval_required", "node.started", "node.outcome_unknown")


class Starter:
    """Starts one run after another, as many as are wanted, and each once, however often it has to ask."""

    def __init__(self, url: str, api_key: str, person: Person, journal: Journal, seed: int) -> None:
        self._sdk = Signoff(url, api_key, retry_for=RETRY_FOR)
        self._person = person
        self._journal = journal
        self._seed = seed
        self.wanted = 0
        self.started = 0

    def register(self) -> None:
        for source in flows.FLOWS.values():
            self._sdk.workflows.register(source)

    def run(self, over: threading.Event) -> None:
        with self._sdk:
            while not over.wait(_PAUSE):
                while self.started < self.wanted and not over.is_set():
                    self._start(self.started + 1)

    def _start(self, run: int) -> None:
        chance = random.Random(f"{self._seed}:start:{run}")
        for ask in chance.choice(((self._by_sdk,), (self._by_http,), (self._by_http, self._by_sdk))):
            if (found := ask(run)) is None:
                return
            self._journal.write("started", run=run, id=found)
        self.started = run

    def _by_sdk(self, run: int) -> str | None:
        return self._sdk.executions.start(flows.flow(run), flows.given(run), idempotency_key=flows.key(run)).id

    def _by_http(self, run: int) -> str | None:
        body = {"workflow_id": flows.flow(run), "input": flows.given(run)}
        reply = self._person.ask("POST", "/v1/executions", json=body, headers={"Idempotency-Key": flows.key(run)})
        if reply is None:
            return None
        assert reply.status_code in (200, 201), reply.text
        found: str = reply.json()["id"]
        return found


@dataclass(frozen=True)
class Unknown:
    """An attempt that nobody reported; `approval` where its tool is gated."""

    execution: str
    node: str
    visit: int
    fence: int
    worker: str
    approval: str | None

    @property
    def key(self) -> str:
        return f"{self.execution}/{self.node}/{self.visit}"


@dataclass
class Runs:
    """What is known of the runs from the events."""

    after: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    moments: dict[str, set[str]] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    unknown: dict[tuple[str, str], Unknown] = field(default_factory=dict)
    # What a worker holds, also of a run that is over: its word, or the end of its lease, is still to come.
    held: set[tuple[str, str]] = field(default_factory=set)
    _approvals: dict[tuple[str, str], str] = field(default_factory=dict)
    _workers: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def open(self) -> set[str]:
        return self.numbers.keys() - self.over

    def learn(self, event: dict[str, Any]) -> None:
        self.after = event["seq"]
        subject, kind, facts = event["subject"], event["type"], event["facts"]
        if not subject.startswith("exe_"):
            return
        self.moments.setdefault(subject, set()).add(kind)
        if kind == "execution.started":
            self.numbers[subject] = event["data"]["input"]["run"]
        elif kind in ("execution.completed", "execution.failed", "execution.cancelled"):
            self.over.add(subject)
        elif kind.startswith("node."):
            self._learn_node(kind.removeprefix("node."), (subject, facts["node"]), facts)

    def _learn_node(self, what: str, at: tuple[str, str], facts: dict[str, Any]) -> None:
        if what == "started" and "worker" in facts:
            self.held.add(at)
        else:
            self.held.discard(at)
        match what:
            case "approval_required":
                self._approvals[at] = facts["approval"]
            case "scheduled" if facts.get("event"):
                self.waiting.add(at[0])
            case "started" if "worker" in facts:
                self._workers[at] = facts["worker"]
            case "outcome_unknown":
                execution, node = at
                self.unknown[at] = Unknown(
                    execution, node, facts["visit"], facts["fence"], self._workers[at], self._approvals.get(at)
                )
            case "completed" | "failed" | "resolved":
                self.unknown.pop(at, None)


class Workers(Protocol):
    """The workers of the run, by the names that the server knows them by."""

    def alive(self) -> set[str]: ...

    def end(self, name: str) -> None:
        """Another one takes its place."""


class Foreman:
    """Follows the runs and does what a person has to do, as a careful person does."""

    def __init__(
        self, person: Person, app: Person, journals: Journals, journal: Journal, workers: "Workers", seed: int
    ) -> None:
        self.runs = Runs()
        self._person = person
        self._app = app
        self._journals = journals
        self._journal = journal
        self._workers = workers
        self._seed = seed
        self._done: set[tuple[str, str]] = set()
        self._since: dict[Unknown, float] = {}

    def run(self, over: threading.Event) -> None:
        while not over.wait(_PAUSE):
            self._follow()
            for execution in sorted(self.runs.open):
                self._signal(execution)
                self._cancel(execution)
            for lost in list(self.runs.unknown.values()):
                self._settle(lost)

    def unfinished(self, wanted: int) -> list[str]:
        """What is still to be done, in words, where so many runs were to be started."""
        missing = wanted - len(self.runs.numbers)
        told = [f"{missing} runs were still to be started"] if missing > 0 else []
        told += [f"{execution} was not over" for execution in sorted(self.runs.open)]
        told += [f"{node} of {execution} was still held" for execution, node in sorted(self.runs.held)]
        return told + [f"nobody knew the outcome of {lost.key}" for lost in list(self.runs.unknown.values())]

    def _follow(self) -> None:
        while True:
            reply = self._person.ask("GET", "/v1/events", params={"after": self.runs.after, "limit": 200})
            if reply is None:
                return
            assert reply.status_code == 200, reply.text
            page = reply.json()["data"]
            for event in page:
                self.runs.learn(event)
            if not page:
                return

    def _chance(self, what: str, execution: str) -> random.Random:
        return random.Random(f"{self._seed}:{what}:{self.runs.numbers[execution]}")

    def _signal(self, execution: str) -> None:
        """Before the run waits for it, or when it does."""
        run = self.runs.numbers[execution]
        soon = self._chance("signal", execution).random() < 0.5
        if flows.flow(run) != "care" or ("signal", execution) in self._done:
            return
        if soon or execution in self.runs.waiting:
            body = {"name": flows.SIGNAL, "payload": {"run": run}}
            if self._say("signal", self._app, execution, body) == 200:
                self._journal.write("signalled", id=execution, run=run)

    def _cancel(self, execution: str) -> None:
        chance = self._chance("cancel", execution)
        moment = chance.choice(_MOMENTS)
        if chance.random() > 0.15 or ("cancel", execution) in self._done or moment not in self.runs.moments[execution]:
            return
        if self._say("cancel", self._person, execution, {"reason": "not wanted any more"}) == 200:
            self._journal.write("cancelled", id=execution)

    def _say(self, what: str, person: Person, execution: str, body: dict[str, Any]) -> int | None:
        """Once for each run; what comes too late for it is refused."""
        headers = {"Idempotency-Key": f"{what}:{execution}"}
        reply = person.ask("POST", f"/v1/executions/{execution}/{what}", json=body, headers=headers)
        if reply is None:
            return None
        self._done.add((what, execution))
        assert reply.status_code == 200 or reply.json()["code"] == "execution_finished", reply.text
        return reply.status_code

    # ------------------------------------------------------------ what nobody reported

    def _settle(self, lost: Unknown) -> None:
        verdict = self._verdict(lost)
        if verdict is None:
            return
        outcome, reason = verdict
        reply = self._resolve(lost, outcome, reason)
        if reply is None:
            return
        if reply.status_code == 409:
            # The worker reported after all, or the run ended, later than the events were read.
            assert reply.json()["code"] in ("nothing_to_resolve", "execution_finished"), reply.text
            return
        assert reply.status_code == 200, reply.text
        self.runs.unknown.pop((lost.execution, lost.node), None)
        self._journal.write("settled", key=lost.key, fence=lost.fence, outcome=outcome, reason=reason)

    def _verdict(self, lost: Unknown) -> tuple[str, str] | None:
        """Outcome and reason; None as long as a living worker may still be at it."""
        lives = lost.worker in self._workers.alive()
        mine = [line for line in read(self._journals.tools) if line["key"] == lost.key]
        if lives and "ended" not in of_attempt(mine, lost.fence):
            self._press(lost)
            return None
        return made_out(mine, lost, is_over=lost.execution in self.runs.over)

    def _press(self, lost: Unknown) -> None:
        """A worker that says nothing for long may still begin: to be sure, it is ended."""
        if monotonic() - self._since.setdefault(lost, monotonic()) > _PATIENCE:
            self._workers.end(lost.worker)

    def _resolve(self, lost: Unknown, outcome: str, reason: str) -> httpx.Response | None:
        """By the node, or by its approval."""
        headers = {"Idempotency-Key": f"settle:{lost.key}:{lost.fence}"}
        if lost.approval is not None and self._chance("by", lost.execution).random() < 0.4 and outcome != "succeeded":
            word = "release" if outcome == "retry" else outcome
            path, body = f"/v1/approvals/{lost.approval}/resolve", {"outcome": word, "reason": reason}
            return self._person.ask("POST", path, json=body, headers=headers)
        path = f"/v1/executions/{lost.execution}/nodes/{lost.node}/resolve"
        body = {"outcome": outcome, "reason": reason}
        more: dict[str, Any] = {"output": {"key": lost.key}} if outcome == "succeeded" else {}
        return self._person.ask("POST", path, json=body | more, headers=headers)


def of_attempt(lines: list[Line], attempt: int) -> list[str]:
    return [line["what"] for line in lines if line["attempt"] == attempt]


def made_out(lines: list[Line], lost: Unknown, *, is_over: bool) -> tuple[str, str]:
    """What a person says of an attempt that nobody reported, from what the tools wrote of this execution key."""
    if any(line["what"] == "effect" for line in lines):
        return "succeeded", "the far side has done it"
    if is_over:
        return "failed", "not done, and not wanted any more"
    if "began" not in of_attempt(lines, lost.fence):
        return "retry", "never begun"
    again = random.Random(lost.key).random() < 0.6
    return ("retry", "begun, and not done") if again else ("failed", "begun, and given up")
