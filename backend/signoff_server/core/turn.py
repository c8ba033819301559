"""One command's way through a run: what it adds is folded at once, so that what comes after sees where the run stands.

Rules of the room: a turn that ends a branch ends its parallel node when it was the last; a run that fails withdraws
what has not begun and leaves what is running to its report; what was handed out and never heard of is not taken for
unbegun; `end` says whether the run is over, parked or under way.
"""

from collections.abc import Mapping
from typing import Any

from signoff_server.core import gates
from signoff_server.core.events import SCHEMA, SYSTEM, Actor, Event, Payload, Recorded, Step, Tell
from signoff_server.core.execution_state import MOVING, Execution, Visit, evolve
from signoff_server.core.gates import Closed

# A visit in one of these goes on, or waits for a person's word, also when the run is over.
_LEFT_ALONE = ("running", "outcome_unknown")


class Turn:
    """Collects the steps of one command."""

    def __init__(self, state: Execution | None, now: int, actor: Actor = SYSTEM) -> None:
        self._state = state
        self._actor = actor
        self._steps: list[Step] = []
        self.now = now

    @property
    def state(self) -> Execution:
        assert self._state is not None
        return self._state

    def add(self, type_: str, facts: Mapping[str, Any], payload: Payload | Mapping[str, Any] | None = None) -> None:
        event = Event(type_, facts, {} if payload is None else payload)
        self._steps.append(event)
        # What only the ledger knows (seq, id, version) is no part of what is decided here.
        recorded = Recorded(0, "", type_, SCHEMA, "", 0, self.now, self._actor, facts, "")
        self._state = evolve(self._state, recorded)

    def of(
        self, visit: Visit, what: str, facts: Mapping[str, Any], payload: Payload | Mapping[str, Any] | None = None
    ) -> None:
        """An event of this visit, and the end of the parallel nodes that it ends."""
        known: dict[str, Any] = {"node": visit.node, "visit": visit.number}
        if visit.item is not None:
            known |= {"item": visit.item, "tool": visit.tool}
        self.add(f"node.{what}", known | dict(facts), payload)
        self.close_parallels()

    def tell(self, subject: str, command: Any, actor: Actor | None = None) -> None:
        self._steps.append(Tell(subject, command, actor))

    def fail(self, code: str, node: str, message: str, closed: Closed | None = None) -> None:
        """The run fails, unless it is over; who said no, and why, stands in the event."""
        if self.state.over:
            return
        self.withdraw()
        by = None if closed is None else {"id": closed.by.id, "kind": closed.by.kind, "via": closed.by.via}
        comment = None if closed is None else closed.comment
        said = {"message": message, "decided_by": by, "comment": comment}
        self.add("execution.failed", {"code": code, "node": node}, said)

    def withdraw(self) -> None:
        """Take back all that has not begun."""
        for ready in self.state.ready:
            self.add("node.skipped", {"node": ready.node})
        for visit in self.state.visits:
            if visit.status in _LEFT_ALONE:
                continue
            if visit.unheard:
                self.lose_sight(visit)
                continue
            self.of(visit, "cancelled", {})
            if visit.status == "awaiting_approval" and visit.approval is not None:
                self.tell(visit.approval, gates.Withdraw(), SYSTEM)
            self.end_use(visit, "failed")

    def lose_sight(self, visit: Visit, payload: Payload | Mapping[str, Any] | None = None) -> None:
        """Nobody knows what came of its last attempt; a person finds out."""
        self.of(visit, "outcome_unknown", {"fence": visit.fence}, payload)
        self.end_use(visit, "unknown")

    def end_use(self, visit: Visit, outcome: str) -> None:
        """What the use of its approval came to, where it was begun."""
        if visit.approval is not None and visit.began:
            self.tell(visit.approval, gates.End(outcome))

    def end(self) -> list[Step]:
        """All steps, with what they make of the run as a whole."""
        state = self.state
        if not state.over and self._steps:
            moving = bool(state.ready) or any(visit.status in MOVING for visit in state.visits)
            if not state.ready and not state.visits:
                self.add("execution.completed", {})
            elif not moving and state.status == "running":
                self.add("execution.parked", {})
            elif moving and state.status == "parked":
                self.add("execution.resumed", {})
        return self._steps

    def close_parallels(self) -> None:
        """Leave the parallel nodes whose last branch is done."""
        done = next((visit for visit in self.state.visits if visit.status == "open" and not visit.open), None)
        if done is not None and not self.state.over:
            self.of(done, "completed", {}, {"output": None})
