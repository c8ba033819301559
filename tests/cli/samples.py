"""Replies as the server sends them, made by the models of the contract so that they cannot drift."""

from datetime import UTC, datetime, timedelta
from typing import Any

from signoff.protocol import canonical, models

PROJECT = "prj_01m83trb06etytv3sgsbrpt4g3"
ALICE = {"id": "prn_alice", "name": "alice", "kind": "human"}
APP = {"id": "prn_app", "name": "payments-app", "kind": "service"}
NONCE = "bm9uY2U"


def at(**ago: float) -> str:
    """A moment that long ago; a negative span lies in the future."""
    return models.rfc3339(datetime.now(UTC) - timedelta(**ago))


def approval(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A pending one, its binding right for whatever is changed but the binding itself."""
    fields: dict[str, Any] = {
        "id": f"apr_{number:026d}",
        "project": PROJECT,
        "name": "payments.wire_transfer",
        "status": "pending",
        "lapsed": False,
        "context": {"amount": "50000.00", "currency": "EUR"},
        "arguments": None,
        "summary": None,
        "metadata": {},
        "nonce": NONCE,
        "execution_key": f"apr_{number:026d}",
        "requested_by": APP,
        "on_behalf_of": None,
        "source": {"kind": "sdk"},
        "requirement": {"rule": None, "approvals": 1, "kinds": ["human"], "reviewers": [], "on_expiry": "expire"},
        "decisions": [],
        "decided_by": None,
        "reason": None,
        "decided_at": None,
        "created_at": at(minutes=3, seconds=20),
        "expires_at": at(days=-6, seconds=-30),
        "approved_until": None,
        "redemption": None,
        "url": "http://127.0.0.1:8484/approvals/x",
    } | changes
    bound = {name: fields[name] for name in ("project", "name", "context", "arguments", "nonce")}
    fields.setdefault("binding", canonical.binding(**bound))
    return models.Approval.model_validate(fields).model_dump(mode="json")


def decided(number: int = 1, status: str = "approved", **changes: Any) -> dict[str, Any]:
    word = {"decision": status, "decided_by": ALICE, "reason": "fine", "decided_at": at(minutes=1), "via": "cli"}
    fields = {
        "status": status,
        "decisions": [word],
        "decided_by": ALICE,
        "reason": "fine",
        "decided_at": at(minutes=1),
        "approved_until": at(days=-1) if status == "approved" else None,
    }
    return approval(number, **(fields | changes))


def page(*data: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    return {"data": list(data), "next_cursor": cursor}


def event(seq: int, type: str, subject: str, **changes: Any) -> dict[str, Any]:  # noqa: A002
    fields = {
        "seq": seq,
        "id": f"evt_{seq}",
        "type": type,
        "subject": subject,
        "version": 1,
        "at": at(minutes=1),
        "actor": {"id": "prn_app", "kind": "service", "via": "api"},
        "facts": {},
        "data": {},
    } | changes
    return models.Event.model_validate(fields).model_dump(mode="json")


def events(*data: dict[str, Any], after: int = 0) -> dict[str, Any]:
    return {"data": list(data), "next_after": data[-1]["seq"] if data else after}


def principal(name: str = "alice", **changes: Any) -> dict[str, Any]:
    fields = {
        "id": f"prn_{name}",
        "name": name,
        "kind": "human",
        "owner": None,
        "role": "member",
        "created_at": at(hours=2, minutes=1),
    } | changes
    return models.PrincipalRecord.model_validate(fields).model_dump(mode="json")


def key(number: int = 1, **changes: Any) -> dict[str, Any]:
    fields = {
        "id": f"key_{number:026d}",
        "principal": ALICE,
        "scopes": ["approvals:decide", "audit:read"],
        "hint": "sgo_dev_…",
        "created_at": at(days=6, hours=1),
        "expires_at": None,
        "revoked_at": None,
    } | changes
    return models.KeyRecord.model_validate(fields).model_dump(mode="json")


def user(name: str = "alice", **changes: Any) -> dict[str, Any]:
    fields = {
        "id": f"prn_{name}",
        "name": name,
        "role": "reviewer",
        "has_password": True,
        "sessions": 2,
        "created_at": at(hours=2, minutes=1),
    } | changes
    return models.UserRecord.model_validate(fields).model_dump(mode="json")


def link(token: str = "t0k", **changes: Any) -> dict[str, Any]:
    fields = {"url": f"http://127.0.0.1:8484/sign-in/link?token={token}", "expires_at": at(minutes=-10)} | changes
    return models.SignInLink.model_validate(fields).model_dump(mode="json")
