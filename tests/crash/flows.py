"""The workflows of a run of crashes, and what each of their runs is given.

Rules of the room: what a run is given, and what becomes of it where nobody is killed, follows from its number alone.
"""

from typing import Any, Final

PAY: Final = """
workflow: {id: pay, version: 1.0.0, start: quote}
nodes:
  quote:
    type: tool
    tool_ref: quotes.fetch
    input: {run: "${{ input.run }}", amount: "${{ input.amount }}"}
    retry: {max_attempts: 3, backoff: fixed, base_delay: 50ms}
    next: pay
  pay:
    type: tool
    tool_ref: payments.submit
    input:
      run: "${{ input.run }}"
      amount: "${{ nodes.quote.output.amount }}"
      to: "${{ input.to }}"
      lines: ["for ${{ input.to }}", null, true, {"é": 3}]
    next: note
  note:
    type: tool
    tool_ref: notes.write
    input: {run: "${{ input.run }}", paid: "${{ nodes.pay.output }}"}
    next: end
policy:
  require_approval_for: ["payments.*"]
"""
BOTH: Final = """
workflow: {id: both, version: 1.0.0, start: split}
nodes:
  split: {type: parallel, branches: [pay, credit], next: note}
  pay: {type: tool, tool_ref: payments.submit, input: {run: "${{ input.run }}", to: "${{ input.to }}"}, next: end}
  credit: {type: tool, tool_ref: payments.credit, input: {run: "${{ input.run }}", to: "${{ input.to }}"}, next: end}
  note: {type: tool, tool_ref: notes.write, input: {run: "${{ input.run }}"}, next: end}
policy:
  require_approval_for: ["payments.*"]
"""
CARE: Final = """
workflow: {id: care, version: 1.0.0, start: rest}
nodes:
  rest: {type: wait, for: 200ms, next: check}
  check:
    type: human_approval
    description: "the goods of ${{ input.to }}"
    context: {run: "${{ input.run }}", to: "${{ input.to }}"}
    on_approved: goods
    on_rejected: mend
  mend:
    type: tool
    tool_ref: notes.write
    input: {run: "${{ input.run }}", why: "${{ nodes.check.output.comment }}"}
    next: check
  goods: {type: wait, event: goods, next: credit}
  credit:
    type: tool
    tool_ref: payments.credit
    input: {run: "${{ input.run }}", amount: "${{ input.amount }}"}
    next: end
policy:
  require_approval_for: ["payments.*"]
"""
FLOWS: Final = {"pay": PAY, "both": BOTH, "care": CARE}
SIGNAL: Final = "goods"
# Where a worker may be told to die: at a stage of any tool, or of the one whose loss a person has to look into.
STAGES: Final = (
    "entered",
    "effected",
    "returned",
    "entered payments.submit",
    "effected payments.submit",
    "returned payments.submit",
)
# The tools that a person has to let run; what stands here is whether the tool calls itself idempotent.
GATED: Final = {"payments.submit": False, "payments.credit": True}


def flow(run: int) -> str:
    return ("pay", "both", "care")[run % 3]


def given(run: int) -> dict[str, Any]:
    return {"run": run, "amount": f"{run}.00", "to": f"Zoë & Søn № {run}"}


def key(run: int) -> str:
    return f"run:{run}"


def failures(run: int) -> int:
    """How many of the first attempts at the quote of this run fail; three are one too many."""
    return {5: 1, 7: 2, 11: 3}.get(run % 12, 0)


def is_slow(run: int) -> bool:
    """Whether the tools of this run take so long that their leases have to be renewed."""
    return run % 8 == 3
