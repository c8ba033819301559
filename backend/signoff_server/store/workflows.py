"""Registered workflows as rows to find them by, and as they are shown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Text, bindparam, insert, select

from signoff_server.core.workflows import ProjectPolicy, WorkflowVersion
from signoff_server.store import ledger, principals
from signoff_server.store.statements import Statement
from signoff_server.store.tables import WORKFLOWS

_NEW = Statement(insert(WORKFLOWS))
_PROJECT = WORKFLOWS.c.project == bindparam("project", type_=Text)
_OF = WORKFLOWS.c.workflow_id == bindparam("workflow_id", type_=Text)
_VERSION = Statement(
    select(WORKFLOWS.c.id, WORKFLOWS.c.digest).where(
        _PROJECT, _OF, WORKFLOWS.c.version == bindparam("version", type_=Text)
    )
)
_LAST = Statement(select(WORKFLOWS.c.id).where(_PROJECT, _OF).order_by(WORKFLOWS.c.seq.desc()).limit(1))


@dataclass(frozen=True, slots=True)
class WorkflowView:
    """One version with the file that it was registered with; `names` those of the principals that occur."""

    state: WorkflowVersion
    source: str
    description: str | None
    names: dict[str, str]


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The project's policy; `state` is None where none was ever set."""

    state: ProjectPolicy | None
    names: dict[str, str]


def project(connection: Connection, project_id: str, changes: Sequence[ledger.Change]) -> None:
    """Bring the rows up to `changes`."""
    _NEW.run(connection, [_row(project_id, each.state) for each in changes if isinstance(each.state, WorkflowVersion)])


def version(connection: Connection, project_id: str, workflow_id: str, wanted: str) -> tuple[str, str] | None:
    """(subject, digest) of a version."""
    found = _VERSION.first(connection, project=project_id, workflow_id=workflow_id, version=wanted)
    return None if found is None else (found[0], found[1])


def find(connection: Connection, project_id: str, workflow_id: str, wanted: str | None) -> str | None:
    """The subject of a version, or of the one registered last."""
    if wanted is None:
        found = _LAST.first(connection, project=project_id, workflow_id=workflow_id)
        return None if found is None else str(found[0])
    exact = version(connection, project_id, workflow_id, wanted)
    return None if exact is None else exact[0]


def views(connection: Connection, project_id: str, ids: Iterable[str]) -> dict[str, WorkflowView]:
    streams = ledger.load(connection, project_id, ids)
    states = [stream.state for stream in streams.values() if isinstance(stream.state, WorkflowVersion)]
    said = ledger.payloads(connection, project_id, [state.seq for state in states])
    names = principals.names(connection, {state.by.id for state in states if state.by.id is not None})
    return {state.id: _view(state, said[state.seq] or {}, names) for state in states}


def _view(state: WorkflowVersion, data: Mapping[str, Any], names: dict[str, str]) -> WorkflowView:
    return WorkflowView(state, str(data.get("source", "")), data.get("description"), names)


def view(connection: Connection, project_id: str, workflow_id: str, wanted: str | None) -> WorkflowView | None:
    found = find(connection, project_id, workflow_id, wanted)
    return None if found is None else views(connection, project_id, [found])[found]


def search(
    connection: Connection, project_id: str, workflow_id: str | None, limit: int, before: int | None
) -> tuple[list[WorkflowView], int | None]:
    """Newest first, and where the next page begins."""
    statement = select(WORKFLOWS.c.id, WORKFLOWS.c.seq).where(WORKFLOWS.c.project == project_id)
    if workflow_id is not None:
        statement = statement.where(WORKFLOWS.c.workflow_id == workflow_id)
    if before is not None:
        statement = statement.where(WORKFLOWS.c.seq < before)
    rows = connection.execute(statement.order_by(WORKFLOWS.c.seq.desc()).limit(limit + 1)).all()
    shown = views(connection, project_id, [row.id for row in rows[:limit]])
    return [shown[row.id] for row in rows[:limit]], rows[limit - 1].seq if len(rows) > limit else None


def newest(
    connection: Connection, project_id: str, limit: int, before: int | None
) -> tuple[list[WorkflowView], int | None]:
    """Of each workflow the version registered last, the newest first, and where the next page begins."""
    later = WORKFLOWS.alias("later")
    followed = select(later.c.id).where(
        later.c.project == project_id, later.c.workflow_id == WORKFLOWS.c.workflow_id, later.c.seq > WORKFLOWS.c.seq
    )
    statement = select(WORKFLOWS.c.id, WORKFLOWS.c.seq).where(WORKFLOWS.c.project == project_id, ~followed.exists())
    if before is not None:
        statement = statement.where(WORKFLOWS.c.seq < before)
    rows = connection.execute(statement.order_by(WORKFLOWS.c.seq.desc()).limit(limit + 1)).all()
    shown = views(connection, project_id, [row.id for row in rows[:limit]])
    return [shown[row.id] for row in rows[:limit]], rows[limit - 1].seq if len(rows) > limit else None


def policy_state(connection: Connection, project_id: str) -> ProjectPolicy | None:
    """None where none was ever set."""
    found = ledger.load(connection, project_id, [project_id]).get(project_id)
    return found.state if found is not None and isinstance(found.state, ProjectPolicy) else None


def policy(connection: Connection, project_id: str) -> PolicyView:
    state = policy_state(connection, project_id)
    who = {state.by.id} if state is not None and state.by.id is not None else set()
    return PolicyView(state, principals.names(connection, who))


def facts_at(connection: Connection, project_id: str, seq: int) -> dict[str, Any]:
    """The facts of one event."""
    return ledger.facts(connection, project_id, [seq])[seq]


def _row(project_id: str, state: WorkflowVersion) -> dict[str, Any]:
    return {
        "id": state.id,
        "project": project_id,
        "seq": state.seq,
        "workflow_id": state.workflow_id,
        "version": state.version,
        "digest": state.digest,
    }
