"""Who may ask and decide in the key's project: principals and their keys. For keys with the scope `admin`."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Literal

from signoff import calls
from signoff.async_session import AsyncSession
from signoff.protocol import models
from signoff.sync_session import SyncSession

PrincipalKind = Literal["human", "service", "agent"]


class Principals:
    """Those who ask and decide."""

    def __init__(self, session: SyncSession) -> None:
        self._session = session

    def list(self, *, limit: int = 50) -> Iterator[models.PrincipalRecord]:
        """Every principal, newest first, through all pages of `limit`."""
        cursor: str | None = None
        while True:
            page = self._session.call(calls.list_principals(limit, cursor))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def create(
        self, name: str, kind: PrincipalKind, *, owner: str | None = None, role: models.Role | None = None
    ) -> models.PrincipalRecord:
        """`owner` is the id of the human who answers for it. Raises `APIError` with `name_taken`."""
        return self._session.call(calls.create_principal(name=name, kind=kind, owner=owner, role=role))


class Keys:
    """API keys. A key's text is shown once, when it is issued."""

    def __init__(self, session: SyncSession) -> None:
        self._session = session

    def list(self, *, limit: int = 50) -> Iterator[models.KeyRecord]:
        """Every key, newest first, through all pages of `limit`."""
        cursor: str | None = None
        while True:
            page = self._session.call(calls.list_keys(limit, cursor))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def issue(
        self, principal: str, scopes: Sequence[models.Scope], *, expires_in: int | None = None
    ) -> models.IssuedKey:
        """A key for the principal of that id; `expires_in` is in seconds, None until revoked."""
        return self._session.call(calls.issue_key(principal=principal, scopes=[*scopes], expires_in=expires_in))

    def revoke(self, key_id: str) -> None:
        """From now on the key opens nothing."""
        self._session.call(calls.revoke_key(key_id))


class AsyncPrincipals:
    """As `Principals`, for an event loop."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def list(self, *, limit: int = 50) -> AsyncIterator[models.PrincipalRecord]:
        cursor: str | None = None
        while True:
            page = await self._session.call(calls.list_principals(limit, cursor))
            for each in page.data:
                yield each
            cursor = page.next_cursor
            if cursor is None:
                return

    async def create(
        self, name: str, kind: PrincipalKind, *, owner: str | None = None, role: models.Role | None = None
    ) -> models.PrincipalRecord:
        return await self._session.call(calls.create_principal(name=name, kind=kind, owner=owner, role=role))


class AsyncKeys:
    """As `Keys`, for an event loop."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def list(self, *, limit: int = 50) -> AsyncIterator[models.KeyRecord]:
        cursor: str | None = None
        while True:
            page = await self._session.call(calls.list_keys(limit, cursor))
            for each in page.data:
                yield each
            cursor = page.next_cursor
            if cursor is None:
                return

    async def issue(
        self, principal: str, scopes: Sequence[models.Scope], *, expires_in: int | None = None
    ) -> models.IssuedKey:
        return await self._session.call(calls.issue_key(principal=principal, scopes=[*scopes], expires_in=expires_in))

    async def revoke(self, key_id: str) -> None:
        await self._session.call(calls.revoke_key(key_id))
