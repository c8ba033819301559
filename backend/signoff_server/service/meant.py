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
    """The visit that a decision is about. Raises `Refusal`, that the run is over before all else."""
    if state.over:
        raise Refusal("execution_finished", "The run is over.", current=standing(state))
    pending = [visit for visit in state.visits if visit.status == "awaiting_approval"]
    if node is None and approval is None:
        return _only(pending, state)
    named = (visit for visit in pending if node in (None, visit.node) and approval in (None, visit.approval))
    found = next(named, None)
    if found is None:
        raise _too_late(unit, state, node, approval)
    return found


def _only(pending: Sequence[Visit], state: Execution) -> Visit:
    if not pending:
        raise Refusal("not_pending", "No node of this run waits for a decision.", current=standing(state))
    if len(pending) > 1:
        names = [visit.node for visit in pending]
        told = f"Several nodes wait for a decision: say which one by node_id ({', '.join(names)})."
        raise Refusal("ambiguous_node", told, current={"status": state.status, "pending": names})
    return pending[0]


def _too_late(unit: Unit, state: Execution, node: str | None, approval: str | None) -> Refusal:
    """What stands: the decision that was made before, if one was."""
    wanted = approval or _last(unit, state, node or "")
    found = unit.state(wanted) if wanted is not None else None
    if isinstance(found, Approval) and found.status in ("approved", "rejected") and _is_of(found, state, node):
        told = f"{found.source.node_id} was {found.status} before."
        return Refusal("already_decided", told, current=approval_standing(found, unit.now))
    return Refusal("not_pending", f"{node or approval} waits for no decision.", current=standing(state))


def _last(unit: Unit, state: Execution, node: str) -> str | None:
    """The approval of the node's last visit."""
    row = executions.nodes(unit.connection, state.id, [node]).get(node)
    return None if row is None else row.approval


def _is_of(approval: Approval, state: Execution, node: str | None) -> bool:
    return approval.source.execution_id == state.id and node in (None, approval.source.node_id)
