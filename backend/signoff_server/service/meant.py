"""Which of a run's approvals a decision means, and what to say where there is none."""

from collections.abc import Sequence

from signoff_server.core.approval_state import Approval
from signoff_server.core.approval_state import standing as approval_standing
from signoff_server.core.execution_state import Execution, Visit
from signoff_server.core.executions import standing
from signoff_server.core.refusals import Refusal
from signoff_server.service.execute import Unit
from signoff_server.store import executions


def meant(unit: Unit, state: Execution, node: str | None, approval: str | None) -> Visit:
    """The visit that a decision is about. Raises `Refusal`."""
    if state.over:
        raise Refusal("execution_finished", "The run is over.", current=standing(state))
    pending = [visit for visit in state.visits if visit.status == "awaiting_approval"]
    if node is not None:
        found = next((visit for visit in pending if visit.node == node), None)
    else:
        found = _only(pending, state)
    if found is None or (approval is not None and found.approval != approval):
        raise _too_late(unit, state, node or (found.node if found else ""), approval)
    return found


def _only(pending: Sequence[Visit], state: Execution) -> Visit:
    if not pending:
        raise Refusal("not_pending", "No node of this run waits for a decision.", current=standing(state))
    if len(pending) > 1:
        names = [visit.node for visit in pending]
        told = f"Several nodes wait for a decision: say which one by node_id ({', '.join(names)})."
        raise Refusal("ambiguous_node", told, current={"status": state.status, "pending": names})
    return pending[0]


def _too_late(unit: Unit, state: Execution, node: str, approval: str | None) -> Refusal:
    row = executions.nodes(unit.connection, state.id, [node]).get(node)
    wanted = approval or (row.approval if row is not None else None)
    found = unit.state(wanted) if wanted is not None else None
    ours = isinstance(found, Approval) and found.source.execution_id == state.id and found.source.node_id == node
    if isinstance(found, Approval) and ours and found.status in ("approved", "rejected"):
        current = approval_standing(found, unit.now)
        return Refusal("already_decided", f"{node} was {found.status} before.", current=current)
    return Refusal("not_pending", f"{node} waits for no decision.", current=standing(state))
