"""The JSON on the wire of workflows, executions, work and policies; the rules of `models` hold here too."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from signoff.protocol.models import (
    MAX_WAIT,
    TRACEPARENT_PATTERN,
    Cursor,
    Event,
    Principal,
    Reason,
    Reply,
    Request,
    Timestamp,
    Verdict,
    Whole,
)

WORKFLOW_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
NODE_ID_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
TOOL_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$"
SIGNAL_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"
REQUEST_PATTERN: Final = r"^[A-Za-z0-9._:-]{1,128}$"
MAX_TOOLS: Final = 500
MAX_LEASED: Final = 100
YAML: Final = "application/yaml"

ExecutionStatus = Literal["running", "parked", "completed", "failed", "cancelled"]
NodeStatus = Annotated[
    str,
    Field(
        examples=[
            "scheduled",
            "running",
            "retrying",
            "awaiting_approval",
            "waiting",
            "outcome_unknown",
            "completed",
            "failed",
            "blocked",
            "cancelled",
            "skipped",
        ]
    ),
]
NodeId = Annotated[str, StringConstraints(pattern=NODE_ID_PATTERN)]
WorkflowId = Annotated[str, StringConstraints(pattern=WORKFLOW_ID_PATTERN)]
ToolName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=TOOL_PATTERN)]
Fence = Annotated[int, Field(ge=1, le=2**53 - 1), Whole]


# ---------------------------------------------------------------- workflows


class Registered(Reply):
    """One workflow of a file, as it is registered; `version` ends in `+` and eight digits for a build."""

    workflow_id: str
    version: str
    digest: str = Field(description="`sha256:` and 64 hex digits of the file")


class RegisteredWorkflows(Reply):
    workflows: list[Registered]


class RegisterWorkflows(BaseModel):
    """What becomes of other content under a version that exists."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_conflict: Literal["refuse", "build"] = Field(
        default="refuse", description="`build`: register it as `VERSION+DIGEST8`, else 409 `version_exists`"
    )


class WorkflowSummary(Reply):
    workflow_id: str
    version: str
    digest: str
    description: str | None
    registered_at: Timestamp
    registered_by: Principal


class Workflow(WorkflowSummary):
    """One version of a workflow, with the file that it was registered with."""

    source: str = Field(description="the YAML, as it was sent")
    input_schema: dict[str, Any] | None
    nodes: list[str] = Field(description="the ids of its nodes, in the order of the file")
    tools: list[str] = Field(description="the names of the tools that it calls")


class WorkflowList(Reply):
    data: list[WorkflowSummary]
    next_cursor: str | None


class ListWorkflows(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow_id: str | None = None
    limit: int = Field(default=50, ge=1, le=200)
    cursor: Cursor = None


class GetWorkflow(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None, description="the one registered last, where it is not given"
    )


# ---------------------------------------------------------------- executions


class StartExecution(Request):
    workflow_id: WorkflowId
    version: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None, description="the one registered last, where it is not given"
    )
    input: dict[str, Any] = Field(default_factory=dict)
    traceparent: Annotated[str, StringConstraints(pattern=TRACEPARENT_PATTERN)] | None = None


class ExecutionFailure(Reply):
    """Why a run failed. A rejection names who and their comment."""

    code: str = Field(
        examples=[
            "approval_rejected",
            "approval_expired",
            "approval_cancelled",
            "approval_lapsed",
            "policy_blocked",
            "tool_failed",
            "lease_lost",
            "expression_failed",
            "input_invalid",
            "no_branch",
            "wait_timeout",
            "max_steps",
            "outcome_failed",
        ]
    )
    node_id: str | None
    message: str
    decided_by: Principal | None = None
    comment: str | None = None


class ExecutionSummary(Reply):
    """A run."""

    id: str
    project: str
    workflow_id: str
    version: str
    status: ExecutionStatus
    initiator: Principal
    started_at: Timestamp
    updated_at: Timestamp
    ended_at: Timestamp | None
    awaits: str | None = Field(description="in words: which nodes wait, and for what; null where none does")
    failure: ExecutionFailure | None


class NodeRun(Reply):
    """The last visit of a node, with its times; `due_at` is of a retry, a timer or a timeout."""

    node_id: str
    type: str = Field(examples=["tool", "human_approval", "condition", "parallel", "wait"])
    tool: str | None
    status: NodeStatus
    visit: int = Field(description="from 1")
    attempt: int = Field(description="how often this visit was handed to a worker")
    execution_key: str = Field(description="what the tool hands to the far side as its idempotency key")
    started_at: Timestamp
    ended_at: Timestamp | None
    due_at: Timestamp | None
    approval_id: str | None
    waiting_for: str | None = Field(description="in words; null where it waits for nothing")
    error: str | None = Field(description="what the last attempt failed with")


class NodeDetail(NodeRun):
    """With what went in and what came out; null where there is none yet."""

    input: Any = None
    output: Any = None


class Execution(ExecutionSummary):
    digest: str
    input: dict[str, Any]
    steps: int = Field(description="nodes visited so far")
    events: int = Field(description="how many events it has so far; what `seen` of a wait is compared with")
    nodes: list[NodeRun] = Field(description="in the order in which they were first visited")
    url: str


class ExecutionList(Reply):
    data: list[ExecutionSummary]
    next_cursor: str | None


class ListExecutions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    status: ExecutionStatus | None = None
    workflow_id: str | None = None
    limit: int = Field(default=50, ge=1, le=200)
    cursor: Cursor = None


class WaitExecution(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    wait: int = Field(default=0, ge=0, le=MAX_WAIT, description="seconds to hold the request while it is `running`")
    seen: int = Field(
        default=0, ge=0, description="with `wait`: hold until it has more than this many events, whatever its status"
    )


class ListRunEvents(BaseModel):
    """Where to read the events of one run from, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: int = Field(default=0, ge=0, le=2**53 - 1, description="`version` of the last event that is known")
    limit: int = Field(default=200, ge=1, le=200, description="how many at most; large ones make a page shorter")


class RunEvents(Reply):
    data: list[Event]
    next_after: int | None = Field(description="ask again with `after` set to this; null at the end")


class ExecutionApproval(Reply):
    """A node's approval: what a reviewer decides on. `arguments` is the input that will run, byte for byte."""

    node_id: str
    tool: str | None
    approval_id: str
    name: str
    status: str
    arguments: dict[str, Any] | None
    context: dict[str, Any]
    summary: str | None
    rule: str | None
    requested_by: Principal
    decided_by: Principal | None
    reason: str | None
    decided_at: Timestamp | None
    created_at: Timestamp
    expires_at: Timestamp
    binding: str


class ExecutionApprovals(Reply):
    pending: list[ExecutionApproval]
    decided: list[ExecutionApproval]


class ApproveExecution(Request):
    """A reviewer's word on a node that is parked."""

    decision: Verdict
    node_id: NodeId | None = Field(default=None, description="may be left out where exactly one is pending")
    comment: Reason | None = Field(default=None, description="a rejection needs one")
    approval_id: str | None = Field(
        default=None, max_length=100, description="pins the visit of the node that is meant"
    )


class ExecutionDecided(Reply):
    execution_id: str
    node_id: str
    approval_id: str
    decision: Verdict


class CancelExecution(Request):
    reason: Reason | None = None


class SignalExecution(Request):
    name: Annotated[str, StringConstraints(pattern=SIGNAL_PATTERN)]
    payload: dict[str, Any] = Field(default_factory=dict)


class ResolveNode(Request):
    """A person's word on a node whose outcome is unknown."""

    outcome: Literal["succeeded", "failed", "retry"] = Field(
        description="`retry`: it runs once more, with the same key"
    )
    output: dict[str, Any] | None = Field(
        default=None, description="with `succeeded`: what the tool would have returned"
    )
    reason: Reason


# ---------------------------------------------------------------- work


class OfferedTool(Request):
    name: ToolName
    idempotent: bool = Field(default=False, description="its effect may be asked for again with the same execution key")


class LeaseWork(Request):
    """A worker asks for items of the tools that it offers; the same `request` gets the same items again."""

    request: Annotated[str, StringConstraints(pattern=REQUEST_PATTERN)]
    tools: list[OfferedTool] = Field(min_length=1, max_length=MAX_TOOLS)
    worker: Annotated[str, StringConstraints(pattern=REQUEST_PATTERN)] | None = Field(
        default=None, description="names this process; whoever takes its place may end its leases"
    )
    max: Annotated[int, Field(ge=1, le=MAX_LEASED), Whole] = 1
    wait: Annotated[int, Field(ge=0, le=MAX_WAIT), Whole] = Field(
        default=0, description="seconds to hold the request while there is nothing"
    )


class WorkItem(Reply):
    """One attempt at a node. What stands in `input` is what was approved, where the node is gated."""

    id: str
    execution_id: str
    workflow_id: str
    node_id: str
    tool: str
    visit: int
    attempt: int
    fence: int
    execution_key: str
    input: dict[str, Any]
    approval_id: str | None
    lease_until: Timestamp
    deadline: Timestamp | None = Field(description="when the attempt must be over; null: no end")
    max_attempts: int
    traceparent: str | None = None


class LeasedWork(Reply):
    items: list[WorkItem]


class HeartbeatWork(Request):
    fence: Fence


class HeartbeatReply(Reply):
    """`cancelled`: the run is over; whoever can stop the work, stops it, and reports what came of it."""

    lease_until: Timestamp
    cancelled: bool


class CompleteWork(Request):
    fence: Fence
    output: Any = None


class FailWork(Request):
    """`failed`: it was tried and did not happen. `unknown`: nobody can tell whether it happened."""

    fence: Fence
    outcome: Literal["failed", "unknown"]
    message: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    retryable: bool = Field(default=True, description="false: no further attempt, whatever `retry` says")


class Settled(Reply):
    """What the node's visit became by the report."""

    id: str
    status: NodeStatus


# ---------------------------------------------------------------- policies


PolicyPattern = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class PolicyRule(Reply):
    match: str


class PolicyDocument(Reply):
    """A project's policy. Rules are shown as objects, which will grow."""

    blocked_tools: list[PolicyRule]
    require_approval_for: list[PolicyRule]
    allow: list[PolicyRule]
    default: str | None = Field(examples=["allow", "require_approval", "block"])
    changed_at: Timestamp | None
    changed_by: Principal | None


class JudgeName(Request):
    """What would happen to a name."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    workflow: str | None = Field(default=None, description="the YAML of a workflow whose policy counts too")
    node_id: NodeId | None = Field(default=None, description="a node of it whose policy counts too")


class SpokenRule(Reply):
    scope: str = Field(examples=["project", "workflow", "node"])
    section: str = Field(examples=["blocked_tools", "require_approval_for", "allow", "default"])
    pattern: str | None


class PolicyVerdict(Reply):
    """`rule` is the one that speaks; `matched` are all that name it."""

    verdict: Literal["allow", "require_approval", "block"]
    rule: SpokenRule | None
    matched: list[SpokenRule]
