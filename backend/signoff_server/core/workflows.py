"""Registered versions of workflows, and the project's policy.

Rules of the room: a version is registered once and never changes. A policy is replaced as a whole; runs keep the one
that they began with, by the number of its event.
"""

from dataclasses import dataclass
from typing import Any

from signoff_server.core.events import Actor, Event, Payload, Recorded
from signoff_server.core.policies import NO_POLICY, Policy


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """`seq` is the event whose payload holds the file."""

    id: str
    workflow_id: str
    version: str
    digest: str
    by: Actor
    at: int
    seq: int


@dataclass(frozen=True, slots=True)
class ProjectPolicy:
    id: str
    policy: Policy
    by: Actor
    at: int
    seq: int


def register(workflow_id: str, version: str, digest: str, payload: Payload) -> Event:
    return Event("workflow.registered", {"workflow_id": workflow_id, "version": version, "digest": digest}, payload)


def change(policy: Policy) -> Event:
    return Event("policy.changed", as_facts(policy), {})


def as_facts(policy: Policy) -> dict[str, Any]:
    return {
        "blocked_tools": list(policy.blocked_tools),
        "require_approval_for": list(policy.require_approval_for),
        "allow": list(policy.allow),
        "default": policy.default,
    }


def policy_of(state: object) -> Policy:
    """The project's policy in this state of it."""
    return state.policy if isinstance(state, ProjectPolicy) else NO_POLICY


def from_facts(facts: Any) -> Policy:
    """The policy that an event set."""
    return Policy(
        blocked_tools=tuple(facts["blocked_tools"]),
        require_approval_for=tuple(facts["require_approval_for"]),
        allow=tuple(facts["allow"]),
        default=facts["default"],
    )


def evolve(state: WorkflowVersion | None, event: Recorded) -> WorkflowVersion:
    if state is None and event.type == "workflow.registered":
        facts = event.facts
        return WorkflowVersion(
            event.subject, facts["workflow_id"], facts["version"], facts["digest"], event.actor, event.at, event.seq
        )
    raise ValueError(f"{event.type} does not follow")


def evolve_policy(state: ProjectPolicy | None, event: Recorded) -> ProjectPolicy:
    if event.type == "policy.changed":
        return ProjectPolicy(event.subject, from_facts(event.facts), event.actor, event.at, event.seq)
    raise ValueError(f"{event.type} does not follow")
