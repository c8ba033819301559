"""What runs are made of, read once: definitions by the version that was registered, policies by their event.

Both never change in their database, so what is kept cannot be wrong, only missing. Used by threads that read.
"""

from collections.abc import Callable
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

from signoff_server.core import definitions
from signoff_server.core.graph import Definition
from signoff_server.core.policies import NO_POLICY, Policy
from signoff_server.core.workflows import WorkflowVersion, from_facts
from signoff_server.store import workflows

V = TypeVar("V")
_KEPT: Final = 512


class _Kept(Generic[V]):
    """The last few of each database, by a key that never changes its meaning there."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Engine, dict[tuple[str, str], V]] = WeakKeyDictionary()

    def get(self, connection: Connection, key: tuple[str, str], read: Callable[[], V]) -> V:
        kept = self._of.setdefault(connection.engine, {})
        found = kept.get(key)
        if found is None:
            found = read()
            if len(kept) >= _KEPT:
                kept.clear()
            kept[key] = found
        return found


_REGISTERED: Final[_Kept[tuple[WorkflowVersion, Definition]]] = _Kept()
_POLICIES: Final[_Kept[Policy]] = _Kept()


def registered(connection: Connection, project: str, subject: str) -> tuple[WorkflowVersion, Definition]:
    """What this subject registered: the version, and its definition."""

    def read() -> tuple[WorkflowVersion, Definition]:
        found = workflows.views(connection, project, [subject])[subject]
        return found.state, of_source(found.source, found.state.workflow_id)

    return _REGISTERED.get(connection, (project, subject), read)


def definition(connection: Connection, project: str, subject: str) -> Definition:
    return registered(connection, project, subject)[1]


def project_policy(connection: Connection, project: str, seq: int) -> Policy:
    """The policy that the event with this number set; 0 is none."""
    if seq == 0:
        return NO_POLICY

    def read() -> Policy:
        return from_facts(workflows.facts_at(connection, project, seq))

    return _POLICIES.get(connection, (project, str(seq)), read)


def of_source(source: str, workflow_id: str) -> Definition:
    """The workflow of this id in a file that was registered."""
    found: list[Definition] = definitions.read(source.encode())
    return next(each for each in found if each.id == workflow_id)
