"""Core values as the wire shows them."""

from datetime import UTC, datetime
from typing import Any, cast

from signoff.protocol import models
from signoff_server.core import keys
from signoff_server.core.approval_state import Approval, Redemption, Vote
from signoff_server.core.events import Actor, Recorded
from signoff_server.store.accounts import UserView
from signoff_server.store.approvals import ApprovalView
from signoff_server.store.principals import KeyView, PrincipalView


def approval(view: ApprovalView, url: str, now: int) -> models.Approval:
    """An approval, whole. Context, summary and arguments of an erased one are empty."""
    data = view.data or {}
    return models.Approval(
        **_resolved(view, url, now),
        context=data.get("context") or {},
        arguments=data.get("arguments"),
        summary=data.get("summary"),
        nonce=data.get("nonce") or "",
    )


def resolved(view: ApprovalView, url: str, now: int) -> models.ResolvedApproval:
    """An approval without what its waiter already has."""
    return models.ResolvedApproval(**_resolved(view, url, now))


def event(recorded: Recorded, data: dict[str, Any] | None) -> models.Event:
    return models.Event(
        seq=recorded.seq,
        id=recorded.id,
        type=recorded.type,
        subject=recorded.subject,
        version=recorded.version,
        at=moment(recorded.at),
        actor=models.Actor(id=recorded.actor.id, kind=recorded.actor.kind, via=recorded.actor.via),
        facts=dict(recorded.facts),
        data=data,
    )


def principal(view: PrincipalView) -> models.PrincipalRecord:
    return models.PrincipalRecord.model_validate(
        {
            "id": view.id,
            "name": view.name,
            "kind": view.kind,
            "owner": view.owner,
            "role": view.role,
            "created_at": moment(view.created_at),
        }
    )


def user(view: UserView) -> models.UserRecord:
    return models.UserRecord(
        id=view.id,
        name=view.name,
        role=view.role,
        has_password=view.has_password,
        sessions=view.sessions,
        created_at=moment(view.created_at),
    )


def key(view: KeyView) -> models.KeyRecord:
    return models.KeyRecord.model_validate(_key(view))


def issued_key(view: KeyView, text: str) -> models.IssuedKey:
    return models.IssuedKey.model_validate({**_key(view), "key": text})


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def person(actor: Actor, names: dict[str, str]) -> models.Principal:
    return models.Principal(id=actor.id, name=names.get(actor.id or ""), kind=actor.kind)


def in_a_run(view: ApprovalView) -> dict[str, Any]:
    """What is shown of an approval within its run."""
    state, data = view.state, view.data or {}
    return {
        "name": state.name,
        "status": state.status,
        "arguments": data.get("arguments"),
        "context": data.get("context") or {},
        "summary": data.get("summary"),
        "rule": state.requirement.rule,
        "requested_by": person(state.requested_by, view.names),
        "decided_by": None if state.closed_by is None else person(state.closed_by, view.names),
        "reason": _said(view, state.closed_seq, "reason"),
        "decided_at": _moment(state.closed_at),
        "created_at": moment(state.created_at),
        "expires_at": moment(state.expires_at),
        "binding": state.binding,
    }


def _resolved(view: ApprovalView, url: str, now: int) -> dict[str, Any]:
    state, data = view.state, view.data or {}
    return {
        "id": state.id,
        "project": view.project,
        "name": state.name,
        "status": state.status,
        "lapsed": state.lapsed(now),
        "metadata": data.get("metadata") or {},
        "binding": state.binding,
        "execution_key": execution_key(state),
        "requested_by": person(state.requested_by, view.names),
        "on_behalf_of": data.get("on_behalf_of"),
        "source": _source(state),
        "requirement": _requirement(state, view.names),
        "decisions": [_decision(vote, view) for vote in state.votes],
        "decided_by": None if state.closed_by is None else person(state.closed_by, view.names),
        "reason": _said(view, state.closed_seq, "reason"),
        "decided_at": _moment(state.closed_at),
        "created_at": moment(state.created_at),
        "expires_at": moment(state.expires_at),
        "approved_until": _moment(state.approved_until),
        "redemption": None if state.redemption is None else _redemption(state.redemption, view),
        "url": f"{url}/approvals/{state.id}",
    }


def execution_key(state: Approval) -> str:
    """What an executor hands to the far side as its idempotency key."""
    source = state.source
    return state.id if source.visit is None else f"{source.execution_id}/{source.node_id}/{source.visit}"


def _source(state: Approval) -> models.Source:
    source = state.source
    return models.Source(kind=source.kind, execution_id=source.execution_id, node_id=source.node_id, tool=source.tool)


def _requirement(state: Approval, names: dict[str, str]) -> models.Requirement:
    need = state.requirement
    return models.Requirement(
        rule=need.rule,
        approvals=need.approvals,
        kinds=list(need.kinds),
        reviewers=[f"user:{names.get(reviewer, reviewer)}" for reviewer in need.reviewers],
        on_expiry=need.on_expiry,
    )


def _decision(vote: Vote, view: ApprovalView) -> models.Decision:
    return models.Decision(
        decision=cast(models.Verdict, vote.decision),
        decided_by=person(vote.by, view.names),
        reason=_said(view, vote.seq, "reason"),
        decided_at=moment(vote.at),
        via=vote.by.via,
    )


def _redemption(redemption: Redemption, view: ApprovalView) -> models.Redemption:
    return models.Redemption(
        fence=redemption.fence,
        redeemed_at=moment(redemption.at),
        lease_until=_moment(view.lease_until) if redemption.outcome is None else None,
        outcome=cast("models.Outcome | None", redemption.outcome),
        detail=_said(view, redemption.seq, "detail"),
    )


def _said(view: ApprovalView, seq: int | None, member: str) -> str | None:
    data = view.said.get(seq) if seq is not None else None
    said = (data or {}).get(member)
    return None if said is None else str(said)


def _moment(at: int | None) -> datetime | None:
    return None if at is None else moment(at)


def _key(view: KeyView) -> dict[str, Any]:
    return {
        "id": view.id,
        "principal": {"id": view.principal, "name": view.name, "kind": view.kind},
        "scopes": list(view.scopes),
        "hint": keys.hint(view.environment, view.id),
        "created_at": moment(view.created_at),
        "expires_at": _moment(view.expires_at),
        "revoked_at": _moment(view.revoked_at),
    }
