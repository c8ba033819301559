"""What `signoff init` writes: a payment that a person approves before it is made."""

from typing import Final

WORKFLOW: Final = """\
# A payment processor: look a payment up, and make it once a person has approved it.
# `signoff validate workflow.yaml` checks this file; `signoff schema` prints what editors complete it by.
workflow:
  id: payment-processor
  version: 0.1.0
  start: fetch_details
  description: Look a payment up, and make it once a person has approved it.
  input_schema:
    type: object
    properties:
      # Left out, the tool takes a sample payment: signoff run workflow.yaml --input '{"payment_id": "pay_1002"}'
      payment_id: {type: string, minLength: 1, maxLength: 64}
    additionalProperties: false

nodes:
  fetch_details:
    type: tool
    tool_ref: fetch_payment_details
    input:
      payment_id: '${{ has(input.payment_id) ? input.payment_id : "pay_1001" }}'
    retry: {max_attempts: 3, backoff: exponential, base_delay: 1s, max_delay: 30s}
    timeout: 30s
    next: submit_payment
  submit_payment:
    type: tool
    tool_ref: payments.submit
    input:
      payment: ${{ nodes.fetch_details.output }}
    next: end

policy:
  # What no rule names is allowed. Here, no payment is made before a person has approved it.
  require_approval_for: ["payments.*"]
  blocked_tools: ["*.delete"]
"""

TOOLS: Final = '''\
"""The tools of workflow.yaml. A worker runs them, as `signoff dev` starts one: no workflow ever says what they are."""

import csv
import fcntl
from pathlib import Path
from typing import Any

import signoff

PAID = Path("payments.csv")
COLUMNS = ("execution_key", "payment_id", "payee", "iban", "amount", "currency")
# Money is text: a float would not be exact.
PAYMENTS = {
    "pay_1001": {"payee": "Nordwind Logistik GmbH", "iban": "DE89370400440532013000", "amount": "1840.00"},
    "pay_1002": {"payee": "Atelier Lumen SARL", "iban": "FR1420041010050500013M02606", "amount": "12500.00"},
}


@signoff.tool("fetch_payment_details", idempotent=True)
def fetch_payment_details(payment_id: str) -> dict[str, Any]:
    """Looks a payment up; it changes nothing, so that it may be asked again."""
    if payment_id not in PAYMENTS:
        known = ", ".join(PAYMENTS)
        raise signoff.ToolFailed(f"there is no payment {payment_id}: there are {known}", retryable=False)
    return {"payment_id": payment_id, "currency": "EUR", **PAYMENTS[payment_id]}


@signoff.tool("payments.submit")
def submit_payment(payment: dict[str, Any], context: signoff.ToolContext) -> dict[str, Any]:
    """Makes a payment, which here is a line in payments.csv.

    The execution key is the same however often this is tried, and a key is paid once: so does a bank with the
    idempotency key of a request.
    """
    receipt = {"execution_key": context.execution_key, **payment}
    with PAID.open("a+", newline="") as file:
        # Two workers do not pay at the same time.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if any(line["execution_key"] == context.execution_key for line in csv.DictReader(file)):
            return {**receipt, "paid": "before"}
        writer = csv.DictWriter(file, COLUMNS)
        if not file.tell():
            writer.writeheader()
        writer.writerow(receipt)
    return {**receipt, "paid": "now"}
'''
