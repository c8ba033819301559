"""Prints the golden vectors anew: `python -m tests.protocol.make_vectors FOLDER`.

They are committed, so that other languages can be held to them; a test compares. Once people have data, a difference
here is a broken promise and not a vector to update.
"""

import json
import sys
from pathlib import Path
from typing import Any

from signoff.protocol import canonical, proof
from signoff_server.core.events import Actor, Recorded
from signoff_server.store import codec

PROJECT = "prj_01jd0000000000000000000000"
NONCE = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

BINDINGS: list[dict[str, Any]] = [
    {"name": "payments.wire_transfer", "context": {"amount": "50000.00", "currency": "EUR"}, "arguments": None},
    {"name": "payments.wire_transfer", "context": {}, "arguments": {"to": "DE89 3704 0044 0532 0130 00"}},
    {"name": "a", "context": {"b": [1, -0.0, 1e21, 0.1, True, None], "€": '‮ \u0007 "\\', "": {}}, "arguments": {}},
    {"name": "x/y-1", "context": {"max": 2**53 - 1, "min": -(2**53 - 1), "😀": "é", "e\u0301": "ö"}, "arguments": None},
]
EVENTS: list[Recorded] = [
    Recorded(
        1,
        "evt_01jd0000000000000000000001",
        "approval.approved",
        1,
        "apr_01jd0000000000000000000002",
        2,
        1_790_000_000_123,
        Actor("prn_01jd0000000000000000000003", "human", "cli"),
        {"approved_until": "2026-09-22T14:13:20.123Z"},
        "sha256:" + "0" * 64,
    ),
    Recorded(
        2,
        "evt_01jd0000000000000000000004",
        "approval.expired",
        1,
        "apr_01jd0000000000000000000005",
        2,
        1_790_000_000_000,
        Actor(None, "system", "system"),
        {},
        "sha256:" + "f" * 64,
    ),
]
PAYLOADS: list[dict[str, Any]] = [{}, {"reason": "checked with the bank – “fine”"}]


def vectors() -> dict[str, Any]:
    """File name -> content."""
    return {
        "binding.json": _bindings(),
        "envelope.json": _envelopes(),
        "payload.json": _payloads(),
        "tree.json": _trees(),
    }


def _bindings() -> list[dict[str, Any]]:
    return [
        {
            **bound,
            "project": PROJECT,
            "nonce": NONCE,
            "binding": canonical.binding(project=PROJECT, nonce=NONCE, **bound),
        }
        for bound in BINDINGS
    ]


def _envelopes() -> list[dict[str, Any]]:
    made = []
    for event in EVENTS:
        envelope = codec.encode(event)
        made.append({"envelope": envelope.decode(), "leaf": proof.leaf_hash(envelope).hex()})
    return made


def _payloads() -> list[dict[str, Any]]:
    sealed = [codec.seal(data, bytes(range(32))) for data in PAYLOADS]
    return [
        {"nonce": payload.nonce.hex(), "payload": payload.body.decode(), "payload_digest": payload.digest}
        for payload in sealed
    ]


def _trees() -> list[dict[str, Any]]:
    """The leaves that the tests of Certificate Transparency use (RFC 6962), with the roots that they give."""
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    made = []
    for size in range(len(leaves) + 1):
        frontier = proof.frontier_of(proof.leaf_hash(bytes.fromhex(leaf)) for leaf in leaves[:size])
        hashes = [part.hex() for part in frontier]
        made.append({"leaves": leaves[:size], "frontier": hashes, "root": proof.root(frontier).hex()})
    return made


def main(folder: Path) -> None:
    for name, content in vectors().items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
