"""What a server would send, as JSON data."""

from typing import Any

import httpx

from signoff.protocol import canonical

ID = "apr_01m83sz8fpehnr2vxbedgqsp1w"
OTHER_ID = "apr_01m83sz8txeksa3669etb7jj4c"
PROJECT = "prj_01m83sz56vewzv11aspn88qrb4"
NONCE = "n" * 43
ADA = {"id": "prn_01m83sz57ae9cvsdjzb61096zd", "name": "ada", "kind": "human"}
APP = {"id": "prn_01m83sz56ye1j90707mqhgj7e9", "name": "app", "kind": "service"}
NAME = "payments.wire"
CONTEXT = {"amount": "50000.00"}
THEN = "2026-11-23T08:15:00.000Z"
LATER = "2026-11-24T08:15:00.000Z"


def approval(**changes: Any) -> dict[str, Any]:
    """An approval with the binding of what it holds; `binding` in `changes` is kept as it is."""
    made: dict[str, Any] = {
        "id": ID,
        "project": PROJECT,
        "name": NAME,
        "status": "pending",
        "lapsed": False,
        "context": CONTEXT,
        "arguments": None,
        "summary": None,
        "metadata": {},
        "nonce": NONCE,
        "requested_by": APP,
        "on_behalf_of": None,
        "source": {"kind": "sdk"},
        "requirement": {"rule": None, "approvals": 1, "kinds": ["human"], "reviewers": [], "on_expiry": "expire"},
        "decisions": [],
        "decided_by": None,
        "reason": None,
        "decided_at": None,
        "created_at": THEN,
        "expires_at": LATER,
        "approved_until": None,
        "redemption": None,
        "url": f"http://127.0.0.1:9/approvals/{ID}",
        **changes,
    }
    made.setdefault("execution_key", made["id"])
    bound = {part: made[part] for part in ("project", "name", "context", "arguments", "nonce")}
    made.setdefault("binding", canonical.binding(**bound))
    return made


def decided(verdict: str, *, via: str = "dashboard", reason: str | None = None, **changes: Any) -> dict[str, Any]:
    decision = {"decision": verdict, "decided_by": ADA, "reason": reason, "decided_at": THEN, "via": via}
    said = {"status": verdict, "decisions": [decision], "decided_by": ADA, "reason": reason, "decided_at": THEN}
    until = LATER if verdict == "approved" else None
    return approval(**{**said, "approved_until": until, **changes})


def approved(**changes: Any) -> dict[str, Any]:
    return decided("approved", **changes)


def redeemed(fence: int = 1, **changes: Any) -> dict[str, Any]:
    held = {"fence": fence, "redeemed_at": THEN, "lease_until": LATER, "outcome": None, "detail": None}
    return {"fence": fence, "lease_until": LATER, "approval": approved(**{"redemption": held, **changes})}


def reported(outcome: str = "succeeded") -> dict[str, Any]:
    held = {"fence": 1, "redeemed_at": THEN, "lease_until": None, "outcome": outcome, "detail": None}
    return approved(redemption=held)


def resolved(**changes: Any) -> dict[str, Any]:
    """As the watch socket tells it: without what the waiter has."""
    whole = approved(**changes)
    return {name: whole[name] for name in whole if name not in ("context", "arguments", "summary", "nonce")}


def ok(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def problem(status: int, code: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    body = {
        "type": f"urn:signoff:problem:{code}",
        "title": code,
        "status": status,
        "detail": f"it is {code}",
        "code": code,
        "request_id": "req_1",
        **more,
    }
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json", **(headers or {})})
