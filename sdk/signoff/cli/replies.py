"""The members of the server's answers that this command line prints, and the check that they are there.

It stands beside `protocol.models` because a list must be on the screen in 0.3 s of CPU, and reading by pydantic models
takes more than half of that for the import alone. A test holds the two equal. Members not named here are let through.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from signoff.cli.failures import untrusted
from signoff.protocol import canonical

Record: TypeAlias = dict[str, Any]
Shape: TypeAlias = Callable[[Any], bool]


def text(value: Any) -> bool:
    return isinstance(value, str)


def number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def flag(value: Any) -> bool:
    return isinstance(value, bool)


def anything(value: Any) -> bool:
    return isinstance(value, dict)


def moment(value: Any) -> bool:
    """RFC 3339 with an offset."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def maybe(shape: Shape) -> Shape:
    return lambda value: value is None or shape(value)


def several(shape: Shape) -> Shape:
    return lambda value: isinstance(value, list) and all(shape(each) for each in value)


def record(members: Mapping[str, Shape]) -> Shape:
    return lambda value: (
        isinstance(value, dict) and all(name in value and shape(value[name]) for name, shape in members.items())
    )


PRINCIPAL: Final = {"id": maybe(text), "name": maybe(text), "kind": text}
SOURCE: Final = {"kind": text, "execution_id": maybe(text), "node_id": maybe(text), "tool": maybe(text)}
REQUIREMENT: Final = {"rule": maybe(text), "approvals": number, "kinds": several(text), "reviewers": several(text)}
DECISION: Final = {
    "decision": text,
    "decided_by": record(PRINCIPAL),
    "reason": maybe(text),
    "decided_at": moment,
    "via": text,
}
REDEMPTION: Final = {
    "fence": number,
    "redeemed_at": moment,
    "lease_until": maybe(moment),
    "outcome": maybe(text),
    "detail": maybe(text),
}
APPROVAL: Final = {
    "id": text,
    "project": text,
    "name": text,
    "status": text,
    "lapsed": flag,
    "context": anything,
    "arguments": maybe(anything),
    "summary": maybe(text),
    "metadata": anything,
    "nonce": text,
    "binding": text,
    "requested_by": record(PRINCIPAL),
    "on_behalf_of": maybe(text),
    "source": record(SOURCE),
    "requirement": record(REQUIREMENT),
    "decisions": several(record(DECISION)),
    "decided_by": maybe(record(PRINCIPAL)),
    "reason": maybe(text),
    "decided_at": maybe(moment),
    "created_at": moment,
    "expires_at": moment,
    "approved_until": maybe(moment),
    "redemption": maybe(record(REDEMPTION)),
    "url": text,
}
ACTOR: Final = {"id": maybe(text), "kind": text, "via": text}
EVENT: Final = {
    "seq": number,
    "id": text,
    "type": text,
    "subject": text,
    "at": moment,
    "actor": record(ACTOR),
    "facts": anything,
    "data": maybe(anything),
}
PRINCIPAL_RECORD: Final = {
    "id": text,
    "name": text,
    "kind": text,
    "owner": maybe(text),
    "role": text,
    "created_at": moment,
}
KEY: Final = {
    "id": text,
    "principal": record(PRINCIPAL),
    "scopes": several(text),
    "hint": text,
    "created_at": moment,
    "expires_at": maybe(moment),
    "revoked_at": maybe(moment),
}
ISSUED_KEY: Final = {**KEY, "key": text}
USER: Final = {
    "id": text,
    "name": text,
    "role": text,
    "has_password": flag,
    "sessions": number,
    "created_at": moment,
}
SIGN_IN_LINK: Final = {"url": text, "expires_at": moment}
ADDED_USER: Final = {**SIGN_IN_LINK, "id": text, "name": text, "role": text}


def page_of(members: Mapping[str, Shape]) -> dict[str, Shape]:
    """One page of a list."""
    return {"data": several(record(members)), "next_cursor": maybe(text)}


EVENT_PAGE: Final = {"data": several(record(EVENT)), "next_after": number}


def checked(value: Any, members: Mapping[str, Shape]) -> Record:
    """`value`, if it is an object with these members; raises `Failure` else."""
    if not isinstance(value, dict):
        raise untrusted("no JSON object")
    for name, shape in members.items():
        if name not in value or not shape(value[name]):
            raise untrusted(f"`{name}` is missing or of another form than is agreed")
    return value


def check_bound(approval: Record) -> None:
    """Raises `Failure` unless the binding is that of what is shown: what was seen is what is approved."""
    bound = {name: approval[name] for name in ("project", "name", "context", "arguments", "nonce")}
    try:
        made_again = canonical.binding(**bound)
    except canonical.NotCanonical:
        made_again = ""
    if made_again != approval["binding"]:
        raise untrusted("its binding is not that of what it shows. Do not decide; find out who changed it")


def is_erased(approval: Record) -> bool:
    """Whether its content was erased: then there is nothing left that the binding could be checked against."""
    return not approval["nonce"]
