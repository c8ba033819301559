"""Runs in every state, items that a worker holds and workflows of all sorts, for the server that is fuzzed."""

import random
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Final

Run = dict[str, Any]
Item = dict[str, Any]
Call = Callable[..., Any]

WORKFLOW: Final = "fuzzed"
TOOLS: Final = ("pay", "payments.wire")
# Every node type, so that a run stands where it is told to; `take` says where that is.
SOURCE: Final = """\
workflow:
  id: fuzzed
  version: 1.0.0
  start: which
  description: Was für ein Lauf
nodes:
  which:
    type: condition
    branches:
      - {when: 'has(input.take) && input.take == "gate"', next: pay}
      - {when: 'has(input.take) && input.take == "both"', next: both}
      - {when: 'has(input.take) && input.take == "wait"', next: wait}
      - {when: 'has(input.take) && input.take == "ask"', next: ask}
    default: plain
  plain: {type: tool, tool_ref: pay, input: {given: "${{ input }}"}, next: end}
  pay: {type: tool, tool_ref: payments.wire, input: {given: "${{ input }}"}, timeout: 24h, next: end}
  both: {type: parallel, branches: [left, right], next: end}
  left: {type: tool, tool_ref: payments.wire, input: {}, next: end}
  right: {type: human_approval, description: "${{ execution.id }}?", on_approved: end}
  wait: {type: wait, event: paid, timeout: 1h, on_timeout: end, next: end}
  ask: {type: human_approval, context: {given: "${{ input }}"}, reviewers: [alice], on_approved: end, on_rejected: end}
policy:
  blocked_tools: ["*.delete"]
  require_approval_for: [{match: "payments.*"}]
  allow: ["payments.quote"]
"""
# What must be refused, and quickly.
HOSTILE: Final = (
    b"",
    b"\x00",
    b"\xff\xfe\x00",
    b"\xef\xbb\xbfworkflow: {}",
    b"workflow: {id: a\nnodes: [",
    b"workflow: !!python/object/apply:os.system ['true']",
    b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    b"workflow: {id: a}\nworkflow: {id: b}",
    b"workflow: {<<: {id: a}}",
    b"---\nworkflow: {}\n---\nnodes: {}",
    b"%YAML 1.1\n---\nworkflow: {id: no, version: 1.0, start: 0x10}",
    b"nodes: {a: {type: wait, for: " + b"9" * 5_000 + b"}}",
    b"nodes: " + b"[" * 10_000,
    b"nodes: " + b"{a: " * 10_000,
    b"? {a: b}\n: c",
    b"? [a]\n: c",
    b"null: 1\ntrue: 2\n.inf: 3\n2001-01-01: 4",
    "workflow: {id: ｐａｙ, version: 1․0․0, start: \u202e}".encode(),
    b"workflow:\t{}",
    b"- " * 50_000,
    b"a: |\n" + b"  x\n" * 50_000,
    b"nodes:\n  a: {type: condition, branches: [{when: '" + b"(" * 1_900 + b"', next: end}]}",
    b"nodes:\n  a: {type: condition, branches: [{when: '1" + b"+1" * 900 + b" == 2', next: end}]}",
    b"policy: {blocked_tools: ['" + b"*a" * 64 + b"']}",
)
_ODD: Final[tuple[Any, ...]] = (
    None,
    "",
    0,
    -1,
    10**40,
    1.5,
    True,
    [],
    {},
    [[]],
    "end",
    "${{ nodes",
    "a\u202eb",
    "x" * 3_000,
)
# By which way a run comes to park so.
_TAKES: Final = {"parked": "gate", "waiting": "wait", "both": "both", "asking": "ask"}
_KEPT: Final = 20


class Runs:
    """`call` answers the body of an answered request: (who, method, path, body, headers)."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._runs: dict[str, deque[Run]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._held: deque[Item] = deque(maxlen=_KEPT)
        self._made = 0
        self.version = self._register()

    def top_up(self) -> None:
        """One more run in each state."""
        for state in ("parked", "waiting", "both", "asking", "completed", "failed", "cancelled", "unknown", "held"):
            self._runs[state].append(self.fresh(state))

    def fresh(self, state: str) -> Run:
        """A run that nobody has touched since it came into this state."""
        if state in _TAKES:
            return self._parked(_TAKES[state])
        run = self._parked("gate") if state == "unknown" else self._start("plain")
        match state:
            case "completed":
                self._report(self.item(run), "complete", {"output": {"n": 1}})
            case "failed":
                self._report(self.item(run), "fail", {"outcome": "failed", "message": "no", "retryable": False})
            case "cancelled":
                self._call("starter", "POST", f"/v1/executions/{run['id']}/cancel", {})
            case "unknown":
                self._call("alice", "POST", f"/v1/executions/{run['id']}/approve", {"decision": "approved"})
                self._report(self.item(run), "fail", {"outcome": "unknown", "message": "who knows"})
        return run

    def some(self, chance: random.Random, *states: str) -> Run:
        """A run that was in one of these states when it was made, or in any."""
        return chance.choice(self._runs[chance.choice(sorted(states or self._runs))])

    def fresh_item(self) -> Item:
        return self.item(self._start("plain"))

    def some_item(self, chance: random.Random) -> Item:
        return chance.choice(self._held)

    def item(self, run: Run) -> Item:
        """The work item of this run, leased; what others left lying about is leased on the way."""
        while True:
            self._made += 1
            tools = [{"name": tool} for tool in TOOLS]
            body = {"request": f"seed-{self._made}", "tools": tools, "max": 20, "wait": 20}
            items = self._call("worker", "POST", "/v1/work/lease", body)["items"]
            assert items, f"{run['id']} has no item"
            self._held.extend(items)
            for item in items:
                if item["execution_id"] == run["id"]:
                    found: Item = item
                    return found

    def source(self) -> str:
        """A workflow that was not registered yet."""
        self._made += 1
        return SOURCE.replace("id: fuzzed", f"id: fuzzed-{self._made}")

    def _start(self, take: str) -> Run:
        self._made += 1
        body = {"workflow_id": WORKFLOW, "version": self.version, "input": {"take": take, "n": self._made}}
        run: Run = self._call("starter", "POST", "/v1/executions", body)
        return run

    def _parked(self, take: str) -> Run:
        run: Run = self._call("starter", "GET", f"/v1/executions/{self._start(take)['id']}?wait=20")
        assert run["status"] == "parked", run
        return run

    def _report(self, item: Item, what: str, body: dict[str, Any]) -> None:
        self._call("worker", "POST", f"/v1/work/{item['id']}/{what}", {"fence": item["fence"], **body})

    def _register(self) -> str:
        headers = {"Content-Type": "application/yaml"}
        made = self._call("starter", "POST", "/v1/workflows?on_conflict=build", SOURCE.encode(), **headers)
        version: str = made["workflows"][0]["version"]
        return version


def mutated(data: Any, chance: random.Random) -> Any:
    """Plain data with something at one place of it that does not belong there."""
    if not isinstance(data, dict | list) or not data or chance.random() < 0.1:
        return chance.choice(_ODD)
    at = chance.choice(list(data) if isinstance(data, dict) else range(len(data)))
    copy = data.copy()
    luck = chance.random()
    if luck < 0.15:
        del copy[at]
    elif luck < 0.25 and isinstance(copy, dict):
        copy[chance.choice(["x", "next", "\u0430", "a" * 300])] = chance.choice(_ODD)
    else:
        copy[at] = mutated(data[at], chance)
    return copy
