"""What runs are made of, read once: definitions by the version that was registered, policies by their event.

Both never change, so what is kept cannot be wrong. Used by threads that read.
"""

from functools import lru_cache

from sqlalchemy import Connection

from signoff_server.core import definitions
from signoff_server.core.graph import Definition
from signoff_server.core.policies import NO_POLICY, Policy
from signoff_server.core.workflows import from_facts
from signoff_server.store import workflows

_KEPT = 512


def definition(connection: Connection, project: str, subject: str) -> Definition:
    """The definition that this subject registered."""
    found = workflows.views(connection, project, [subject])[subject]
    return of_source(found.source, found.state.workflow_id)


def project_policy(connection: Connection, project: str, seq: int) -> Policy:
    """The policy that the event with this number set; 0 is none."""
    return NO_POLICY if seq == 0 else from_facts(workflows.facts_at(connection, project, seq))


@lru_cache(maxsize=_KEPT)
def of_source(source: str, workflow_id: str) -> Definition:
    """The workflow of this id in a file that was registered."""
    found: list[Definition] = definitions.read(source.encode())
    return next(each for each in found if each.id == workflow_id)
