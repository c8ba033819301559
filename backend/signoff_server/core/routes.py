"""Which node leads to which: every name resolves, every node is reached, and parallel branches keep to themselves.

Rules of the room: a branch of a parallel node is a region: what is reached from its first node without going through
another parallel node's branches. A node is in one region or at the top; only the parallel node leads into its regions,
and nothing leads out of them but their end, wherever that stands. All of it is told in time linear in the file.
"""

import difflib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from signoff_server.core.policies import Complaint, Path

END: Final = "end"
# Among how many names a near one is looked for: each costs time.
_MOST_NEAR: Final = 100
_PLAIN: Final = ("next", "on_approved", "on_rejected", "on_timeout", "default")
LINKS: Final = (*_PLAIN, "branches", "type")
Nodes = Mapping[str, Any]


class Link(NamedTuple):
    """A reference to a node, and where it stands; `opens` where it leads into a region of its own."""

    path: Path
    target: str
    opens: bool = False


class Region(NamedTuple):
    """One branch of a parallel node; None is the top."""

    parallel: str
    branch: str

    def __str__(self) -> str:
        return f"branch {self.branch!r} of {self.parallel!r}"


def links(nodes: Nodes, name: str) -> Iterator[Link]:
    """The references in a node, whatever state it is in."""
    node, path = nodes[name], ("nodes", name)
    if not isinstance(node, dict):
        return
    for key in _PLAIN:
        if isinstance(target := node.get(key), str):
            yield Link((*path, key), target)
    branches = node.get("branches")
    for at, branch in enumerate(branches if isinstance(branches, list) else ()):
        if isinstance(branch, str):
            yield Link((*path, "branches", at), branch, opens=True)
        elif isinstance(branch, dict) and isinstance(target := branch.get("next"), str):
            yield Link((*path, "branches", at, "next"), target)


def unknown(nodes: Nodes, start: Any) -> Iterator[Complaint]:
    """The references that lead nowhere."""
    begin = [Link(("workflow", "start"), start)] if isinstance(start, str) else []
    for link in (*begin, *(link for name in nodes for link in links(nodes, name))):
        if link.target not in nodes and link.target != END:
            yield Complaint(link.path, f"there is no node {link.target!r}{_suggestion(link.target, nodes)}")
        elif link.opens and ends(nodes, link.target):
            yield Complaint(link.path, "a branch begins with a node that does something, not with the end")


def _suggestion(target: str, nodes: Nodes) -> str:
    near = difflib.get_close_matches(target, [*islice(nodes, _MOST_NEAR), END], 1)
    return f"; is it {near[0]!r}?" if near else ""


def ends(nodes: Nodes, target: str) -> bool:
    return nodes[target].get("type") == END if target in nodes else target == END


def regions(nodes: Nodes, start: str) -> tuple[dict[str, Region | None], list[Complaint]]:
    """The region of each node that is reached, and what is wrong with them. All references lead somewhere."""
    found: dict[str, Region | None] = {}
    complaints: list[Complaint] = []
    reached = {start}
    pending: list[tuple[Link, Region | None]] = [(Link(("workflow", "start"), start), None)]
    while pending:
        link, region = pending.pop()
        reached.add(link.target)
        if ends(nodes, link.target):
            continue
        if link.target not in found:
            found[link.target] = region
            onward = [(each, _inside(each, link.target, region)) for each in links(nodes, link.target)]
            pending.extend(reversed(onward))
        elif found[link.target] != region:
            complaints.append(Complaint(link.path, _crossing(link.target, found[link.target], region)))
    told = "no way leads here from start: lead one here, or leave the node out"
    complaints += [Complaint(("nodes", name), told) for name in nodes if name not in reached]
    return found, complaints


def _inside(link: Link, name: str, region: Region | None) -> Region | None:
    return Region(name, link.target) if link.opens else region


def _crossing(target: str, owner: Region | None, region: Region | None) -> str:
    there, here = (str(each or "no branch") for each in (owner, region))
    told = "a branch is entered and left only by its parallel node"
    return f"{target!r} is in {there}, and this leads to it from {here}: {told}"
