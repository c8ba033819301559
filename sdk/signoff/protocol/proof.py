"""The hashes of the log, as RFC 6962 (section 2.1) makes them.

A leaf is one event's envelope, as stored. The *frontier* of a tree is the list of the roots of its complete subtrees,
largest first, one for each bit set in its size: with it the next leaf costs a few hashes, however long the log is.
"""

import hashlib
from collections.abc import Iterable

HASH_BYTES = 32


def leaf_hash(envelope: bytes) -> bytes:
    """SHA-256(0x00 ‖ envelope)."""
    return hashlib.sha256(b"\x00" + envelope).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def payload_digest(nonce: bytes, body: bytes) -> str:
    """`sha256:` and the hex of SHA-256(nonce ‖ body): without the nonce, nobody can guess the body from it."""
    return "sha256:" + hashlib.sha256(nonce + body).hexdigest()


def extend(frontier: list[bytes], size: int, leaf: bytes) -> list[bytes]:
    """The frontier of the tree of `size` leaves after one more."""
    grown = [*frontier, leaf]
    while size & 1:
        right = grown.pop()
        grown.append(node_hash(grown.pop(), right))
        size >>= 1
    return grown


def root(frontier: list[bytes]) -> bytes:
    """The root of the tree with this frontier; the empty tree's is SHA-256 of nothing."""
    if not frontier:
        return hashlib.sha256(b"").digest()
    whole = frontier[-1]
    for left in reversed(frontier[:-1]):
        whole = node_hash(left, whole)
    return whole


def frontier_of(leaves: Iterable[bytes]) -> list[bytes]:
    """The frontier of the tree with these leaf hashes."""
    frontier: list[bytes] = []
    for size, leaf in enumerate(leaves):
        frontier = extend(frontier, size, leaf)
    return frontier
