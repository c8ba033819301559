"""What runs are made of, read once: definitions by the version that was registered, policies by their event.

Both never change, so what is kept cannot be wrong, only missing. Used by threads that read.
"""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection

from signoff_server.core import definitions
from signoff_server.core.graph import Definition
from signoff_server.core.policies import NO_POLICY, Policy
from signoff_server.core.workflows import WorkflowVersion, from_facts
from signoff_server.store import workflows

V = TypeVar("V")
_KEPT: Final = 512


class _Kept(Generic[V]):
    """The last few, by a key that never changes its meaning."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], V] = {}

    def get(self, key: tuple[str, str], read: Callable[[], V]) -> V:
        found = self._of.get(key)
        if found is None:
            found = read()
            if len(self._of) >= _KEPT:
                self._of.clear()
            self._of[key] = found
        return found


_REGISTERED: Final[_Kept[tuple[WorkflowVersion, Definition]]] = _Kept()
_POLICIES: Final[_Kept[Policy]] = _Kept()


def registered(connection: Connection, project: str, subject: str) -> tuple[WorkflowVersion, Definition]:
    """What this subject registered: the version, and its definition."""

    def read() -> tuple[WorkflowVersion, Definition]:
        found = workflows.views(connection, project, [subject])[subject]
        return found.state, of_source(found.source, found.state.workflow_id)

    return _REGISTERED.get((project, subject), read)


def definition(connection: Connection, project: str, subject: str) -> Definition:
    return registered(connection, project, subject)[1]


def project_policy(connection: Connection, project: str, seq: int) -> Policy:
    """The policy that the event with this number set; 0 is none."""
    if seq == 0:
        return NO_POLICY
    return _POLICIES.get((project, str(seq)), lambda: from_facts(workflows.facts_at(connection, project, seq)))


def of_source(source: str, workflow_id: str) -> Definition:
    """The workflow of this id in a file that was registered."""
    found: list[Definition] = definitions.read(source.encode())
    return next(each for each in found if each.id == workflow_id)
