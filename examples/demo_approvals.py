"""Act one: an application that asks before it pays, a reviewer, and kills for everybody."""

import itertools
import json
import sqlite3
import sys
from typing import Any

from demo_stage import HERE, Program, Stage, check, say, show


class Approvals:
    def __init__(self, on: Stage) -> None:
        self._on = on

    def run(self) -> None:
        say("1. A server, on an empty folder. Nothing is configured.")
        server = self._on.server()
        say("2. A payments application reads its invoices. Above 10000.00 it asks a person and waits.")
        application = self.application()
        first = self.pending(application)
        say("3. kill -9 the server while the application waits, and start it again.")
        server.kill()
        self._on.server()
        say("4. The approval is where it was, and the application still waits. A reviewer looks, and approves.")
        self._on.signoff("approvals")
        self._on.signoff("approve", first, "--reason", "matches the purchase order")
        application.line("booked, approved by")
        say("5. The application went on to the next one. The reviewer rejects it.")
        second = self.pending(application)
        self._on.signoff("reject", second, "--reason", "the supplier is not on our list")
        application.line("NOT booked, rejected by")
        say("6. It waits for the third. kill -9 the application, and run it again: it attaches to the same approval.")
        third = self.pending(application)
        application.kill()
        again = self.application()
        attached = again.line("attached again to")
        check(third in attached, "it attached to the approval that it had asked for")
        self._on.signoff("approve", third)
        again.line("booked, approved by")
        check(again.end() == 0, "the application came to its end")
        say("7. What the application's own ledger holds, and what the server's events tell.")
        self.ledger({first, third}, second)
        self._on.signoff("events", "--type", "approval.*")
        self.events(first, second, third)
        say("Each approved transfer was booked once, the rejected one never, and no kill lost anything.")

    # ------------------------------------------------------------ what runs

    def application(self) -> Program:
        return self._on.start("payments", sys.executable, HERE / "wire_transfer.py")

    def pending(self, application: Program) -> str:
        """The id that the application waits for, which the server lists too."""
        approval = application.line("apr_").rpartition(" ")[2].strip()
        listed = self._on.data("approvals")
        check(approval in json.dumps(listed), f"{approval} is in the inbox")
        return approval

    # ------------------------------------------------------------ what is checked

    def ledger(self, approved: set[str], rejected: str) -> None:
        database = sqlite3.connect(self._on.folder / "payments.db")
        rows = database.execute(
            "SELECT invoice, amount, currency, execution_key FROM transfers ORDER BY invoice"
        ).fetchall()
        database.close()
        for row in rows:
            show("payments", "{:<10} {:>10} {}  {}".format(*row))
        keys = [row[3] for row in rows]
        check(
            {key for key in keys if key.startswith("apr_")} == approved, "what was approved is booked, and nothing else"
        )
        check(len(keys) == len(set(keys)), "each of them once")
        check(rejected not in keys, "the rejected one never")

    def events(self, *approvals: str) -> None:
        events: list[dict[str, Any]] = self._on.data("events")["data"]
        for approval in approvals:
            types = [event["type"] for event in events if event["subject"] == approval]
            check(types.count("approval.requested") == 1, f"{approval} was asked for once")
            check(types.count("approval.redeemed") == types.count("approval.approved"), f"{approval} was used once")
        seqs = [event["seq"] for event in events]
        check(seqs == list(itertools.islice(itertools.count(seqs[0]), len(seqs))), "the events have no gap")
