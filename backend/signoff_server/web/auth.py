"""From an API key to a caller. Project and principal come from the key and from nowhere else."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers

from signoff_server.core import keys
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.service.principals import Principals, stands
from signoff_server.store.principals import KeyView
from signoff_server.world import World

# A revoked key stops within a second. Where no other process writes, its revocation is seen by this one; else what is
# known of a key is asked anew this often.
_HEARD_MS: Final = 3_600_000
_TRUSTED_MS: Final = 500
_MOST_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    view: KeyView
    asked_at: int


class Authenticator:
    """Knows callers by their keys, and keeps what it knows until the key is `touched`, or for a while.

    `alone` says that no other process can revoke one.
    """

    def __init__(self, principals: Principals, world: World, *, alone: bool) -> None:
        self._principals = principals
        self._world = world
        self._trusted = _HEARD_MS if alone else _TRUSTED_MS
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._touched = 0

    def touched(self, subjects: Iterable[str]) -> None:
        """Something was recorded of these subjects; what is known of keys among them, or of theirs, is forgotten."""
        among = {subject for subject in subjects if subject.startswith(("key_", "prn_"))}
        if among:
            self._touched += 1
            known = [(digest, each.view) for digest, each in self._known.items()]
            for digest in [digest for digest, view in known if view.id in among or view.principal in among]:
                del self._known[digest]

    async def caller(self, headers: Headers) -> Caller:
        """The caller behind `Authorization: Bearer …`. Raises `Refusal`."""
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise Refusal("unauthenticated", "Send the header Authorization: Bearer <api key>.")
        view = await self._view(text.strip())
        if view is None:
            raise Refusal("unauthenticated", "This API key is unknown, expired or revoked.")
        via = "cli" if headers.get("signoff-client") == "cli" else "api"
        return Caller(
            project=view.project,
            id=view.principal,
            name=view.name,
            kind=view.kind,
            owner=view.owner,
            scopes=view.held,
            key=view.id,
            via=via,
            expires_at=view.expires_at,
        )

    async def _view(self, text: str) -> KeyView | None:
        digest, now = keys.digest(text), self._world.now()
        known = self._known.get(digest)
        if known is not None and 0 <= now - known.asked_at < self._trusted:
            return known.view if stands(known.view, text, now) else None
        before = self._touched
        view = await self._principals.holder(text)
        if view is None:
            self._known.pop(digest, None)
        elif before == self._touched:
            # What was read while a key was touched may be older than that.
            self._known[digest] = _Known(view, now)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return view
