"""The tools of expense_report/workflow.yaml, with files in the place of a bookkeeping system."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

import signoff

BUDGET_CENTS = 100_000
BOOKS = Path("reimbursed.jsonl")
LETTERS = Path("letters.jsonl")
Cents = Annotated[int, Field(gt=0)]


@signoff.tool("receipts.check", idempotent=True)
def check_receipt(employee: str, amount_cents: Cents) -> dict[str, Any]:
    """Finds the receipt; here each amount has one."""
    return {"receipt": f"{employee}-{amount_cents}.pdf"}


@signoff.tool("budgets.check", idempotent=True)
async def check_budget(employee: str, amount_cents: Cents) -> dict[str, Any]:
    """Whether it fits into what is left of the budget. Plain and async functions are tools alike."""
    spent = sum(line["amount_cents"] for line in read(BOOKS) if line["employee"] == employee)
    return {"within_budget": spent + amount_cents <= BUDGET_CENTS, "left_cents": BUDGET_CENTS - spent}


@signoff.tool("expenses.reimburse", idempotent=True)
def reimburse(employee: str, amount_cents: Cents, receipt: str, context: signoff.ToolContext) -> dict[str, Any]:
    """Books it once for each execution key: so it may be asked again, and says that it is idempotent."""
    append(BOOKS, context, {"employee": employee, "amount_cents": amount_cents, "receipt": receipt})
    return {"booked": context.execution_key}


@signoff.tool("employees.tell", idempotent=True)
def tell(employee: str, message: str, context: signoff.ToolContext) -> None:
    """Writes a letter, once."""
    append(LETTERS, context, {"to": employee, "message": message})


def append(path: Path, context: signoff.ToolContext, line: dict[str, Any]) -> None:
    if any(each["key"] == context.execution_key for each in read(path)):
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": context.execution_key, **line}) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
