"""Who acts in a project, and the keys they act by.

Rules of the room: a key belongs to one principal; no key both asks and decides; `admin` needs a principal of that role;
only a human owns another principal, and only a human signs in. A revoked key stays revoked.
"""

from dataclasses import dataclass, replace
from typing import Final

from signoff_server.core.approval_state import Approval
from signoff_server.core.events import Actor, Event, Payload, Recorded, from_text, to_text
from signoff_server.core.refusals import Refusal

ASKING: Final = frozenset({"approvals:create", "executions:write"})
DECIDING: Final = "approvals:decide"


@dataclass(frozen=True, slots=True)
class Principal:
    id: str
    kind: str
    owner: str | None
    role: str
    created_at: int
    created_seq: int
    signs_in: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    principal: str
    environment: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None
    issued_seq: int
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands behind a request: the principal of the key, what the key allows, and until when (None: no end)."""

    project: str
    id: str
    name: str
    kind: str
    owner: str | None
    scopes: frozenset[str]
    key: str
    via: str = "api"
    expires_at: int | None = None

    @property
    def actor(self) -> Actor:
        return Actor(self.id, self.kind, self.via)

    def has(self, *scopes: str) -> bool:
        """Whether the key holds at least one of these."""
        return not self.scopes.isdisjoint(scopes)

    def sees(self, approval: Approval) -> bool:
        """Whether this approval exists for the caller: their own, or any for those who decide, redeem or administer."""
        if self.has(DECIDING, "approvals:redeem", "audit:read", "admin"):
            return True
        return self.has("approvals:create") and approval.requested_by.id == self.id

    def may_execute(self, approval: Approval) -> bool:
        """Whether the caller may redeem it and report on it."""
        if self.has("approvals:redeem"):
            return True
        return self.has("approvals:create") and approval.requested_by.id == self.id

    def may_resolve(self) -> bool:
        return self.has("admin") or (self.kind == "human" and self.has(DECIDING))


@dataclass(frozen=True, slots=True)
class Create:
    """`owner_kind` is the kind of the owner that was named, None where there is no such principal."""

    actor: Actor
    payload: Payload
    kind: str
    role: str
    owner: str | None
    owner_kind: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """The role that a human has from now on, and whether they may sign in."""

    actor: Actor
    payload: Payload
    role: str
    signs_in: bool


@dataclass(frozen=True, slots=True)
class Issue:
    actor: Actor
    payload: Payload
    holder: Principal | None
    environment: str
    scopes: tuple[str, ...]
    expires_in: int | None


@dataclass(frozen=True, slots=True)
class Revoke:
    actor: Actor
    payload: Payload


def create(command: Create) -> list[Event]:
    """A new principal. Raises `Refusal`."""
    if command.owner is not None and command.owner_kind != "human":
        raise Refusal(
            "invalid", "The owner is a human principal.", errors=[("/owner", "no human principal has this id")]
        )
    facts = {"kind": command.kind, "role": command.role, "owner": command.owner}
    return [Event("principal.created", facts, command.payload)]


def change(kind: str, command: Change) -> list[Event]:
    """Another role, or the right to sign in, for a principal of this kind. Raises `Refusal`."""
    if kind != "human":
        raise Refusal("invalid", "Only a human signs in.", errors=[("/name", f"this principal is of kind {kind}")])
    return [Event("principal.changed", {"role": command.role, "signs_in": command.signs_in}, command.payload)]


def issue(command: Issue, now: int) -> list[Event]:
    """A new key. Raises `Refusal`."""
    holder, scopes = command.holder, set(command.scopes)
    if holder is None:
        raise Refusal("invalid", "A key needs a principal.", errors=[("/principal", "there is no such principal")])
    if DECIDING in scopes and scopes & ASKING:
        raise Refusal("forbidden", "No key both asks and decides: give approvals:decide to a key of its own.")
    if "admin" in scopes and holder.role != "admin":
        raise Refusal("forbidden", "The scope admin needs a principal with the role admin.")
    facts = {
        "principal": holder.id,
        "environment": command.environment,
        "scopes": sorted(scopes),
        "expires_at": None if command.expires_in is None else to_text(now + command.expires_in),
    }
    return [Event("key.issued", facts, command.payload)]


def revoke(state: Key | None, command: Revoke) -> list[Event]:
    """The end of a key; once ended it stays so. Raises `Refusal`."""
    if state is None:
        raise Refusal("not_found", "There is no such key.")
    return [] if state.revoked_at is not None else [Event("key.revoked", {}, command.payload)]


def stands(*, expires_at: int | None, revoked_at: int | None, now: int) -> bool:
    """Whether a key may be used at `now`."""
    return revoked_at is None and (expires_at is None or now < expires_at)


def evolve_principal(state: Principal | None, event: Recorded) -> Principal:
    if state is None and event.type == "principal.created":
        facts = event.facts
        return Principal(event.subject, facts["kind"], facts["owner"], facts["role"], event.at, event.seq)
    if state is not None and event.type == "principal.changed":
        return replace(state, role=event.facts["role"], signs_in=event.facts["signs_in"])
    raise ValueError(f"{event.type} does not follow")


def evolve_key(state: Key | None, event: Recorded) -> Key:
    if state is None and event.type == "key.issued":
        facts = event.facts
        expires_at = facts["expires_at"]
        return Key(
            id=event.subject,
            principal=facts["principal"],
            environment=facts["environment"],
            scopes=tuple(facts["scopes"]),
            created_at=event.at,
            expires_at=None if expires_at is None else from_text(expires_at),
            issued_seq=event.seq,
        )
    if state is not None and event.type == "key.revoked":
        return replace(state, revoked_at=event.at)
    raise ValueError(f"{event.type} does not follow")
