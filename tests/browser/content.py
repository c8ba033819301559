"""A project in which something happened: what the pages are looked at with, and what the README's pictures show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.browser.site import Site
from tests.support.stage import ROOT

EXPENSES: Final = (ROOT / "examples/expense_report/workflow.yaml").read_text()
BLOCKED: Final = """
workflow: {id: clean-up, version: 1.0.0, start: drop, description: Remove what is older than a year.}
nodes:
  drop: {type: tool, tool_ref: warehouse.delete, input: {older_than_days: 365}, next: end}
policy: {blocked_tools: ["*.delete"]}
"""
_DONE: Final = {
    "receipts.check": {"receipt": "RC-2291", "legible": True},
    "budgets.check": {"within_budget": True, "left_cents": 1_204_050},
    "expenses.reimburse": {"payment": "PAY-88121", "booked_on": "2026-11-25"},
    "employees.tell": {"sent": True},
}
_WIRE: Final = {
    "name": "payments.wire",
    "context": {
        "amount": "18250.00",
        "currency": "EUR",
        "payee": {"name": "Nordwind Logistik GmbH", "iban": "DE89 3704 0044 0532 0130 00"},
        "invoice": "NW-2026-1107",
        "due": "2026-11-30",
    },
    "summary": "Pay the November invoice of Nordwind; the goods arrived and were checked.",
    "metadata": {"team": "accounts-payable"},
    "on_behalf_of": "Marta Keller",
}
_NEW_PAYEE: Final = {
    **_WIRE,
    "context": {
        **_WIRE["context"],  # type: ignore[dict-item]
        "amount": "42900.00",
        "payee": {"name": "Nordwind Logistik GmbH", "iban": "LT12 1000 0111 0100 1000"},
        "invoice": "NW-2026-1108",
    },
    "summary": "Second instalment. The supplier wrote that they have a new bank account.",
}
_PENDING: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    (
        "agent",
        {
            "name": "database.migrate",
            "context": {
                "database": "orders-production",
                "statement": "ALTER TABLE orders DROP COLUMN legacy_state",
                "rows": 4_182_330,
                "reversible": False,
            },
            "arguments": {"migration": "0142_drop_legacy_state", "lock_timeout": "5s"},
            "summary": "The column has been unused for two releases.",
            "expires_in": 3_600,
        },
    ),
    (
        "agent",
        {
            "name": "github.merge",
            "context": {"repository": "shop/checkout", "pull_request": 1873, "checks": ["unit", "e2e", "lint"]},
            "reviewers": ["user:alice", "user:bob"],
            "summary": "Dependency updates; all checks are green.",
        },
    ),
    (
        "other-app",
        {
            "name": "mail.newsletter",
            "context": {"list": "customers-eu", "recipients": 81_204, "subject": "Winter opening hours"},
            "expires_in": 900,
        },
    ),
)


@dataclass(frozen=True)
class Content:
    """Ids, by what they show."""

    approvals: Mapping[str, str]
    runs: Mapping[str, str]


def furnish(site: Site) -> Content:
    """Approvals in every state, and runs that parked, ended, failed and were stopped by a rule."""
    approvals = _decided(site)
    for who, body in _PENDING:
        approvals[body["name"]] = site.ask(who, **body)["id"]
    approvals["new_payee"] = site.ask(**_NEW_PAYEE)["id"]
    return Content(approvals, _runs(site))


def work(site: Site, *tools: str, fails: str | None = None, output: Any = None) -> str:
    """Does the next item of these tools, as a worker would; answers which tool it was."""
    offered = [{"name": tool, "idempotent": True} for tool in tools]
    asked = {"request": f"r{site.number()}", "tools": offered, "max": 1, "worker": "worker-1", "wait": 20}
    (item,) = site.call("worker", "POST", "/v1/work/lease", json=asked)["items"]
    tool, fence = str(item["tool"]), item["fence"]
    if fails is None:
        report, body = "complete", {"fence": fence, "output": output or _DONE.get(tool, {})}
    else:
        report, body = "fail", {"fence": fence, "outcome": "failed", "message": fails, "retryable": False}
    site.call("worker", "POST", f"/v1/work/{item['id']}/{report}", json=body)
    return tool


def _decided(site: Site) -> dict[str, str]:
    paid = site.ask(**_WIRE)
    site.decide(paid["id"], reason="Matches the purchase order.")
    lease = site.call(
        "app", "POST", f"/v1/approvals/{paid['id']}/redeem", json={"binding": paid["binding"], "redeemer": "job-311"}
    )
    done = {"fence": lease["fence"], "outcome": "succeeded", "detail": "Transfer T-55102"}
    site.call("app", "POST", f"/v1/approvals/{paid['id']}/outcome", json=done)
    refused = site.ask("agent", name="customers.export", context={"fields": ["email", "phone"], "rows": 81_204})
    site.decide(refused["id"], "rejected", "alice", reason="No contract covers phone numbers.")
    withdrawn = site.ask("other-app", name="mail.newsletter", context={"list": "customers-us", "recipients": 12})
    site.call("other-app", "POST", f"/v1/approvals/{withdrawn['id']}/cancel", json={"reason": "Sent by hand."})
    return {"paid": paid["id"], "refused": refused["id"], "withdrawn": withdrawn["id"]}


def _runs(site: Site) -> dict[str, str]:
    for source in (EXPENSES, BLOCKED):
        site.register(source)
    checks = ("receipts.check", "budgets.check")

    def begun(employee: str, purpose: str, cents: int) -> str:
        return site.run("expense-report", employee=employee, purpose=purpose, amount_cents=cents)

    small = begun("Ines Duarte", "Train to Porto", 4_890)
    for tools in (checks, checks, ("expenses.reimburse",)):
        work(site, *tools)
    broken = begun("Jo Brandt", "Hotel, two nights", 31_900)
    work(site, "budgets.check")
    work(site, "receipts.check", fails="The scan of the receipt cannot be read.")
    parked = begun("Samir Haddad", "Conference in Ghent", 128_000)
    for _ in checks:
        work(site, *checks)
    stopped = site.run("clean-up")
    waiting = begun("Lena Fischer", "Team lunch", 8_400)
    for run in (small, broken, parked, stopped):
        site.settled(run)
    return {"small": small, "broken": broken, "parked": parked, "stopped": stopped, "waiting": waiting}
