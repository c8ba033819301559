"""Who signs in, as rows: accounts, sessions, links, failed tries. They are no events, and `rebuild` leaves them alone.

Of a password only its Argon2id hash is kept, of every other secret only a SHA-256. A session or a link counts only as
long as its principal has an account.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, func, insert, or_, select, update

from signoff_server.core.sign_in import IDLE, WINDOW, Tries
from signoff_server.store.statements import Statement
from signoff_server.store.tables import ACCOUNTS, PRINCIPALS, SESSIONS, SIGN_IN_FAILURES, SIGN_IN_LINKS

# How many rows that count no more are removed beside a sign-in.
_SWEPT: Final = 100

_WHO = PRINCIPALS.join(ACCOUNTS, PRINCIPALS.c.id == ACCOUNTS.c.principal)
# Every page asks for it.
_SESSION = Statement(
    select(
        SESSIONS.c.id,
        SESSIONS.c.project,
        SESSIONS.c.principal,
        PRINCIPALS.c.name,
        PRINCIPALS.c.kind,
        PRINCIPALS.c.owner,
        PRINCIPALS.c.role,
        SESSIONS.c.seen_at,
        SESSIONS.c.ends_at,
    )
    .select_from(_WHO.join(SESSIONS, SESSIONS.c.principal == ACCOUNTS.c.principal))
    .where(SESSIONS.c.digest == bindparam("secret"))
)
_ACCOUNT = select(
    ACCOUNTS.c.principal, PRINCIPALS.c.name, PRINCIPALS.c.kind, PRINCIPALS.c.role, ACCOUNTS.c.password
).select_from(_WHO)
_LINK = select(SIGN_IN_LINKS, PRINCIPALS.c.name).select_from(
    _WHO.join(SIGN_IN_LINKS, SIGN_IN_LINKS.c.principal == ACCOUNTS.c.principal)
)


@dataclass(frozen=True, slots=True)
class AccountView:
    """`password` is its hash, None where none was chosen yet."""

    principal: str
    name: str
    kind: str
    role: str
    password: str | None


@dataclass(frozen=True, slots=True)
class SessionView:
    id: str
    project: str
    principal: str
    name: str
    kind: str
    owner: str | None
    role: str
    seen_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link that was not used: `name` is of the principal that it is for."""

    purpose: str
    project: str
    principal: str
    name: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class UserView:
    """A human who may sign in; `sessions` counts those that stand."""

    id: str
    seq: int
    name: str
    role: str
    has_password: bool
    sessions: int
    created_at: int


# ---------------------------------------------------------------- accounts


def account(connection: Connection, project: str, principal: str) -> AccountView | None:
    return _account(connection, project, ACCOUNTS.c.principal == principal)


def account_named(connection: Connection, project: str, name: str) -> AccountView | None:
    """The account of whoever has this name, whatever its case."""
    return _account(connection, project, PRINCIPALS.c.folded == name.casefold())


def admins(connection: Connection, project: str) -> list[str]:
    """The principals of role admin that may sign in."""
    statement = select(ACCOUNTS.c.principal).select_from(_WHO)
    statement = statement.where(ACCOUNTS.c.project == project, PRINCIPALS.c.role == "admin")
    return [principal for (principal,) in connection.execute(statement)]


def open_account(connection: Connection, project: str, principal: str, now: int) -> None:
    row = {"principal": principal, "project": project, "password": None, "created_at": now, "password_at": None}
    connection.execute(insert(ACCOUNTS), row)


def close_account(connection: Connection, principal: str) -> None:
    """The end of the account, with all that opened it."""
    drop_links(connection, principal)
    drop_sessions(connection, principal)
    connection.execute(delete(ACCOUNTS).where(ACCOUNTS.c.principal == principal))


def set_password(connection: Connection, principal: str, password: str, now: int) -> None:
    """`password` is a hash."""
    changed = update(ACCOUNTS).where(ACCOUNTS.c.principal == principal)
    connection.execute(changed.values(password=password, password_at=now))


def user(connection: Connection, project: str, principal: str, now: int) -> UserView | None:
    row = connection.execute(_users(project, now).where(ACCOUNTS.c.principal == principal)).first()
    return None if row is None else _user(row)


def list_users(
    connection: Connection, project: str, limit: int, before: int | None, now: int
) -> tuple[list[UserView], int | None]:
    """Newest first, and where the next page begins."""
    statement = _users(project, now)
    if before is not None:
        statement = statement.where(PRINCIPALS.c.seq < before)
    rows = connection.execute(statement.order_by(PRINCIPALS.c.seq.desc()).limit(limit + 1)).all()
    return [_user(row) for row in rows[:limit]], rows[limit - 1].seq if len(rows) > limit else None


# ---------------------------------------------------------------- sessions


def add_session(connection: Connection, row: Mapping[str, Any]) -> None:
    connection.execute(insert(SESSIONS), dict(row))


def session(connection: Connection, digest: str) -> SessionView | None:
    row = _SESSION.first(connection, secret=digest)
    return None if row is None else SessionView(*row)


def seen(connection: Connection, digest: str, now: int) -> None:
    connection.execute(update(SESSIONS).where(SESSIONS.c.digest == digest).values(seen_at=now))


def drop_session(connection: Connection, digest: str) -> None:
    connection.execute(delete(SESSIONS).where(SESSIONS.c.digest == digest))


def drop_sessions(connection: Connection, principal: str) -> None:
    connection.execute(delete(SESSIONS).where(SESSIONS.c.principal == principal))


# ---------------------------------------------------------------- links


def add_link(connection: Connection, row: Mapping[str, Any]) -> None:
    connection.execute(insert(SIGN_IN_LINKS), dict(row))


def link(connection: Connection, digest: str, now: int) -> LinkView | None:
    """The link that stands, without using it up."""
    standing = (SIGN_IN_LINKS.c.digest == digest, SIGN_IN_LINKS.c.expires_at > now)
    row = connection.execute(_LINK.where(*standing)).first()
    return None if row is None else LinkView(row.purpose, row.project, row.principal, row.name, row.expires_at)


def use_link(connection: Connection, digest: str) -> bool:
    """Use a link up; False where another was faster."""
    return connection.execute(delete(SIGN_IN_LINKS).where(SIGN_IN_LINKS.c.digest == digest)).rowcount == 1


def drop_links(connection: Connection, principal: str, purpose: str | None = None) -> None:
    """End the links of a principal: all, or those of one purpose."""
    statement = delete(SIGN_IN_LINKS).where(SIGN_IN_LINKS.c.principal == principal)
    connection.execute(statement if purpose is None else statement.where(SIGN_IN_LINKS.c.purpose == purpose))


# ---------------------------------------------------------------- failed tries


def tries(connection: Connection, keys: Iterable[str]) -> dict[str, Tries]:
    rows = connection.execute(select(SIGN_IN_FAILURES).where(SIGN_IN_FAILURES.c.key.in_(list(keys))))
    return {row.key: Tries(row.failures, row.since) for row in rows}


def keep_tries(connection: Connection, project: str, counted: Mapping[str, Tries | None]) -> None:
    """Write these counts down; None is no try at all. The caller has locked the project."""
    connection.execute(delete(SIGN_IN_FAILURES).where(SIGN_IN_FAILURES.c.key.in_(list(counted))))
    for key, each in counted.items():
        if each is not None:
            row = {"key": key, "project": project, "failures": each.count, "since": each.since}
            connection.execute(insert(SIGN_IN_FAILURES), row)


def sweep(connection: Connection, project: str, now: int) -> None:
    """Remove some of what counts no more. The caller has locked the project."""
    _sweep(connection, SESSIONS, project, or_(SESSIONS.c.ends_at <= now, SESSIONS.c.seen_at <= now - IDLE))
    _sweep(connection, SIGN_IN_LINKS, project, SIGN_IN_LINKS.c.expires_at <= now)
    _sweep(connection, SIGN_IN_FAILURES, project, SIGN_IN_FAILURES.c.since <= now - WINDOW)


def _sweep(connection: Connection, rows: Table, project: str, over: ColumnElement[bool]) -> None:
    (key,) = rows.primary_key.columns
    some = select(key).where(rows.c.project == project, over).limit(_SWEPT)
    connection.execute(delete(rows).where(key.in_(some)))


def _account(connection: Connection, project: str, which: ColumnElement[bool]) -> AccountView | None:
    row = connection.execute(_ACCOUNT.where(ACCOUNTS.c.project == project, which)).first()
    return None if row is None else AccountView(*row)


def _users(project: str, now: int) -> Any:
    standing = (
        select(func.count())
        .select_from(SESSIONS)
        .where(SESSIONS.c.principal == ACCOUNTS.c.principal, SESSIONS.c.ends_at > now, SESSIONS.c.seen_at > now - IDLE)
        .scalar_subquery()
    )
    return (
        select(
            PRINCIPALS.c.id,
            PRINCIPALS.c.seq,
            PRINCIPALS.c.name,
            PRINCIPALS.c.role,
            ACCOUNTS.c.password.is_not(None).label("has_password"),
            standing.label("sessions"),
            PRINCIPALS.c.created_at,
        )
        .select_from(_WHO)
        .where(ACCOUNTS.c.project == project)
    )


def _user(row: Any) -> UserView:
    return UserView(row.id, row.seq, row.name, row.role, bool(row.has_password), row.sessions, row.created_at)
