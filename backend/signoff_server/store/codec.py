"""Events and states as bytes.

An envelope is compact JSON in a fixed order, stored as written and hashed as stored. Reading one runs the upcasts of
its schema, so that the core knows only the newest form.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import to_json

from signoff.protocol.proof import payload_digest
from signoff_server.core.approval_state import Approval
from signoff_server.core.events import SCHEMA, Actor, Payload, Recorded, from_text, to_text
from signoff_server.core.execution_state import Execution
from signoff_server.core.principals import Key, Principal
from signoff_server.core.workflows import ProjectPolicy, WorkflowVersion

State = Approval | Principal | Key | Execution | WorkflowVersion | ProjectPolicy
_SEARCHED: Final = 4_000
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Index:
    """What projections take from a payload: text to search, an idempotency key in use, a name, a key's digest."""

    search: str = ""
    once: bytes | None = None
    fingerprint: bytes = b""
    name: str = ""
    digest: str = ""


_NOTHING: Final = b"{}"
_NOT_FOUND_BY: Final = Index()
_STATES: Final[dict[str, TypeAdapter[Any]]] = {
    "apr": TypeAdapter(Approval),
    "prn": TypeAdapter(Principal),
    "key": TypeAdapter(Key),
    "exe": TypeAdapter(Execution),
    "wfl": TypeAdapter(WorkflowVersion),
    "prj": TypeAdapter(ProjectPolicy),
}


def encode(event: Recorded) -> bytes:
    """The envelope of `event`."""
    actor = event.actor
    # Facts hold no fractions, which a writer in Python would write otherwise than this one.
    return to_json(
        {
            "seq": event.seq,
            "id": event.id,
            "type": event.type,
            "schema": event.schema,
            "subject": event.subject,
            "version": event.version,
            "at": to_text(event.at),
            "actor": {"id": actor.id, "kind": actor.kind, "via": actor.via},
            "facts": event.facts,
            "payload_digest": event.payload_digest,
        }
    )


def decode(envelope: bytes) -> Recorded:
    """The event in an envelope, in the newest schema. Raises `ValueError` for one that is newer than this program."""
    raw = json.loads(envelope)
    if raw["schema"] != SCHEMA:
        raise ValueError(f"event {raw['id']} has schema {raw['schema']}; this program knows up to {SCHEMA}")
    return Recorded(
        seq=raw["seq"],
        id=raw["id"],
        type=raw["type"],
        schema=raw["schema"],
        subject=raw["subject"],
        version=raw["version"],
        at=from_text(raw["at"]),
        actor=Actor(**raw["actor"]),
        facts=raw["facts"],
        payload_digest=raw["payload_digest"],
    )


def seal(data: Mapping[str, Any], nonce: bytes) -> Payload:
    """A payload ready to be recorded; made before the write door, since bodies are large."""
    if not data:
        return Payload(_NOTHING, nonce, payload_digest(nonce, _NOTHING), _NOT_FOUND_BY)
    body = compact(data)
    return Payload(body, nonce, payload_digest(nonce, body), index(data))


def index(data: Mapping[str, Any]) -> Index:
    """What `rebuild` must find again in a payload that was recorded."""
    once = data.get("idempotency")
    return Index(
        search=_search_text(data),
        once=bytes.fromhex(once["digest"]) if once else None,
        fingerprint=bytes.fromhex(once["fingerprint"]) if once else b"",
        name=data.get("name", ""),
        digest=data.get("digest", ""),
    )


def unseal(body: bytes | None) -> dict[str, Any] | None:
    """The data of a payload; None where it was erased."""
    if body is None:
        return None
    data: dict[str, Any] = json.loads(body)
    return data


def dump_state(state: State) -> bytes:
    return _STATES[state.id[:3]].dump_json(state)


def load_state(subject: str, state: bytes) -> State:
    found: State = _STATES[subject[:3]].validate_json(state)
    return found


def compact(data: Mapping[str, Any]) -> bytes:
    return _JSON.encode(data).encode()


def _search_text(data: Mapping[str, Any]) -> str:
    """Summary and context as lower-case lines; the beginning is enough to find an approval by."""
    lines: list[str] = [data.get("summary") or ""]
    pending: list[Any] = [data.get("context")]
    room = _SEARCHED
    while pending and room > 0:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(reversed(item.values()))
        elif isinstance(item, list):
            pending.extend(reversed(item))
        elif item is not None:
            lines.append(str(item)[:room])
            room -= len(lines[-1]) + 1
    return "\n".join(lines).strip().casefold()
