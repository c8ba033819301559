"""The table of pages."""

from typing import Final

from signoff_server.dashboard import (
    activity,
    approval,
    deciding,
    exports,
    history,
    live,
    pending,
    policy,
    run_node,
    runs,
    settings,
    sign_in,
    start,
    trail,
    users,
    workflows,
)
from signoff_server.dashboard.page import Page

# Whoever is signed in may read; what a role may not do, the services refuse.
_SEE: Final = ("approvals:decide", "audit:read", "admin")
_DECIDE: Final = ("approvals:decide",)
_RESOLVE: Final = ("approvals:decide", "admin")
_ADMIN: Final = ("admin",)

PAGES: Final[tuple[Page, ...]] = (
    Page("GET", "/", pending.show, _SEE),
    Page("GET", "/approvals/{id}", approval.show, _SEE),
    Page("GET", "/approvals/{id}/standing", approval.standing, _SEE),
    Page("GET", "/approvals/{id}/raw", approval.whole, _SEE),
    Page("POST", "/approvals/{id}/decision", approval.decide, _DECIDE),
    Page("POST", "/approvals/{id}/resolve", approval.resolve, _RESOLVE),
    Page("GET", "/decide", deciding.show, _DECIDE),
    Page("POST", "/decide", deciding.decide, _DECIDE),
    Page("GET", "/live", live.stream, _SEE),
    Page("GET", "/static/{digest}/{name}", live.asset),
    Page("GET", "/sign-in", sign_in.show),
    Page("POST", "/sign-in", sign_in.submit),
    Page("GET", "/sign-in/link", sign_in.show_link),
    Page("POST", "/sign-in/link", sign_in.use_link),
    Page("GET", "/sign-in/password", sign_in.show_password),
    Page("POST", "/sign-in/password", sign_in.set_password),
    Page("POST", "/sign-out", sign_in.sign_out, _SEE),
    Page("GET", "/history", history.show, _SEE),
    Page("GET", "/history.csv", exports.history_csv, _SEE),
    Page("GET", "/history.ndjson", exports.history_ndjson, _SEE),
    Page("GET", "/events", trail.show, _SEE),
    Page("GET", "/events.csv", exports.events_csv, _SEE),
    Page("GET", "/events.ndjson", exports.events_ndjson, _SEE),
    Page("GET", "/activity", activity.show, _SEE),
    Page("GET", "/runs", runs.index, _SEE),
    Page("GET", "/runs/{id}", runs.show, _SEE),
    Page("POST", "/runs/{id}/cancel", runs.cancel, _ADMIN),
    Page("GET", "/runs/{id}/nodes/{node}", run_node.show, _SEE),
    Page("POST", "/runs/{id}/nodes/{node}/resolve", run_node.resolve, _RESOLVE),
    Page("GET", "/workflows", workflows.index, _SEE),
    Page("GET", "/workflows/{workflow}", workflows.show, _SEE),
    Page("GET", "/workflows/{workflow}/start", start.show, _ADMIN),
    Page("POST", "/workflows/{workflow}/start", start.submit, _ADMIN),
    Page("GET", "/settings", settings.principals, _ADMIN),
    Page("POST", "/settings/principals", settings.create_principal, _ADMIN),
    Page("GET", "/settings/keys", settings.show_keys, _ADMIN),
    Page("POST", "/settings/keys", settings.issue_key, _ADMIN),
    Page("POST", "/settings/keys/{id}/revoke", settings.revoke_key, _ADMIN),
    Page("GET", "/settings/users", users.show, _ADMIN),
    Page("POST", "/settings/users", users.add, _ADMIN),
    Page("POST", "/settings/users/{id}/link", users.new_link, _ADMIN),
    Page("POST", "/settings/users/{id}/sign-out", users.end_sessions, _ADMIN),
    Page("POST", "/settings/users/{id}/remove", users.remove, _ADMIN),
    Page("GET", "/settings/policy", policy.show, _ADMIN),
    Page("POST", "/settings/policy", policy.change, _ADMIN),
)
MISSING: Final = Page("GET", "/{anything}", live.missing)
