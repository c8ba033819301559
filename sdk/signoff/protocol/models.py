"""The JSON on the wire, as frozen pydantic models: the source of `openapi.yaml`.

Requests are strict and refuse unknown fields. Replies let unknown fields pass, so that a client outlives an addition.
Timestamps are RFC 3339 in UTC with milliseconds; durations are seconds; ids are `<kind>_` and 26 characters.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$"
PRINCIPAL_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"
REDEEMER_PATTERN: Final = r"^[A-Za-z0-9._:-]{1,128}$"
TRACEPARENT_PATTERN: Final = r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
DAY: Final = 86_400
DEFAULT_EXPIRES_IN: Final = 7 * DAY
MAX_EXPIRES_IN: Final = 365 * DAY
MAX_WAIT: Final = 60
MAX_WATCH_IDS: Final = 1_000
MAX_SEQ: Final = 2**53 - 1
MAX_DECISIONS: Final = 200
WATCH_SUBPROTOCOL: Final = "signoff.v1"


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T08:15:00.123Z`: UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
Status = Literal["pending", "approved", "rejected", "expired", "cancelled"]
Verdict = Literal["approved", "rejected"]
# Open lists: a client outlives a kind, a way or a source that was added after it.
Kind = Annotated[str, Field(examples=["human", "service", "agent", "system"])]
Via = Annotated[str, Field(examples=["api", "dashboard", "cli", "mcp", "policy", "system"])]
Outcome = Literal["succeeded", "failed", "unknown"]
SignInRole = Literal["reviewer", "auditor", "admin"]
Role = Literal["member", "reviewer", "auditor", "admin"]
Scope = Literal[
    "approvals:create",
    "approvals:redeem",
    "approvals:decide",
    "executions:write",
    "workflows:write",
    "work",
    "audit:read",
    "admin",
]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
# 60.0 is an integer to JSON Schema, and some writers of JSON know no other.
Whole = BeforeValidator(lambda said: int(said) if type(said) is float and said.is_integer() else said)
# A form is said and not checked here: what is no cursor is told where to take one.
Cursor = Annotated[
    str | None, Field(description="`next_cursor` of the page before", json_schema_extra={"pattern": "^[0-9]{1,16}$"})
]


class Reply(BaseModel):
    """What the server sends."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(BaseModel):
    """What the server is sent: strict types, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


# ---------------------------------------------------------------- approvals


class Principal(Reply):
    """Who acted. `id` and `name` are null for the system itself."""

    id: str | None
    name: str | None
    kind: Kind


class Source(Reply):
    """Where an approval was asked: `sdk`, `workflow` (with the execution, node and tool) or `mcp`."""

    kind: str = Field(examples=["sdk", "workflow", "mcp"])
    execution_id: str | None = None
    node_id: str | None = None
    tool: str | None = None


class Requirement(Reply):
    """What it takes, as it was frozen when the approval was requested."""

    rule: str | None
    approvals: int
    kinds: list[Kind]
    reviewers: list[str] = Field(description="`user:NAME` of those who may decide; empty: everyone of the kinds")
    on_expiry: str = Field(examples=["expire"])


class Decision(Reply):
    """One reviewer's word."""

    decision: Verdict
    decided_by: Principal
    reason: str | None
    decided_at: Timestamp
    via: Via


class Redemption(Reply):
    """The one use of an approval. `outcome` is null while the lease stands; `lease_until` is null after it."""

    fence: int
    redeemed_at: Timestamp
    lease_until: Timestamp | None
    outcome: Outcome | None
    detail: str | None


class ResolvedApproval(Reply):
    """An approval without what its waiter already has (context, arguments, summary, nonce)."""

    id: str
    project: str
    name: str
    status: Status
    lapsed: bool = Field(description="approved, and `approved_until` is over: it can no longer be redeemed")
    metadata: dict[str, str]
    binding: str
    execution_key: str = Field(description="hand it to the far side as its idempotency key")
    requested_by: Principal
    on_behalf_of: str | None
    source: Source
    requirement: Requirement
    decisions: list[Decision]
    decided_by: Principal | None
    reason: str | None
    decided_at: Timestamp | None
    created_at: Timestamp
    expires_at: Timestamp
    approved_until: Timestamp | None
    redemption: Redemption | None
    url: str


class Approval(ResolvedApproval):
    """One approval, whole."""

    context: dict[str, Any]
    arguments: dict[str, Any] | None
    summary: str | None = Field(description="claimed by the requester; bound to nothing")
    nonce: str


class ApprovalList(Reply):
    data: list[Approval]
    next_cursor: str | None


class CreateApproval(Request):
    """Ask for an approval. Send an `Idempotency-Key` to attach to it again after a crash."""

    name: str = Field(min_length=1, max_length=128, pattern=NAME_PATTERN)
    context: dict[str, Any] = Field(
        default_factory=dict, description="what the reviewer sees; at most 64 KiB canonical"
    )
    arguments: dict[str, Any] | None = Field(
        default=None, description="what will be executed, where that differs from what is shown; at most 64 KiB"
    )
    summary: Annotated[str, StringConstraints(max_length=500)] | None = None
    expires_in: Annotated[int, Whole] = Field(
        default=DEFAULT_EXPIRES_IN, ge=1, le=MAX_EXPIRES_IN, description="seconds"
    )
    reviewers: list[Annotated[str, StringConstraints(max_length=128)]] = Field(
        default_factory=list, max_length=50, description="`user:NAME` each"
    )
    metadata: dict[
        Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=1_000)]
    ] = Field(default_factory=dict, max_length=50)
    on_behalf_of: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    traceparent: Annotated[str, StringConstraints(pattern=TRACEPARENT_PATTERN)] | None = None


class DecideApproval(Request):
    decision: Verdict
    reason: Reason | None = Field(default=None, description="a rejection needs one")
    seen: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        default=None, description="the binding of what the reviewer was shown; another one is refused as `view_stale`"
    )


class DecideOne(DecideApproval):
    id: str = Field(description="of an approval; each stands in the list once")


class DecideApprovals(Request):
    """Many decisions at once; each is made or refused for itself, under the same `Idempotency-Key`."""

    decisions: list[DecideOne] = Field(min_length=1, max_length=MAX_DECISIONS)


class CancelApproval(Request):
    reason: Reason | None = None


class RedeemApproval(Request):
    binding: str = Field(max_length=100, description="what the executor was given an approval for")
    redeemer: str = Field(pattern=REDEEMER_PATTERN, description="made afresh by each executor; it names the holder")


class Redeemed(Reply):
    fence: int
    lease_until: Timestamp
    approval: Approval


class RenewLease(Request):
    fence: Annotated[int, Whole] = Field(ge=1, le=2**53 - 1)


class Renewed(Reply):
    lease_until: Timestamp


class ReportOutcome(Request):
    fence: Annotated[int, Whole] = Field(ge=1, le=2**53 - 1)
    outcome: Literal["succeeded", "failed"]
    detail: Reason | None = None


class ResolveOutcome(Request):
    """A person's word on a redemption whose outcome is unknown."""

    outcome: Literal["succeeded", "failed", "release"] = Field(description="`release`: it may be redeemed once more")
    reason: Reason


class ListApprovals(BaseModel):
    """The filters of the list of approvals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Status | None = None
    name: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None, description="glob: `*` any run, `?` one character"
    )
    execution_id: str | None = None
    requested_by: str | None = Field(default=None, description="id or name of a principal")
    q: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None, description="text in the name, the summary or the context"
    )
    limit: int = Field(default=50, ge=1, le=200)
    cursor: Cursor = None


class WaitApproval(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    wait: int = Field(default=0, ge=0, le=MAX_WAIT, description="seconds to hold the request while it is pending")


# ---------------------------------------------------------------- the watch socket


class Watch(Request):
    op: Literal["watch", "unwatch"]
    ids: list[str] = Field(max_length=MAX_WATCH_IDS)


class Watching(Reply):
    op: Literal["watching"] = "watching"
    count: int


class Resolved(Reply):
    op: Literal["resolved"] = "resolved"
    approval: ResolvedApproval


class WatchError(Reply):
    op: Literal["error"] = "error"
    id: str | None
    code: str


# ---------------------------------------------------------------- events


class Actor(Reply):
    """Who caused an event; `{"id": null, "kind": "system", "via": "system"}` where nobody asked for it."""

    id: str | None
    kind: Kind
    via: Via


class Event(Reply):
    """One entry of the project's ledger."""

    seq: int = Field(description="from 1, gapless in its project, in commit order")
    id: str
    type: str
    subject: str
    version: int = Field(description="counts the subject's events, from 1")
    at: Timestamp
    actor: Actor
    facts: dict[str, Any]
    data: dict[str, Any] | None = Field(description="null where it was erased")


class EventPage(Reply):
    data: list[Event]
    next_after: int = Field(description="ask again with `after` set to this")


class EventList(Reply):
    data: list[Event]


class ListEvents(BaseModel):
    """Where to read the ledger from, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: int = Field(default=0, ge=0, le=MAX_SEQ)
    type: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None, description="glob: `*` any run, `?` one character"
    )
    subject: str | None = None
    limit: int = Field(default=50, ge=1, le=200)


class FollowEvents(BaseModel):
    """What a stream of events begins after, and which of them it is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: int | None = Field(default=None, ge=0, le=MAX_SEQ, description="a `seq`; `Last-Event-ID` comes before it")
    type: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None, description="glob: `*` any run, `?` one character"
    )
    subject: str | None = None


# ---------------------------------------------------------------- administration


class PrincipalRecord(Reply):
    id: str
    name: str
    kind: Kind
    owner: str | None = Field(description="id of the human who answers for it, and who cannot decide its requests")
    role: str
    created_at: Timestamp


class PrincipalList(Reply):
    data: list[PrincipalRecord]
    next_cursor: str | None


class CreatePrincipal(Request):
    name: str = Field(pattern=PRINCIPAL_NAME_PATTERN)
    kind: Literal["human", "service", "agent"]
    owner: str | None = Field(default=None, description="id of a human principal")
    role: Role = "member"


class UserRecord(Reply):
    """A human who may sign in."""

    id: str
    name: str
    role: str
    has_password: bool = Field(description="false until they chose one by their link")
    sessions: int = Field(description="how many of them stand")
    created_at: Timestamp


class UserList(Reply):
    data: list[UserRecord]
    next_cursor: str | None


class AddUser(Request):
    name: str = Field(pattern=PRINCIPAL_NAME_PATTERN, description="of a new human, or of one that is there")
    role: SignInRole


class SignInLink(Reply):
    url: str = Field(description="works once; shown this once and never again")
    expires_at: Timestamp


class AddedUser(SignInLink):
    id: str
    name: str
    role: str


class KeyRecord(Reply):
    id: str
    principal: Principal
    scopes: list[str]
    hint: str = Field(description="how the key begins; the rest was shown once")
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None


class IssuedKey(KeyRecord):
    key: str = Field(description="shown this once and never again")


class KeyList(Reply):
    data: list[KeyRecord]
    next_cursor: str | None


class IssueKey(Request):
    principal: str = Field(description="id of the principal that the key acts for")
    scopes: list[Scope] = Field(min_length=1, max_length=8)
    expires_in: Annotated[int, Field(ge=1, le=10 * 365 * DAY), Whole] | None = Field(
        default=None, description="seconds; null: until revoked"
    )


class Paging(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(default=50, ge=1, le=200)
    cursor: Cursor = None


# ---------------------------------------------------------------- problems


class FieldError(Reply):
    pointer: str = Field(description="JSON pointer into the request body")
    message: str


class Problem(Reply):
    """RFC 9457. Switch on `code`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    current: dict[str, Any] | None = Field(default=None, description="with 409: the state that stands")
    errors: list[FieldError] | None = Field(default=None, description="with 422: what is wrong, and where")


class DecisionResult(Reply):
    """What a request for this one alone would have been answered."""

    id: str
    status: int = Field(description="200, and `body` is the approval; else that of the problem in `body`")
    body: Approval | Problem


class DecisionResults(Reply):
    results: list[DecisionResult] = Field(description="in the order of the request")


class Health(Reply):
    status: Literal["ok"]
