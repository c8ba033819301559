"""Idempotency keys of commands: a digest of whose and for what, and a fingerprint of what was asked."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from signoff.protocol import canonical
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.store.ledger import Taken


@dataclass(frozen=True, slots=True)
class Once:
    """`recorded` is what a payload keeps of it, for `rebuild` to find."""

    key: bytes
    fingerprint: bytes
    recorded: dict[str, Any]

    def check(self, taken: Taken) -> None:
        """Raise `Refusal` where the key stands for another request."""
        if taken.fingerprint != self.fingerprint:
            raise Refusal("idempotency_key_reuse", "This key belongs to another request; take a new one.")


def once(caller: Caller, what: str, subject: str, key: str | None, request: Sequence[Any]) -> Once | None:
    """A key is scoped to the principal, to what is done, and to what it is done to; None without one."""
    if key is None:
        return None
    return once_for(key, digest(what, caller.project, caller.id, subject, key), digest(*request))


def once_for(key: str, made: bytes, fingerprint: bytes) -> Once:
    """Where digest and fingerprint are at hand."""
    return Once(
        made, fingerprint, {"idempotency": {"key": key, "digest": made.hex(), "fingerprint": fingerprint.hex()}}
    )


def digest(*parts: Any) -> bytes:
    return hashlib.sha256(canonical.canonical(list(parts))).digest()
