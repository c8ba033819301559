"""Every way to say no: one exception, and the table of its codes.

Rules of the room: a code is listed here or it does not exist; its status is decided here and nowhere else. The SDK's
exceptions and `openapi.yaml` are held equal to this table by tests.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple


class Code(NamedTuple):
    status: int
    title: str


CODES: Final[dict[str, Code]] = {
    "malformed_request": Code(400, "This is not a request of HTTP/1.1"),
    "malformed_json": Code(400, "The body is not JSON"),
    "invalid_parameter": Code(400, "A parameter or header is invalid"),
    "ambiguous_node": Code(400, "Several nodes are pending: name one"),
    "host_not_allowed": Code(400, "The Host header is not one this server answers to"),
    "unauthenticated": Code(401, "The API key is missing, unknown, expired or revoked"),
    "forbidden": Code(403, "The key may not do this"),
    "self_decision": Code(403, "Nobody decides a request of their own"),
    "kind_not_allowed": Code(403, "This kind of principal may not decide this"),
    "reviewer_not_eligible": Code(403, "Only the named reviewers may decide this"),
    "not_found": Code(404, "There is no such thing"),
    "method_not_allowed": Code(405, "This path does not answer that method"),
    "request_timeout": Code(408, "The request did not come whole in time"),
    "already_decided": Code(409, "It was decided before"),
    "expired": Code(409, "Its time is over"),
    "not_pending": Code(409, "It is no longer pending"),
    "not_approved": Code(409, "It is not approved"),
    "already_redeemed": Code(409, "It was redeemed before"),
    "outcome_unknown": Code(409, "It was redeemed, and nobody knows what came of it"),
    "nothing_to_resolve": Code(409, "Its outcome is not unknown"),
    "stale_fence": Code(409, "The fence is not the last one"),
    "binding_mismatch": Code(409, "The binding is not that of the approval"),
    "view_stale": Code(409, "What was shown is not what would be decided"),
    "execution_finished": Code(409, "The run is over"),
    "version_exists": Code(409, "This version is registered with another content"),
    "name_taken": Code(409, "The name is taken"),
    "last_admin": Code(409, "Nobody who administers could sign in any more"),
    "too_large": Code(413, "The body is too large"),
    "media_type": Code(415, "The body is not of the media type that is wanted"),
    "invalid": Code(422, "The body does not have the form that is wanted"),
    "workflow_invalid": Code(422, "The workflow file is not valid"),
    "idempotency_key_reuse": Code(422, "The idempotency key belongs to another request"),
    "no_eligible_reviewer": Code(422, "Nobody could decide this"),
    "rate_limited": Code(429, "Too much at once from this key"),
    "sign_in_locked": Code(429, "Too many failed sign-ins"),
    "signals_cap": Code(429, "Too many signals of this run are kept"),
    "pending_cap": Code(429, "Too many approvals of this requester are pending"),
    "headers_too_large": Code(431, "The headers are too large"),
    "internal": Code(500, "The server made a mistake"),
    "unavailable": Code(503, "The server cannot answer just now"),
    "storage_full": Code(507, "The disk is full"),
}


class Refusal(Exception):
    """A no with its code; `current` is the state that stands, `errors` are (JSON pointer, message) pairs."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        current: Mapping[str, Any] | None = None,
        errors: Sequence[tuple[str, str]] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.current = current
        self.errors = tuple(errors)
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        return CODES[self.code].status
