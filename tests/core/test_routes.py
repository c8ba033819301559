"""Regions of parallel branches, against their definition taken word by word."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from signoff_server.core.routes import END, Region, ends, links, regions, unknown

NAMES = ("a", "b", "c", "d", "e", "f")
Nodes = dict[str, Any]


@st.composite
def graphs(draw: st.DrawFn) -> Nodes:
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    target = st.sampled_from((*names, END, END))
    nodes: Nodes = {}
    for name in names:
        match draw(st.sampled_from(("wait", "wait", "condition", "parallel", "end"))):
            case "condition":
                branches = [{"when": "true", "next": each} for each in draw(st.lists(target, min_size=1, max_size=2))]
                nodes[name] = {"type": "condition", "branches": branches, "default": draw(target)}
            case "parallel":
                branches = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
                nodes[name] = {"type": "parallel", "branches": branches, "next": draw(target)}
            case kind:
                nodes[name] = {"type": kind} if kind == "end" else {"type": kind, "next": draw(target)}
    return nodes


def reached(nodes: Nodes, start: str) -> frozenset[str]:
    """From `start` on, without entering the branches of parallel nodes, and without the ends."""
    found: set[str] = set()
    pending = [start]
    while pending:
        name = pending.pop()
        if name not in found and not ends(nodes, name):
            found.add(name)
            pending += [link.target for link in links(nodes, name) if not link.opens]
    return frozenset(found)


def by_the_word(nodes: Nodes, start: str) -> dict[Region | None, frozenset[str]]:
    found: dict[Region | None, frozenset[str]] = {None: reached(nodes, start)}
    while True:
        inside = {name for region in found.values() for name in region}
        opened = [Region(name, link.target) for name in sorted(inside) for link in links(nodes, name) if link.opens]
        new = [region for region in opened if region not in found]
        if not new:
            return found
        found |= {region: reached(nodes, region.branch) for region in new}


@settings(max_examples=500, deadline=None)
@given(graphs())
def test_regions_are_what_their_definition_says(nodes: Nodes) -> None:
    start = NAMES[0]
    if list(unknown(nodes, start)):
        return
    expected = by_the_word(nodes, start)
    owners = [name for region in expected.values() for name in region]
    disjoint = len(owners) == len(set(owners))
    targets = {start} | {link.target for name in owners for link in links(nodes, name)}
    complete = set(nodes) <= targets
    found, complaints = regions(nodes, start)
    assert (not complaints) == (disjoint and complete)
    if disjoint:
        assert found == {name: region for region, names in expected.items() for name in names}
        assert {complaint.path[1] for complaint in complaints} == set(nodes) - targets


def test_a_broken_node_has_no_links() -> None:
    nodes: Nodes = {"a": 1, "b": {"next": 2, "branches": [1, {"next": None}, {}, None]}, "c": {"branches": "x"}}
    assert [link for name in nodes for link in links(nodes, name)] == []
    assert list(unknown(nodes, None)) == []
