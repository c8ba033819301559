"""What is put before a reviewer of an approval, and the digest by which a decision says what it was made on.

Rules of the room: a page shows of the request what is in `facts` and nothing else; whoever decides sends the digest of
it along, and it is made again from what is recorded then.
"""

import hashlib
from typing import Any, Final

from signoff.protocol import canonical
from signoff_server.core.events import Actor
from signoff_server.store.approvals import ApprovalView
from signoff_server.web.render import execution_key

_PREFIX: Final = b"signoff-facts/1\n"


def facts(view: ApprovalView) -> dict[str, Any]:
    """What was asked, by whom, under which rule: plain JSON data. `erased` says that the request's content is gone."""
    state, data = view.state, view.data or {}
    need = state.requirement
    return {
        "id": state.id,
        "name": state.name,
        "erased": view.data is None,
        "arguments": data.get("arguments"),
        "context": data.get("context") or {},
        "summary": data.get("summary"),
        "metadata": data.get("metadata") or {},
        "requested_by": _person(state.requested_by, view.names),
        "on_behalf_of": data.get("on_behalf_of"),
        "source": {
            "kind": state.source.kind,
            "execution_id": state.source.execution_id,
            "node_id": state.source.node_id,
            "tool": state.source.tool,
        },
        "rule": need.rule,
        "kinds": list(need.kinds),
        "reviewers": [view.names.get(reviewer, reviewer) for reviewer in need.reviewers],
        "created_at": state.created_at,
        "expires_at": state.expires_at,
        "binding": state.binding,
        "execution_key": execution_key(state),
    }


def digest(shown: dict[str, Any]) -> str:
    """`sha256:` and 64 hex digits over the RFC 8785 form of `facts`, each member's nesting counted from itself."""
    members = {name: canonical.canonical(value).decode() for name, value in shown.items()}
    return "sha256:" + hashlib.sha256(_PREFIX + canonical.canonical(members)).hexdigest()


def raw(shown: dict[str, Any]) -> dict[str, Any]:
    """What the binding is made over, but for the project and the nonce."""
    return {member: shown[member] for member in ("name", "arguments", "context")}


def _person(actor: Actor, names: dict[str, str]) -> dict[str, Any]:
    return {"id": actor.id, "name": names.get(actor.id or ""), "kind": actor.kind}
