"""Principals and keys as rows: to know a caller by their key, and to list."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from signoff_server.core.principals import Key, Principal
from signoff_server.store.ledger import Change
from signoff_server.store.statements import Lookup, Statement
from signoff_server.store.tables import KEYS, PRINCIPALS

_NEW_PRINCIPAL = Statement(insert(PRINCIPALS))
_WAITING = Lookup(select(PRINCIPALS.c.id, PRINCIPALS.c.pending), PRINCIPALS.c.id)
_WAITS = Statement(
    update(PRINCIPALS)
    .where(PRINCIPALS.c.id == bindparam("of"))
    .values(pending=PRINCIPALS.c.pending + bindparam("more"))
)
_CHANGED = Statement(update(PRINCIPALS).where(PRINCIPALS.c.id == bindparam("of")).values(role=bindparam("is_now")))
_NEW_KEY = Statement(insert(KEYS))
_REVOKED = Statement(update(KEYS).where(KEYS.c.id == bindparam("of")).values(revoked_at=bindparam("at")))
_NAMES = Lookup(select(PRINCIPALS.c.id, PRINCIPALS.c.name), PRINCIPALS.c.id)
_BY_NAME = select(PRINCIPALS).where(
    PRINCIPALS.c.project == bindparam("project"), PRINCIPALS.c.folded.in_(bindparam("folded", expanding=True))
)
_BY_ID = select(PRINCIPALS).where(PRINCIPALS.c.project == bindparam("project"), PRINCIPALS.c.id == bindparam("id"))
_KEY = (
    select(KEYS, PRINCIPALS.c.name, PRINCIPALS.c.kind, PRINCIPALS.c.owner, PRINCIPALS.c.role)
    .join(PRINCIPALS, PRINCIPALS.c.id == KEYS.c.principal)
    .where(KEYS.c.id == bindparam("key"))
)


@dataclass(frozen=True, slots=True)
class PrincipalView:
    id: str
    seq: int
    name: str
    kind: str
    owner: str | None
    role: str
    created_at: int


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key with the principal it acts for; `digest` is the hex SHA-256 of the key, `scopes` are as it was issued."""

    id: str
    seq: int
    project: str
    principal: str
    name: str
    kind: str
    owner: str | None
    role: str
    environment: str
    digest: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None
    revoked_at: int | None

    @property
    def held(self) -> frozenset[str]:
        """What it opens: whoever is an admin no more administers nothing, whatever key they kept."""
        return frozenset(self.scopes) if self.role == "admin" else frozenset(self.scopes) - {"admin"}


def project(connection: Connection, project_id: str, changes: Sequence[Change]) -> None:
    """Bring the rows up to `changes`."""
    for change in changes:
        state, at = change.state, change.payload.index
        if isinstance(state, Principal) and change.event.version > 1:
            _CHANGED.run(connection, [{"of": state.id, "is_now": state.role}])
        elif isinstance(state, Principal):
            _NEW_PRINCIPAL.run(connection, [_principal_row(project_id, state, at.name)])
        elif isinstance(state, Key) and change.event.version == 1:
            _NEW_KEY.run(connection, [_key_row(project_id, state, at.digest)])
        elif isinstance(state, Key):
            _REVOKED.run(connection, [{"of": state.id, "at": state.revoked_at}])


def waiting(connection: Connection, ids: Iterable[str]) -> dict[str, int]:
    """How many approvals each of these waits for."""
    return dict(_WAITING.rows(connection, ids))


def wait_for(connection: Connection, more: Mapping[str, int]) -> None:
    """Each of these waits for so many more approvals, or fewer."""
    _WAITS.run(connection, [{"of": principal, "more": count} for principal, count in more.items() if count])


def names(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    return dict(_NAMES.rows(connection, ids))


def by_names(connection: Connection, project_id: str, wanted: Iterable[str]) -> dict[str, PrincipalView]:
    """The principals that have these names, whatever the case, by case-folded name."""
    folded = [name.casefold() for name in wanted]
    if not folded:
        return {}
    rows = connection.execute(_BY_NAME, {"project": project_id, "folded": folded})
    return {row.folded: _principal(row) for row in rows}


def by_id(connection: Connection, project_id: str, principal: str) -> PrincipalView | None:
    row = connection.execute(_BY_ID, {"project": project_id, "id": principal}).first()
    return None if row is None else _principal(row)


def key(connection: Connection, key_id: str) -> KeyView | None:
    """A key of any project: this is where a request learns which project it is in."""
    row = connection.execute(_KEY, {"key": key_id}).first()
    return None if row is None else _key(row)


def list_principals(
    connection: Connection, project_id: str, limit: int, before: int | None
) -> tuple[list[PrincipalView], int | None]:
    """Newest first, and where the next page begins."""
    statement = select(PRINCIPALS).where(PRINCIPALS.c.project == project_id)
    if before is not None:
        statement = statement.where(PRINCIPALS.c.seq < before)
    rows = connection.execute(statement.order_by(PRINCIPALS.c.seq.desc()).limit(limit + 1)).all()
    return [_principal(row) for row in rows[:limit]], rows[limit - 1].seq if len(rows) > limit else None


def list_keys(
    connection: Connection, project_id: str, limit: int, before: int | None
) -> tuple[list[KeyView], int | None]:
    """Newest first, and where the next page begins; revoked ones too."""
    statement = select(KEYS, PRINCIPALS.c.name, PRINCIPALS.c.kind, PRINCIPALS.c.owner, PRINCIPALS.c.role).join(
        PRINCIPALS, PRINCIPALS.c.id == KEYS.c.principal
    )
    statement = statement.where(KEYS.c.project == project_id)
    if before is not None:
        statement = statement.where(KEYS.c.seq < before)
    rows = connection.execute(statement.order_by(KEYS.c.seq.desc()).limit(limit + 1)).all()
    return [_key(row) for row in rows[:limit]], rows[limit - 1].seq if len(rows) > limit else None


def _principal_row(project_id: str, state: Principal, name: str) -> dict[str, Any]:
    return {
        "id": state.id,
        "project": project_id,
        "seq": state.created_seq,
        "name": name,
        "folded": name.casefold(),
        "kind": state.kind,
        "owner": state.owner,
        "role": state.role,
        "created_at": state.created_at,
        "pending": 0,
    }


def _key_row(project_id: str, state: Key, digest: str) -> dict[str, Any]:
    return {
        "id": state.id,
        "project": project_id,
        "seq": state.issued_seq,
        "principal": state.principal,
        "environment": state.environment,
        "digest": digest,
        "scopes": json.dumps(state.scopes),
        "created_at": state.created_at,
        "expires_at": state.expires_at,
        "revoked_at": state.revoked_at,
    }


def _principal(row: Any) -> PrincipalView:
    return PrincipalView(row.id, row.seq, row.name, row.kind, row.owner, row.role, row.created_at)


def _key(row: Any) -> KeyView:
    return KeyView(
        id=row.id,
        seq=row.seq,
        project=row.project,
        principal=row.principal,
        name=row.name,
        kind=row.kind,
        owner=row.owner,
        role=row.role,
        environment=row.environment,
        digest=row.digest,
        scopes=tuple(json.loads(row.scopes)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
