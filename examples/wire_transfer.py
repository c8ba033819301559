"""A small payments application: it books transfers from a list of invoices, and asks a person about the large ones.

    python examples/wire_transfer.py [--invoices FILE] [--ledger FILE] [--limit AMOUNT]

It can be killed at any moment and run again: its own ledger knows what was booked, and the idempotency key of each
invoice attaches it to the approval that it asked for before.
"""

import argparse
import csv
import sqlite3
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from signoff import Approval, ApprovalNotGranted, ApprovalRejected, OutcomeUnknown, require_approval

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Invoice:
    number: str
    supplier: str
    iban: str
    amount: Decimal
    currency: str
    due: str


class Ledger:
    """What was booked. An execution key can be booked once: that is what a bank does with an idempotency key."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS transfers"
            " (invoice TEXT PRIMARY KEY, execution_key TEXT UNIQUE, iban TEXT, amount TEXT, currency TEXT)"
        )

    def has(self, invoice: Invoice) -> bool:
        row = self._database.execute("SELECT 1 FROM transfers WHERE invoice = ?", (invoice.number,))
        return row.fetchone() is not None

    def book(self, invoice: Invoice, execution_key: str) -> None:
        row = (invoice.number, execution_key, invoice.iban, str(invoice.amount), invoice.currency)
        with self._database:
            self._database.execute("INSERT INTO transfers VALUES (?, ?, ?, ?, ?)", row)


def read_invoices(path: Path) -> list[Invoice]:
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Invoice(row["invoice"], row["supplier"], row["iban"], Decimal(row["amount"]), row["currency"], row["due"])
            for row in csv.DictReader(file)
        ]


def say(invoice: Invoice, what: str) -> None:
    print(f"{invoice.number}  {invoice.amount:>10} {invoice.currency}  {invoice.supplier:<26}  {what}", flush=True)


def pay(invoice: Invoice, ledger: Ledger, limit: Decimal) -> None:
    if ledger.has(invoice):
        say(invoice, "booked before")
        return
    if invoice.amount <= limit:
        ledger.book(invoice, f"invoice:{invoice.number}")
        say(invoice, "booked, below the limit")
        return

    def waiting(approval: Approval) -> None:
        say(invoice, f"{'attached again to' if approval.reattached else 'waiting for'} {approval.id}")

    try:
        with require_approval(
            "payments.wire_transfer",
            context={
                # What matters most comes first: that is what a reviewer sees in a narrow list.
                "amount": invoice.amount,
                "currency": invoice.currency,
                "to": invoice.supplier,
                "iban": invoice.iban,
                "invoice": invoice.number,
                "due": invoice.due,
            },
            idempotency_key=f"invoice:{invoice.number}",
            on_pending=waiting,
        ) as approval:
            ledger.book(invoice, approval.execution_key)
            say(invoice, f"booked, approved by {approval.decided_by.name if approval.decided_by else 'nobody'}")
    except ApprovalRejected as refused:
        say(invoice, f"NOT booked, rejected by {refused.decided_by.name}: {refused.reason}")
    except ApprovalNotGranted as refused:
        say(invoice, f"NOT booked: {refused}")
    except OutcomeUnknown as unknown:
        say(invoice, f"NOT booked now: an earlier run died inside {unknown.approval_id}; see `signoff resolve`")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--invoices", type=Path, default=HERE / "invoices.csv")
    parser.add_argument("--ledger", type=Path, default=Path("payments.db"))
    parser.add_argument("--limit", type=Decimal, default=Decimal("10000.00"))
    given = parser.parse_args()
    ledger = Ledger(given.ledger)
    for invoice in read_invoices(given.invoices):
        pay(invoice, ledger, given.limit)


if __name__ == "__main__":
    main()
