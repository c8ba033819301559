"""A workflow as a drawing: what stands where, and what is written on it. `graph.html` makes SVG of it.

Rules of the room: pure, and the same each time. Each node and each way between two nodes is drawn once. The branches of
a parallel node are laid out on their own, within a frame that holds nothing else, and meet below it. What is written is
text in which everything can be seen; the template escapes it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from signoff.protocol.visible import visible
from signoff_server.core.graph import Condition, Definition, HumanApproval, Node, Parallel, Tool, Wait
from signoff_server.dashboard.layers import ACROSS, DOWN, Line, Link, Placed, Point, place

MAX_NODES: Final = 60
MAX_WAYS: Final = 150
WIDE: Final = 188
HIGH: Final = 62
_MOST: Final = 24
_LABEL: Final = 20
_WHOLE: Final = 200
_EDGE: Final = 12
_FRAME: Final = 14
_DOT: Final = 12
_BAR: Final = 8
_PER_CHARACTER: Final = 7
# The id of no node: where a level begins and ends.
BEGIN: Final = "\x00begin"
END: Final = "\x00end"
KINDS: Final = {
    Tool: "tool",
    HumanApproval: "human_approval",
    Condition: "condition",
    Parallel: "parallel",
    Wait: "wait",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """How a node of a run stands: the text that says so, and whether the run stands there now."""

    status: str
    now: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """`status` is "" where no run is shown, or none came there. `shape` is `node`, `begin`, `end` or `join`."""

    id: str
    shape: str
    x: int
    y: int
    width: int
    height: int
    title: str = ""
    kind: str = ""
    detail: str = ""
    status: str = ""
    now: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """`source` and `target` are ids of boxes; `label` is short, `whole` is more of it. `taken`: a run went this way."""

    source: str
    target: str
    path: str
    label: str
    whole: str
    at: Point
    room: int
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """Around the branches of the parallel node `of`."""

    of: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Drawing:
    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    frames: tuple[Frame, ...]


@dataclass(slots=True)
class _Sheet:
    """What was drawn, around an origin of its own."""

    width: int = 0
    height: int = 0
    boxes: list[Box] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)

    def take(self, other: "_Sheet", x: int, y: int) -> None:
        """Put another one on this, its origin at this place."""
        self.boxes += [replace(box, x=box.x + x, y=box.y + y) for box in other.boxes]
        self.frames += [replace(frame, x=frame.x + x, y=frame.y + y) for frame in other.frames]
        self.edges += [_moved(edge, x, y) for edge in other.edges]


def draw(
    definition: Definition, marks: Mapping[str, Mark] | None = None, taken: Iterable[tuple[str, str]] = ()
) -> Drawing | None:
    """None for a workflow that is too large to be looked at. `taken` are the ways that a run went, as pairs of ids;
    `BEGIN` stands for where it begins, `END` for the end of a branch and of all.
    """
    if len(definition.nodes) > MAX_NODES:
        return None
    if sum(len({target for target, _ in ways(node)}) for node in definition.nodes.values()) > MAX_WAYS:
        return None
    sheet = _level(definition, definition.start, None, "")
    went = _went(sheet.edges, frozenset(taken))
    return Drawing(
        sheet.width + 2 * _EDGE,
        sheet.height + 2 * _EDGE,
        tuple(_marked(replace(box, x=box.x + _EDGE, y=box.y + _EDGE), marks or {}) for box in sheet.boxes),
        tuple(
            replace(_moved(edge, _EDGE, _EDGE), taken=edge.target in went.get(edge.source, ())) for edge in sheet.edges
        ),
        tuple(replace(frame, x=frame.x + _EDGE, y=frame.y + _EDGE) for frame in sheet.frames),
    )


def ways(node: Node) -> Iterator[tuple[str | None, str]]:
    """Where a node leads within its level, with the word on the way; of a parallel node, where it leads after all."""
    match node:
        case Tool() | Parallel():
            yield node.next, ""
        case HumanApproval():
            yield node.on_approved, "approved"
            for decision, target, word in (
                ("rejected", node.on_rejected, "rejected"),
                ("expired", node.on_timeout, "timeout"),
            ):
                if decision in node.routed:
                    yield target, word
        case Condition():
            for branch in node.branches:
                yield branch.next, branch.when
            if node.has_default:
                yield node.default, "default"
        case Wait():
            yield node.next, "" if node.event is None else node.event
            if node.routed:
                yield node.on_timeout, "timeout"


def join_of(parallel: str) -> str:
    """The id of the box where the branches of a parallel node meet."""
    return f"{parallel}\x00join"


# ---------------------------------------------------------------- a level: the workflow, or one branch


def _level(definition: Definition, start: str | None, within: str | None, branch: str) -> _Sheet:
    """All that is reached from `start` without entering or leaving a branch."""
    inner: dict[str, _Sheet] = {}
    order: list[str] = []
    labels: dict[tuple[str, str], list[str]] = {}
    begin, end = f"{branch}{BEGIN}", f"{branch}{END}"
    if within is None:
        labels[begin, end if start is None else start] = [""]
    pending = [] if start is None else [start]
    while pending:
        name = pending.pop()
        if name in inner:
            continue
        node = definition.nodes[name]
        inner[name] = _block(definition, node)
        order.append(name)
        for target, word in ways(node):
            labels.setdefault((name, end if target is None else target), []).append(word)
        pending += [target for target, _ in reversed(list(ways(node))) if target is not None]
    return _laid_out(within, (begin, end), start, inner, order, labels)


def _laid_out(
    within: str | None,
    edges: tuple[str, str],
    start: str | None,
    inner: Mapping[str, _Sheet],
    order: list[str],
    labels: Mapping[tuple[str, str], list[str]],
) -> _Sheet:
    begin, end = edges
    blocks = dict(inner)
    if within is None:
        blocks = {begin: _dot(begin, "begin"), **blocks}
    if any(target == end for _, target in labels):
        blocks[end] = _dot(end, "end")
    texts = {way: _words(words) for way, words in labels.items()}
    links = [Link(*way, _room(short)) for way, (short, _) in texts.items()]
    placed = place(
        begin if within is None else start or end, {name: (b.width, b.height) for name, b in blocks.items()}, links
    )
    sheet = _Sheet(placed.width, placed.height)
    for name, block in blocks.items():
        sheet.take(block, *placed.at[name])
    sheet.edges += _edges(links, placed, texts)
    return sheet


def _edges(links: list[Link], placed: Placed, texts: Mapping[tuple[str, str], tuple[str, str]]) -> Iterator[Edge]:
    for link, line in zip(links, placed.lines, strict=True):
        short, whole = texts[link.source, link.target]
        yield Edge(link.source, link.target, line.path, short, whole, line.label, link.room)


# ---------------------------------------------------------------- blocks: a node with all that belongs to it


def _block(definition: Definition, node: Node) -> _Sheet:
    if isinstance(node, Parallel):
        return _branches(definition, node)
    return _Sheet(WIDE, HIGH, [_box(node)])


def _dot(name: str, shape: str) -> _Sheet:
    return _Sheet(_DOT, _DOT, [Box(name, shape, 0, 0, _DOT, _DOT)])


def _box(node: Node) -> Box:
    kind = KINDS[type(node)]
    return Box(node.id, "node", 0, 0, WIDE, HIGH, _short(node.id, _MOST), kind, _short(_detail(node), _MOST + 2))


def _detail(node: Node) -> str:
    match node:
        case Tool():
            return node.tool
        case Wait(event=str() as event):
            return f"signal {event}"
        case Wait(duration=int() as duration):
            return f"for {duration // 1000} s"
        case HumanApproval():
            return "a person decides"
        case Condition():
            return "the first that holds"
        case Parallel():
            return f"{len(node.branches)} at once"
    return ""


def _branches(definition: Definition, node: Parallel) -> _Sheet:
    """The node itself, its branches beside each other in a frame, and the bar where they meet."""
    each = {first: _level(definition, first, node.id, f"{node.id}/{first}") for first in node.branches}
    inside = sum(sheet.width for sheet in each.values()) + ACROSS * (len(each) - 1) + 2 * _FRAME
    tall = max(sheet.height for sheet in each.values()) + 2 * _FRAME
    width, top = max(WIDE, inside), HIGH + DOWN - _FRAME
    whole = _Sheet(width, top + tall + DOWN - _FRAME + _BAR)
    whole.boxes.append(replace(_box(node), x=(width - WIDE) // 2))
    whole.frames.append(Frame(node.id, (width - inside) // 2, top, inside, tall))
    bar = Box(join_of(node.id), "join", (width - WIDE) // 2, whole.height - _BAR, WIDE, _BAR)
    whole.boxes.append(bar)
    x = (width - inside) // 2 + _FRAME
    for first, sheet in each.items():
        whole.take(sheet, x, top + _FRAME)
        whole.edges += _in_and_out(node, first, whole, (bar, f"{node.id}/{first}{END}"))
        x += sheet.width + ACROSS
    return whole


def _in_and_out(node: Parallel, first: str, whole: _Sheet, out: tuple[Box, str]) -> Iterator[Edge]:
    """From the node to a branch, and from the end of that to where all meet."""
    bar, end = out
    boxes = {box.id: box for box in whole.boxes}
    for source, target in ((node.id, first), (end, bar.id)):
        if source in boxes:
            line = _straight(boxes[source], boxes[target])
            yield Edge(source, target, line.path, "", "", line.label, 0)


def _straight(one: Box, other: Box) -> Line:
    x, y = one.x + one.width // 2, one.y + one.height
    to_x, to_y = other.x + other.width // 2, other.y
    half = (y + to_y) // 2
    return Line(f"M{x} {y} C{x} {half} {to_x} {half} {to_x} {to_y}", ((x + to_x) // 2, half))


# ---------------------------------------------------------------- words, and how a run stands


def _went(edges: list[Edge], taken: frozenset[tuple[str, str]]) -> dict[str, set[str]]:
    """Where a run went from each box. From the end of a branch it went on where anything led to that."""
    went: dict[str, set[str]] = {}
    for edge in edges:
        if (edge.source, END if edge.target.endswith(END) else edge.target) in taken:
            went.setdefault(edge.source, set()).add(edge.target)
    reached = {target for targets in went.values() for target in targets}
    for edge in edges:
        if edge.source.endswith(END) and edge.source in reached:
            went.setdefault(edge.source, set()).add(edge.target)
    return went


def _marked(box: Box, marks: Mapping[str, Mark]) -> Box:
    mark = marks.get(box.id)
    return box if mark is None else replace(box, status=mark.status, now=mark.now)


def _words(words: list[str]) -> tuple[str, str]:
    """What is written on a way, and all that would be."""
    told = [visible(word) for word in words if word]
    whole = " or ".join(told)
    return _cut(whole, _LABEL), _cut(whole, _WHOLE)


def _short(text: str, most: int) -> str:
    return _cut(visible(text), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _room(label: str) -> int:
    return len(label) * _PER_CHARACTER + 10 if label else 0


def _moved(edge: Edge, x: int, y: int) -> Edge:
    shifted, across = [], True
    for part in edge.path.split():
        letter = part[0] if part[0].isalpha() else ""
        value = int(part.removeprefix(letter)) + (x if across else y)
        shifted.append(f"{letter}{value}")
        across = not across
    return replace(edge, path=" ".join(shifted), at=(edge.at[0] + x, edge.at[1] + y))
