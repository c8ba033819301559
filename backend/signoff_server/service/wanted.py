"""What a requester asks for: its size, the people that it names, and how two requests differ."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from signoff.protocol import canonical
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.store import principals
from signoff_server.store.principals import PrincipalView

MAX_CONTEXT_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a requester asks for. `expires_in` is in seconds."""

    name: str
    context: dict[str, Any]
    arguments: dict[str, Any] | None
    summary: str | None
    expires_in: int
    reviewers: tuple[str, ...]
    metadata: dict[str, str]
    on_behalf_of: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Named:
    """The principals that a request names: reviewers, and whom it is made for."""

    reviewers: tuple[str, ...]
    on_behalf_of: str | None


@dataclass(frozen=True, slots=True)
class Bytes:
    """The canonical form of context and arguments, made once: their size, the binding and the fingerprint need it."""

    context: bytes
    arguments: bytes

    def binding(self, project: str, name: str, nonce: str) -> str:
        return canonical.binding_of(
            project=project, name=name, context=self.context, arguments=self.arguments, nonce=nonce
        )

    def fingerprint(self, wanted: Wanted) -> bytes:
        """A digest of the list of name, context, arguments and reviewers: what a key stands for."""
        name, reviewers = canonical.canonical(wanted.name), canonical.canonical(list(wanted.reviewers))
        return hashlib.sha256(b"[" + b",".join((name, self.context, self.arguments, reviewers)) + b"]").digest()


def as_bytes(wanted: Wanted) -> Bytes:
    """Raises `Refusal` where they are too large."""
    made = Bytes(canonical.canonical(wanted.context), canonical.canonical(wanted.arguments))
    for member, size in (("context", len(made.context)), ("arguments", len(made.arguments))):
        if size > MAX_CONTEXT_BYTES:
            message = f"more than {MAX_CONTEXT_BYTES // 1024} KiB; keep the bulk elsewhere and bind its digest"
            raise Refusal("invalid", f"{member} is too large.", errors=[(f"/{member}", message)])
    return made


def named(connection: Connection, caller: Caller, wanted: Wanted) -> Named:
    """Find the principals that a request names. Principals never change, so this needs no lock."""
    behalf = (wanted.on_behalf_of or "").removeprefix("user:")
    names = [reviewer.removeprefix("user:") for reviewer in wanted.reviewers]
    found = principals.by_names(connection, caller.project, [*names, behalf])
    subject = found.get(behalf.casefold()) or principals.by_id(connection, caller.project, behalf)
    excluded = {caller.id, caller.owner, subject.id if subject else None}
    reviewers = tuple(_reviewer(at, reviewer, found, excluded).id for at, reviewer in enumerate(wanted.reviewers))
    return Named(tuple(dict.fromkeys(reviewers)), subject.id if subject else None)


def _reviewer(at: int, reviewer: str, found: dict[str, PrincipalView], excluded: set[str | None]) -> PrincipalView:
    principal = found.get(reviewer.removeprefix("user:").casefold()) if reviewer.startswith("user:") else None
    if principal is None:
        message = "no such principal; name one as user:NAME"
    elif principal.kind != "human":
        message = f"is of kind {principal.kind}, and this asks for a human"
    elif principal.id in excluded:
        message = "asked for this, answers for who asked, or is who it is asked for"
    else:
        return principal
    raise Refusal(
        "no_eligible_reviewer", "A named reviewer could not decide this.", errors=[(f"/reviewers/{at}", message)]
    )


def request_data(wanted: Wanted, nonce: str) -> dict[str, Any]:
    return {
        "context": wanted.context,
        "arguments": wanted.arguments,
        "nonce": nonce,
        "summary": wanted.summary,
        "metadata": wanted.metadata,
        "reviewers": list(wanted.reviewers),
        "on_behalf_of": wanted.on_behalf_of,
        "traceparent": wanted.traceparent,
    }


def differences(first: Any, second: Any, pointer: str, into: list[str]) -> None:
    """Collect the JSON pointers at which two values part."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() | second.keys()):
            if key in first and key in second:
                differences(first[key], second[key], canonical.pointer_to(pointer, key), into)
            else:
                into.append(canonical.pointer_to(pointer, key))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for at, (left, right) in enumerate(zip(first, second, strict=True)):
            differences(left, right, f"{pointer}/{at}", into)
    elif type(first) is not type(second) or first != second:
        into.append(pointer)
