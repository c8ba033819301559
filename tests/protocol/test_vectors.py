"""The golden vectors: what every implementation, in whatever language, must give."""

import json
from pathlib import Path

import pytest

from signoff.protocol import proof
from signoff_server.store import codec
from tests.protocol.make_vectors import EVENTS, vectors

FOLDER = Path(__file__).parents[1] / "vectors"
# Known from the tests of Certificate Transparency: roots of the trees of 0, 1, 2, 3 and 8 leaves.
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("name", sorted(vectors()))
def test_the_vectors_stand(name: str) -> None:
    assert json.loads((FOLDER / name).read_text()) == vectors()[name]


def test_the_trees_are_those_of_rfc_6962() -> None:
    trees = json.loads((FOLDER / "tree.json").read_text())
    assert {size: trees[size]["root"] for size in ROOTS} == ROOTS


@pytest.mark.parametrize("event", EVENTS)
def test_an_envelope_is_read_as_it_was_written(event: object) -> None:
    assert codec.decode(codec.encode(event)) == event  # type: ignore[arg-type]


def test_an_envelope_of_a_later_schema_is_refused() -> None:
    later = codec.encode(EVENTS[0]).replace(b'"schema":1', b'"schema":2')
    with pytest.raises(ValueError, match="schema 2"):
        codec.decode(later)


def test_growing_leaf_by_leaf_is_the_tree_at_once() -> None:
    leaves = [proof.leaf_hash(bytes([number])) for number in range(100)]

    def root(part: list[bytes]) -> bytes:
        if len(part) == 1:
            return part[0]
        split = 1 << (len(part) - 1).bit_length() - 1
        return proof.node_hash(root(part[:split]), root(part[split:]))

    for size in range(1, 101):
        assert proof.root(proof.frontier_of(leaves[:size])) == root(leaves[:size])
