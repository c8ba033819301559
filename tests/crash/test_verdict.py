"""The verdict on a run of crashes finds what it is there to find: each kind of harm, done to what was seen."""

import copy
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from signoff.protocol.canonical import canonical
from tests.crash import flows
from tests.crash.journal import Journal, Journals
from tests.crash.verify_runs import Findings, Seen
from tests.support import workflows
from tests.support.databases import only
from tests.support.project import Project

RUN: Final = 4
Events = dict[str, list[dict[str, Any]]]
Lines = dict[str, list[dict[str, Any]]]


@pytest.fixture
def recorded(project: Project) -> tuple[str, Events, Lines]:
    """A run of two gated tools in parallel, as the ledger has it and as the world outside saw it."""
    run = workflows.start(project, flows.BOTH, flows.given(RUN), key=flows.key(RUN))["id"]
    lines: Lines = defaultdict(list)
    lines["starter"].append({"what": "started", "run": RUN, "id": run})
    for node, tool in (("pay", "payments.submit"), ("credit", "payments.credit"), ("note", "notes.write")):
        if node != "note":
            body = {"decision": "approved", "node_id": node}
            assert project.call("alice", "POST", f"/v1/executions/{run}/approve", json=body).status_code == 200
        item = workflows.take(project, tool, worker="wim.1", idempotent=tool == "payments.credit")
        facts = {"worker": "wim.1", "tool": tool, "key": item["execution_key"], "attempt": item["attempt"]}
        given = {"input": canonical(item["input"]).decode(), "approval": item["approval_id"]}
        lines["tools"] += [{"what": "began", **facts}, {"what": "effect", **facts, **given}, {"what": "ended", **facts}]
        assert workflows.settle(project, item, output={}).json()["status"] == "completed"
        said = {"event": "settled", "execution": run, "tool": tool, "attempt": 1, "outcome": "completed"}
        lines["reports"].append({"what": "said", "worker": "wim.1", "said": said})
    events: Events = defaultdict(list)
    for event in project.call("auditor", "GET", "/v1/events", params={"limit": 200}).json()["data"]:
        events[event["subject"]].append(event)
    return run, events, lines


def judged(folder: Path, events: Events, lines: Lines) -> Findings:
    journals = Journals(folder)
    for name, each in lines.items():
        journal = Journal(getattr(journals, name))
        for line in each:
            journal.write(**line)
        journal.close()
    seen = Seen(None, journals, events)
    seen.check_journals()
    return seen.found


def _of(events: Events, type_: str, node: str | None = None) -> dict[str, Any]:
    return next(
        event
        for each in events.values()
        for event in each
        if event["type"] == type_ and node in (None, event["facts"].get("node"))
    )


def forget_the_run(run: str, events: Events, lines: Lines) -> None:
    del events[run]
    lines["tools"].clear()
    lines["reports"].clear()


def start_it_twice(run: str, events: Events, lines: Lines) -> None:
    events["exe_other"] = copy.deepcopy(events[run])


def pay_twice(run: str, events: Events, lines: Lines) -> None:
    paid = next(line for line in lines["tools"] if line["what"] == "effect")
    again = copy.deepcopy(_of(events, "node.started", "pay"))
    again["facts"] |= {"attempt": 2, "fence": 2}
    events[run].insert(events[run].index(_of(events, "node.started", "pay")) + 1, again)
    lines["tools"].append(paid | {"attempt": 2})


def pay_something_else(run: str, events: Events, lines: Lines) -> None:
    _of(events, "approval.requested")["data"]["arguments"]["to"] = "somebody else"


def pay_before_it_is_approved(run: str, events: Events, lines: Lines) -> None:
    _of(events, "approval.approved")["seq"] = 10_000


def run_it_again_when_it_is_done(run: str, events: Events, lines: Lines) -> None:
    again = copy.deepcopy(_of(events, "node.started", "note"))
    again["facts"] |= {"attempt": 2, "fence": 2}
    events[run].insert(-1, again)


def lose_the_report(run: str, events: Events, lines: Lines) -> None:
    _of(events, "node.completed", "note")["facts"]["fence"] = 2


def lose_the_end(run: str, events: Events, lines: Lines) -> None:
    events[run].pop()


def lose_half_of_a_transaction(run: str, events: Events, lines: Lines) -> None:
    approval = _of(events, "node.approval_required", "pay")["facts"]["approval"]
    events[approval].pop()


def lose_a_cancellation(run: str, events: Events, lines: Lines) -> None:
    lines["people"].append({"what": "cancelled", "id": run})


def hand_it_to_two(run: str, events: Events, lines: Lines) -> None:
    lines["tools"].append(lines["tools"][0] | {"worker": "xenia.1"})


HARM: Final[dict[Callable[[str, Events, Lines], None], str]] = {
    forget_the_run: "lost",
    start_it_twice: "doubled",
    pay_twice: "doubled",
    pay_something_else: "wrong",
    pay_before_it_is_approved: "wrong",
    run_it_again_when_it_is_done: "wrong",
    lose_the_report: "lost",
    lose_the_end: "wrong",
    lose_half_of_a_transaction: "wrong",
    lose_a_cancellation: "lost",
    hand_it_to_two: "doubled",
}


@only("sqlite")
def test_every_harm_is_found_and_nothing_where_none_was_done(
    recorded: tuple[str, Events, Lines], tmp_path: Path
) -> None:
    run, events, lines = recorded
    assert judged(_folder(tmp_path, "none"), events, lines) == Findings()
    for harm, kind in HARM.items():
        seen, said = copy.deepcopy(events), copy.deepcopy(lines)
        harm(run, seen, said)

        found = judged(_folder(tmp_path, harm.__name__), seen, said)

        assert getattr(found, kind), harm.__name__


def _folder(tmp_path: Path, name: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    return made
