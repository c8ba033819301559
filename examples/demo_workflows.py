"""Act two: a workflow that parks at a gate, and a server that is killed between every two commands."""

import csv
import time
from typing import Any

from demo_stage import PATIENCE, SIGNOFF, Program, Stage, check, say, show, spelled

RUN = ("run", "workflow.yaml", "--input", '{"payment_id": "pay_1002"}')


class Workflows:
    def __init__(self, on: Stage) -> None:
        self._on = on

    def run(self) -> None:
        say("8. Another empty folder: signoff init writes a workflow and its tools. The server runs a worker for them.")
        self._on.signoff("init", who="you")
        server = self._on.server()
        say("9. A run is started. Its policy wants a person for payments.*: it parks there.")
        run = self._on.signoff("run", "workflow.yaml", "--no-follow", who="you").strip()
        self._on.signoff("approvals", run)
        parked = self._pending(run)
        say("10. kill -9 the server, and its worker with it. The approval is where it was, byte for byte.")
        server.kill()
        server = self._on.server()
        check(self._pending(run) == parked, "the same approval waits, with the same input")
        say("11. A reviewer approves. kill -9 the server at once, and start it again: the run goes on to its end.")
        self._on.signoff("approve", run, "--decision", "approved", "--comment", "as agreed")
        server.kill()
        server = self._on.server()
        self._ended(run)
        self._on.signoff("inspect", run)
        self._check_paid(run)
        say("12. A second run, followed live. kill -9 the server under it; then the reviewer rejects it.")
        follower = self._follow()
        rejected = self._parked(follower)
        server.kill()
        self._on.server()
        self._on.signoff("approve", rejected, "--decision", "rejected", "--comment", "we do not know this payee")
        check(follower.end() == 1, "a run that failed ends its command with exit code 1")
        self._check_rejected(rejected)
        say("13. What was paid, and what became of the runs.")
        self._on.signoff("executions", who="you")
        self._check_paid(run)
        self._check_events(run, rejected)
        say("The approved payment was made once, the rejected one never, and no kill lost anything.")

    # ------------------------------------------------------------ what runs

    def _follow(self) -> Program:
        print(f"{'you':>9} $ {spelled(*RUN)}", flush=True)
        return self._on.start("run", SIGNOFF, *RUN)

    def _parked(self, follower: Program) -> str:
        run = follower.line("exe_").split()[0]
        follower.line("awaiting_approval")
        return run

    def _pending(self, run: str) -> dict[str, Any]:
        """The one approval that the run waits for: its id, its binding and what will be executed."""
        pending = self._on.data("approvals", run)["pending"]
        check(len(pending) == 1, f"{run} waits for one decision")
        return {name: pending[0][name] for name in ("approval_id", "binding", "arguments", "node_id", "created_at")}

    def _ended(self, run: str) -> None:
        until = time.monotonic() + PATIENCE
        while (found := self._on.data("inspect", run))["status"] != "completed":
            check(time.monotonic() < until, f"{run} comes to its end")
            if any(node["status"] == "outcome_unknown" for node in found["nodes"]):
                self._resolve(run)
            time.sleep(0.3)

    def _resolve(self, run: str) -> None:
        """Rare: the kill met the tool while it ran. Nothing runs it again by itself; whoever knows its ledger says."""
        say("The kill met the payment in the middle. Nobody but the ledger of payments can tell whether it was made.")
        outcome = "succeeded" if self._paid() else "retry"
        self._on.signoff("resolve", run, "--outcome", outcome, "--reason", "as payments.csv says")

    # ------------------------------------------------------------ what is checked

    def _paid(self) -> list[dict[str, str]]:
        ledger = self._on.folder / "payments.csv"
        if not ledger.exists():
            return []
        with ledger.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _check_paid(self, run: str) -> None:
        paid = self._paid()
        for row in paid:
            show("payments", "{execution_key}  {amount:>9} {currency}  {payee}".format(**row))
        keys = [row["execution_key"] for row in paid]
        check(keys == [f"{run}/submit_payment/1"], "it was paid once, and nothing else was")

    def _check_rejected(self, run: str) -> None:
        found = self._on.data("inspect", run)
        failure = found["failure"] or {}
        check((found["status"], failure.get("code")) == ("failed", "approval_rejected"), f"{run} failed closed")
        check(failure["comment"] == "we do not know this payee", "with the words of the reviewer")

    def _check_events(self, run: str, rejected: str) -> None:
        events: list[dict[str, Any]] = self._on.data("events")["data"]
        for execution, end in ((run, "completed"), (rejected, "failed")):
            types = [event["type"] for event in events if event["subject"] == execution]
            check(types.count(f"execution.{end}") == 1, f"{execution} {end} once")
            check(types.count("node.approval_required") == 1, f"{execution} asked once")
        started = {event["subject"] for event in events if is_start(event, "submit_payment")}
        check(started == {run}, "the gated node was started in the approved run alone")
        check([event["seq"] for event in events] == list(range(1, len(events) + 1)), "the events have no gap")


def is_start(event: dict[str, Any], node: str) -> bool:
    return bool(event["type"] == "node.started" and event["facts"]["node"] == node)
