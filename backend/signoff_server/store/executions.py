"""Runs as rows to list by, their nodes and their work items, and all of them as they are shown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Text, bindparam, func, insert, select, update

from signoff_server.core.events import Recorded
from signoff_server.core.execution_state import Execution, Visit
from signoff_server.store import codec, ledger, principals
from signoff_server.store.ledger import Change
from signoff_server.store.statements import Lookup, Statement
from signoff_server.store.tables import EXECUTIONS, NODES, WORK

_NEW = Statement(insert(EXECUTIONS))
_MOVED = Statement(update(EXECUTIONS).where(EXECUTIONS.c.id == bindparam("of")).values(status=bindparam("now_status")))
_NEW_NODE = Statement(insert(NODES))
# What an event does not say stays as it was.
_KEPT: Final = ("visit", "attempt", "started_at", "approval", "input_seq", "output_seq", "error_seq")
_NODE = Statement(
    update(NODES)
    .where(NODES.c.execution == bindparam("of", type_=Text), NODES.c.node == bindparam("at", type_=Text))
    .values(
        status=bindparam("status"),
        ended_at=bindparam("ended_at"),
        due_at=bindparam("due_at"),
        **{name: func.coalesce(bindparam(name, type_=NODES.c[name].type), NODES.c[name]) for name in _KEPT},
    )
)
_NODES = Statement(select(NODES).where(NODES.c.execution == bindparam("execution", type_=Text)).order_by(NODES.c.place))
_SOME_NODES = Lookup(select(NODES).where(NODES.c.execution == bindparam("execution", type_=Text)), NODES.c.node)
_NEW_WORK = Statement(insert(WORK))
_HANDED = Statement(update(WORK).where(WORK.c.id == bindparam("of")).values(request=bindparam("request")))
_REPORTED = Statement(
    update(WORK)
    .where(WORK.c.id == bindparam("of"))
    .values(reported=bindparam("reported"), reported_fence=bindparam("reported_fence"))
)
_WORK = Lookup(
    select(WORK.c.id, WORK.c.project, WORK.c.execution, WORK.c.node, WORK.c.reported, WORK.c.reported_fence), WORK.c.id
)
_ASKED = Statement(
    select(WORK.c.id).where(
        WORK.c.project == bindparam("project", type_=Text), WORK.c.request == bindparam("request", type_=Text)
    )
)
_COLUMNS: Final = tuple(column.name for column in NODES.columns)
# What a report of this fence is remembered as.
_REPORTS: Final = {
    "node.completed": "completed",
    "node.failed": "failed",
    "node.retry_scheduled": "failed",
}
# What an attempt came to stands in the payload of these.
_TELLING: Final = ("failed", "retry_scheduled", "outcome_unknown")
_LASTING: Final = frozenset({"completed", "failed", "blocked", "cancelled", "skipped"})


@dataclass(frozen=True, slots=True)
class Item:
    """Whose work it is. `reported` is what the fence `reported_fence` was reported as."""

    id: str
    project: str
    execution: str
    node: str
    reported: str | None
    reported_fence: int | None


@dataclass(frozen=True, slots=True)
class NodeView:
    """A row of `execution_nodes`, with the text of its last error."""

    node: str
    type: str
    tool: str | None
    event: str | None
    status: str
    visit: int
    attempt: int
    started_at: int
    ended_at: int | None
    due_at: int | None
    approval: str | None
    input_seq: int
    output_seq: int | None
    error_seq: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """A run with all that is shown of it: the payloads of its start and of its end, and the names of who acted."""

    project: str
    state: Execution
    version: int
    started: dict[str, Any]
    ended: dict[str, Any]
    failed: dict[str, Any]
    names: dict[str, str]
    nodes: tuple[NodeView, ...] = ()


# ---------------------------------------------------------------- bringing the rows up


def project(connection: Connection, project_id: str, changes: Sequence[Change]) -> None:
    """Bring the rows up to `changes`."""
    ours = [change for change in changes if isinstance(change.state, Execution)]
    if not ours:
        return
    made = [_row(project_id, change.state) for change in ours if change.event.version == 1]
    new = {row["id"] for row in made}
    last = {change.event.subject: change.state for change in ours if isinstance(change.state, Execution)}
    for row in made:
        row["status"] = last[row["id"]].status
    _NEW.run(connection, made)
    moved = [{"of": id_, "now_status": state.status} for id_, state in last.items() if id_ not in new]
    _MOVED.run(connection, moved)
    _project_nodes(connection, project_id, ours)
    _project_work(connection, project_id, ours)


def _project_nodes(connection: Connection, project_id: str, changes: Sequence[Change]) -> None:
    made, moved = _node_rows(project_id, changes)
    _NEW_NODE.run(connection, list(made.values()))
    _NODE.run(connection, [{"of": run, "at": node, **values} for (run, node), values in moved.items()])


def _node_rows(
    project_id: str, changes: Sequence[Change]
) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[tuple[str, str], dict[str, Any]]]:
    """The rows of nodes that were visited for the first time, and what others become, by run and node."""
    made: dict[tuple[str, str], dict[str, Any]] = {}
    moved: dict[tuple[str, str], dict[str, Any]] = {}
    for change in changes:
        facts = change.event.facts
        if not change.event.type.startswith("node.") or "visit" not in facts:
            continue
        at, values = (change.event.subject, facts["node"]), _node_values(change)
        if "type" in facts and facts["visit"] == 1:
            made[at] = _new_node(project_id, change) | values
            continue
        rows = made if at in made else moved
        known = rows.setdefault(at, dict.fromkeys(values))
        known |= {name: value for name, value in values.items() if name not in _KEPT or value is not None}
    return made, moved


def _node_values(change: Change) -> dict[str, Any]:
    event, state = change.event, change.state
    assert isinstance(state, Execution)
    entering = "type" in event.facts
    visit = state.at(event.facts["node"])
    what = event.type.removeprefix("node.")
    status = _status(visit, what, event.facts)
    ended = status in _LASTING
    has_output = what == "completed" or (what == "resolved" and event.facts["outcome"] == "succeeded")
    return {
        "status": status,
        "ended_at": event.at if ended else None,
        "due_at": None if visit is None or ended else visit.due_at,
        "visit": event.facts["visit"],
        "attempt": 0 if entering else event.facts.get("attempt"),
        "started_at": event.at if entering else None,
        "approval": event.facts.get("approval"),
        "input_seq": event.seq if entering else None,
        "output_seq": event.seq if has_output else None,
        "error_seq": event.seq if what in _TELLING or (what == "resolved" and not has_output) else None,
    }


def _status(visit: Visit | None, what: str, facts: Any) -> str:
    """That of the visit while it lasts, and what it ended as."""
    if visit is not None and visit.number == facts["visit"] and what not in _LASTING:
        return "running" if visit.status == "open" else visit.status
    if what == "resolved":
        return "completed" if facts["outcome"] == "succeeded" else "failed"
    return what


def _new_node(project_id: str, change: Change) -> dict[str, Any]:
    event = change.event
    return {
        "execution": event.subject,
        "node": event.facts["node"],
        "project": project_id,
        "place": event.seq,
        "type": event.facts["type"],
        "tool": event.facts.get("tool"),
        "event": event.facts.get("event"),
    }


def _project_work(connection: Connection, project_id: str, changes: Sequence[Change]) -> None:
    made: dict[str, dict[str, Any]] = {}
    handed: dict[str, dict[str, Any]] = {}
    reported: dict[str, dict[str, Any]] = {}
    for change in changes:
        event, item = change.event, change.event.facts.get("item")
        if item is None:
            continue
        if "type" in event.facts:
            made[item] = _new_work(project_id, change, item)
        elif event.type == "node.started":
            handed[item] = {"request": event.facts["request"]}
        elif event.type in _REPORTS and "fence" in event.facts:
            reported[item] = {"reported": _reported(event), "reported_fence": event.facts["fence"]}
    for rows in (handed, reported):
        for item in made.keys() & rows.keys():
            made[item] |= rows.pop(item)
    _NEW_WORK.run(connection, list(made.values()))
    _HANDED.run(connection, [{"of": item, **values} for item, values in handed.items()])
    _REPORTED.run(connection, [{"of": item, **values} for item, values in reported.items()])


def _reported(event: Recorded) -> str:
    """What the fence was reported as. Of a node that fails because nobody is heard of, nothing else is known."""
    return "unknown" if event.facts.get("code") == "lease_lost" else _REPORTS[event.type]


def _new_work(project_id: str, change: Change, item: str) -> dict[str, Any]:
    nothing = {"request": None, "reported": None, "reported_fence": None}
    event = change.event
    return {
        "id": item,
        "project": project_id,
        "execution": event.subject,
        "node": event.facts["node"],
    } | nothing


def _row(project_id: str, state: Any) -> dict[str, Any]:
    return {
        "id": state.id,
        "project": project_id,
        "seq": state.started_seq,
        "workflow_id": state.workflow_id,
        "status": state.status,
    }


# ---------------------------------------------------------------- looking things up


def item(connection: Connection, item_id: str) -> Item | None:
    return items(connection, [item_id]).get(item_id)


def items(connection: Connection, ids: Iterable[str]) -> dict[str, Item]:
    return {row[0]: Item(*row) for row in _WORK.rows(connection, ids)}


def asked_for(connection: Connection, project_id: str, request: str) -> list[str]:
    """The items that were handed to this ask, ended ones too."""
    return [id_ for (id_,) in _ASKED.rows(connection, project=project_id, request=request)]


def nodes(connection: Connection, execution: str, wanted: Iterable[str] | None = None) -> dict[str, NodeView]:
    """The nodes that a run has visited, in the order of their first visits; those among `wanted` where it is given."""
    if wanted is None:
        rows = _NODES.rows(connection, execution=execution)
    else:
        rows = _SOME_NODES.rows(connection, dict.fromkeys(wanted), execution=execution)
    return {view.node: view for view in map(_node, rows)}


def _node(row: tuple[Any, ...]) -> NodeView:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in ("execution", "project", "place"):
        del values[name]
    return NodeView(**values)


# ---------------------------------------------------------------- as they are shown


def views(connection: Connection, project_id: str, ids: Iterable[str]) -> dict[str, ExecutionView]:
    """The runs among `ids`, without their nodes, in a handful of queries."""
    streams = ledger.load(connection, project_id, ids)
    states = [stream.state for stream in streams.values() if isinstance(stream.state, Execution)]
    seqs = {seq for state in states for seq in (state.started_seq, state.ended_seq) if seq is not None}
    said = ledger.payloads(connection, project_id, seqs)
    facts = ledger.facts(connection, project_id, [state.ended_seq for state in states if state.status == "failed"])
    people = {state.initiator.id for state in states}
    people |= {((said.get(state.ended_seq or 0) or {}).get("decided_by") or {}).get("id") for state in states}
    names = principals.names(connection, {who for who in people if who is not None})
    return {
        state.id: ExecutionView(
            project_id,
            state,
            streams[state.id].version,
            said[state.started_seq] or {},
            said.get(state.ended_seq or 0) or {},
            facts.get(state.ended_seq or 0, {}),
            names,
        )
        for state in states
    }


def view(connection: Connection, project_id: str, execution: str) -> ExecutionView | None:
    """A run with its nodes."""
    found = views(connection, project_id, [execution]).get(execution)
    if found is None:
        return None
    rows = nodes(connection, execution).values()
    said = ledger.payloads(connection, project_id, [row.error_seq for row in rows if row.error_seq is not None])
    shown = tuple(_with_error(row, said) for row in rows)
    return replace(found, nodes=shown)


def _with_error(row: NodeView, said: dict[int, dict[str, Any] | None]) -> NodeView:
    # An error of an earlier visit is none of this one.
    if row.error_seq is None or row.error_seq < row.input_seq:
        return row
    data = said.get(row.error_seq) or {}
    return replace(row, error=data.get("message") or data.get("reason") or data.get("detail"))


def begun(project_id: str, changes: Sequence[Change], names: dict[str, str]) -> ExecutionView:
    """A run as the changes that began it left it: what `view` would read of it."""
    ours = [change for change in changes if isinstance(change.state, Execution)]
    last = ours[-1]
    assert isinstance(last.state, Execution)
    state, by_seq = last.state, {change.event.seq: change for change in ours}
    rows = [_node(tuple(row[name] for name in _COLUMNS)) for row in _node_rows(project_id, ours)[0].values()]
    said = {
        seq: codec.unseal(by_seq[seq].payload.body)
        for seq in (state.started_seq, state.ended_seq, *(row.error_seq for row in rows))
        if seq is not None
    }
    return ExecutionView(
        project_id,
        state,
        last.event.version,
        said[state.started_seq] or {},
        said.get(state.ended_seq or 0) or {},
        dict(by_seq[state.ended_seq].event.facts) if state.ended_seq is not None else {},
        names,
        tuple(_with_error(row, said) for row in rows),
    )


def search(
    connection: Connection, project_id: str, status: str | None, workflow_id: str | None, limit: int, before: int | None
) -> tuple[list[ExecutionView], int | None]:
    """Newest first, and where the next page begins."""
    columns = EXECUTIONS.c
    statement = select(columns.id, columns.seq).where(columns.project == project_id)
    if status is not None:
        statement = statement.where(columns.status == status)
    if workflow_id is not None:
        statement = statement.where(columns.workflow_id == workflow_id)
    if before is not None:
        statement = statement.where(columns.seq < before)
    rows = connection.execute(statement.order_by(columns.seq.desc()).limit(limit + 1)).all()
    shown = views(connection, project_id, [row.id for row in rows[:limit]])
    return [shown[row.id] for row in rows[:limit]], rows[limit - 1].seq if len(rows) > limit else None
