"""The table of routes; `openapi.yaml` is made from it."""

from typing import Final

from signoff.protocol import models
from signoff_server import limits
from signoff_server.web import approvals, audit, principals, service, stream
from signoff_server.web.route import Route
from signoff_server.web.workflow_routes import WORKFLOW_ROUTES

_ASK: Final = ("approvals:create",)
_DECIDE: Final = ("approvals:decide",)
_EXECUTE: Final = ("approvals:create", "approvals:redeem")
_SEE: Final = ("approvals:create", "approvals:redeem", "approvals:decide", "admin")
_ADMIN: Final = ("admin",)
_LATE: Final = ("already_decided", "expired", "not_pending")
_READ: Final = ("audit:read", "approvals:decide", "admin")
_APPROVAL: Final = "/v1/approvals/{id}"
_STREAM: Final = (
    "Server-Sent Events: `id` is the event's `seq`, `event` its type, `data` an `Event` as JSON on one line. They "
    "begin after `Last-Event-ID`, else after `after`, else at the present end of the ledger; a place beyond the end "
    "is waited for. An `id` without data says how far the ledger was read: the first block is one, and with a "
    "filter they follow the ledger over what does not fit, so that whoever sends the last `id` as `Last-Event-ID` "
    "misses nothing. A comment comes every 15 s. The stream ends when its key does, when the server stops, and for "
    f"a client that does not read for 10 s: come again after `retry`. A key has at most {limits.STREAMS} streams open."
)

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "POST",
        "/v1/approvals",
        approvals.create,
        "Create an approval, or attach to it by its Idempotency-Key",
        {201: models.Approval, 200: models.Approval},
        _ASK,
        body=models.CreateApproval,
        keyed=True,
        refuses=("idempotency_key_reuse", "no_eligible_reviewer", "rate_limited", "pending_cap"),
        of="approval",
    ),
    Route(
        "GET",
        "/v1/approvals",
        approvals.search,
        "List approvals, newest first",
        {200: models.ApprovalList},
        _SEE,
        query=models.ListApprovals,
        of="approval",
    ),
    Route(
        "POST",
        "/v1/approvals/decisions",
        approvals.decide_each,
        "Approve or reject many, each for itself",
        {200: models.DecisionResults},
        _DECIDE,
        body=models.DecideApprovals,
        keyed=True,
        of="approval",
    ),
    Route(
        "GET",
        _APPROVAL,
        approvals.get,
        "Read an approval; with `wait`, hold the request until it leaves `pending`",
        {200: models.Approval},
        _SEE,
        query=models.WaitApproval,
        refuses=("not_found", "rate_limited"),
        of="approval",
    ),
    Route(
        "POST",
        f"{_APPROVAL}/decision",
        approvals.decide,
        "Approve or reject",
        {200: models.Approval},
        _DECIDE,
        body=models.DecideApproval,
        keyed=True,
        refuses=(
            "not_found",
            "self_decision",
            "kind_not_allowed",
            "reviewer_not_eligible",
            "view_stale",
            "idempotency_key_reuse",
            *_LATE,
        ),
        of="approval",
    ),
    Route(
        "POST",
        f"{_APPROVAL}/cancel",
        approvals.cancel,
        "Withdraw a pending approval: its requester, or an admin",
        {200: models.Approval},
        ("approvals:create", "admin"),
        body=models.CancelApproval,
        keyed=True,
        refuses=("not_found", "idempotency_key_reuse", *_LATE),
        of="approval",
    ),
    Route(
        "POST",
        f"{_APPROVAL}/redeem",
        approvals.redeem,
        "Use an approval, once",
        {200: models.Redeemed},
        _EXECUTE,
        body=models.RedeemApproval,
        refuses=("not_found", "not_approved", "expired", "already_redeemed", "outcome_unknown", "binding_mismatch"),
        of="approval",
    ),
    Route(
        "POST",
        f"{_APPROVAL}/renew",
        approvals.renew,
        "Hold the lease of a redemption on",
        {200: models.Renewed},
        _EXECUTE,
        body=models.RenewLease,
        refuses=("not_found", "stale_fence"),
        of="approval",
    ),
    Route(
        "POST",
        f"{_APPROVAL}/outcome",
        approvals.report,
        "Report what came of it",
        {200: models.Approval},
        _EXECUTE,
        body=models.ReportOutcome,
        refuses=("not_found", "stale_fence"),
        of="approval",
    ),
    Route(
        "POST",
        f"{_APPROVAL}/resolve",
        approvals.resolve,
        "Say what came of a redemption whose outcome is unknown: a human who may decide, or an admin",
        {200: models.Approval},
        ("approvals:decide", "admin"),
        body=models.ResolveOutcome,
        keyed=True,
        refuses=("not_found", "nothing_to_resolve", "idempotency_key_reuse"),
        of="approval",
    ),
    Route(
        "GET",
        f"{_APPROVAL}/events",
        approvals.events,
        "The events of one approval, oldest first",
        {200: models.EventList},
        _SEE,
        refuses=("not_found",),
        of="approval",
    ),
    Route(
        "GET",
        "/v1/events",
        audit.events,
        "Read the project's ledger on, oldest first",
        {200: models.EventPage},
        _READ,
        query=models.ListEvents,
    ),
    Route(
        "GET",
        "/v1/events/stream",
        stream.stream_events,
        "Follow the project's ledger as it grows",
        {200: stream.MEDIA_TYPE},
        _READ,
        query=models.FollowEvents,
        resumed=True,
        about=_STREAM,
        refuses=("rate_limited",),
    ),
    Route(
        "POST",
        "/v1/principals",
        principals.create_principal,
        "Make a principal",
        {201: models.PrincipalRecord},
        _ADMIN,
        body=models.CreatePrincipal,
        refuses=("name_taken",),
    ),
    Route(
        "GET",
        "/v1/principals",
        principals.list_principals,
        "List principals, newest first",
        {200: models.PrincipalList},
        _ADMIN,
        query=models.Paging,
    ),
    Route(
        "POST",
        "/v1/keys",
        principals.issue_key,
        "Issue an API key; it is shown this once",
        {201: models.IssuedKey},
        _ADMIN,
        body=models.IssueKey,
    ),
    Route(
        "GET",
        "/v1/keys",
        principals.list_keys,
        "List API keys, newest first, revoked ones too",
        {200: models.KeyList},
        _ADMIN,
        query=models.Paging,
    ),
    Route(
        "DELETE",
        "/v1/keys/{id}",
        principals.revoke_key,
        "Revoke an API key, within a second",
        {204: None},
        _ADMIN,
        refuses=("not_found",),
    ),
    *WORKFLOW_ROUTES,
    Route("GET", "/healthz", service.healthz, "The process is up", {200: models.Health}),
    Route("GET", "/readyz", service.readyz, "The database answers", {200: models.Health}, refuses=("unavailable",)),
    Route("GET", "/metrics", service.metrics, "Metrics in Prometheus' text format", {200: "text/plain"}),
    Route("GET", "/openapi.yaml", service.openapi_yaml, "This document", {200: "application/yaml"}),
)
