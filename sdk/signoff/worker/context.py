"""What a tool is told about the attempt that it is run for."""

import threading
from dataclasses import dataclass, field
from datetime import datetime


class Cancelled:
    """A flag that a tool may read or wait for: nobody wants its result any more. `if context.cancelled:` works too."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is set, or so many seconds; answers whether it is set. For plain functions: it blocks."""
        return self._event.wait(timeout)

    def __bool__(self) -> bool:
        return self.is_set()

    def __repr__(self) -> str:
        return f"<Cancelled: {'yes' if self.is_set() else 'no'}>"


@dataclass(frozen=True, slots=True)
class ToolContext:
    """One attempt at one node of a run; a parameter annotated with this class is filled in.

    `execution_key` is the same on each attempt of a visit: hand it to the far side as its idempotency key. After
    `deadline` (None: no end) the outcome counts as unknown. Tests of tools make their own, with what they need.
    """

    execution_id: str
    workflow_id: str
    node_id: str
    tool: str
    execution_key: str
    attempt: int = 1
    visit: int = 1
    max_attempts: int = 1
    deadline: datetime | None = None
    approval_id: str | None = None
    cancelled: Cancelled = field(default_factory=Cancelled, compare=False)


def set_cancelled(context: ToolContext) -> None:
    """For the loop alone: tell the tool that it may stop."""
    context.cancelled._event.set()
