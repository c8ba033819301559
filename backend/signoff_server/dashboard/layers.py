"""Where the boxes of a graph go, and the lines between them: layers from top to bottom, after Sugiyama.

Rules of the room: everything here is arithmetic on whole pixels and comes out the same each time. Two boxes never
touch: what is put side by side, or one below the other, is placed by its size. A line that leads back goes around on
the right.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

ACROSS: Final = 28
DOWN: Final = 52
_LANE: Final = 16
_THIN: Final = 16
_SWEEPS: Final = 4
_ROUND: Final = 8
_ASIDE: Final = 44

Point = tuple[int, int]
# A letter of an SVG path, and its points.
_Piece = tuple[str, tuple[Point, ...]]


@dataclass(frozen=True, slots=True)
class Link:
    """`room` is how wide its label is, 0 without one."""

    source: str
    target: str
    room: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """`path` is the data of an SVG path, `label` the middle of its label."""

    path: str
    label: Point


@dataclass(frozen=True, slots=True)
class Placed:
    """`at` are the upper left corners, `lines` stand in the order of the links."""

    width: int
    height: int
    at: Mapping[str, Point]
    lines: tuple[Line, ...]


@dataclass(slots=True)
class _Rows:
    """The layers: what stands in each, and how large it is. A link over several layers has a stand-in in each."""

    rows: list[list[str]]
    size: dict[str, Point]
    chains: dict[int, list[str]]


def place(start: str, sizes: Mapping[str, Point], links: Sequence[Link]) -> Placed:
    """`sizes` are width and height of each box; whatever is in it is reached from `start`."""
    back = _leading_back(start, links)
    layer = _longest(list(sizes), [link for at, link in enumerate(links) if at not in back], start)
    rows = _stand_ins(layer, sizes, links, back)
    _uncross(rows)
    at, heights, width = _coordinates(rows)
    lanes = {index: width + _LANE * (lane + 1) for lane, index in enumerate(sorted(back))}
    tops, bottoms = _bands(heights)
    lines = []
    parts = _label_parts(rows, links)
    for index, link in enumerate(links):
        if index in back:
            between = bottoms[layer[link.source]], tops[layer[link.target]]
            lines.append(_around(at, rows.size, link, lanes[index], between))
        else:
            chain = rows.chains[index]
            pieces = _along(at, rows.size, chain, layer[link.source], (tops, bottoms))
            gap = bottoms[layer[link.source]], tops[layer[link.source] + 1]
            ends = _middle(at, rows.size, chain[0]), _middle(at, rows.size, chain[1])
            lines.append((pieces, _on_curve(parts[index], ends, gap)))
    extra = _LANE * (len(back) + 1) if back else 0
    # The label of such a line stands at its right.
    extra += max((links[index].room for index in back), default=0)
    # A line back to the first box comes from above it, one back from the last goes out below.
    room = (_THIN if back else 0, bottoms[-1] + (_THIN * 2 if back else 0))
    return _shifted(room[0], width + extra, room[1], {name: at[name] for name in sizes}, lines)


def _shifted(
    down: int, width: int, height: int, at: Mapping[str, Point], lines: list[tuple[list[_Piece], Point]]
) -> Placed:
    moved = {name: (x, y + down) for name, (x, y) in at.items()}
    drawn = tuple(Line(_path(pieces, down), (x, y + down)) for pieces, (x, y) in lines)
    return Placed(width, height + down, moved, drawn)


# ---------------------------------------------------------------- in which layer


def _leading_back(start: str, links: Sequence[Link]) -> set[int]:
    """Those links that close a circle, walking in order from the start."""
    leaving: dict[str, list[tuple[int, str]]] = {}
    for index, link in enumerate(links):
        leaving.setdefault(link.source, []).append((index, link.target))
    back: set[int] = set()
    open_, done = {start}, set[str]()
    walk = [(start, iter(leaving.get(start, ())))]
    while walk:
        name, following = walk[-1]
        step = next(following, None)
        if step is None:
            walk.pop()
            open_.discard(name)
            done.add(name)
        elif step[1] in open_:
            back.add(step[0])
        elif step[1] not in done:
            open_.add(step[1])
            walk.append((step[1], iter(leaving.get(step[1], ()))))
    return back


def _longest(names: Sequence[str], links: Sequence[Link], start: str) -> dict[str, int]:
    """The layer of each: one below the lowest of those that lead to it."""
    layer = dict.fromkeys(names, 0)
    arriving = dict.fromkeys(names, 0)
    leaving: dict[str, list[str]] = {name: [] for name in names}
    for link in links:
        arriving[link.target] += 1
        leaving[link.source].append(link.target)
    free = [name for name in names if not arriving[name]]
    for name in free:
        for target in leaving[name]:
            layer[target] = max(layer[target], layer[name] + 1)
            arriving[target] -= 1
            if not arriving[target]:
                free.append(target)
    layer[start] = 0
    return layer


def _stand_ins(layer: Mapping[str, int], sizes: Mapping[str, Point], links: Sequence[Link], back: set[int]) -> _Rows:
    rows: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    for name in sizes:
        rows[layer[name]].append(name)
    size, chains = dict(sizes), {}
    for index, link in enumerate(links):
        if index in back:
            continue
        first, last = layer[link.source], layer[link.target]
        between = [f"\x00{index}/{at}" for at in range(first + 1, last)]
        for at, name in enumerate(between):
            # The first of them keeps a place for the label.
            size[name] = (max(_THIN, link.room if at == 0 else 0), 0)
            rows[first + 1 + at].append(name)
        chains[index] = [link.source, *between, link.target]
    return _Rows(rows, size, chains)


# ---------------------------------------------------------------- in which order


def _uncross(rows: _Rows) -> None:
    """Each to the middle of its neighbours, down and up by turns (Sugiyama's barycentres)."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for chain in rows.chains.values():
        for one, other in pairwise(chain):
            below.setdefault(one, []).append(other)
            above.setdefault(other, []).append(one)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        order = range(1, len(rows.rows)) if down else range(len(rows.rows) - 2, -1, -1)
        for index in order:
            beside = rows.rows[index - 1 if down else index + 1]
            _sort(rows.rows[index], beside, above if down else below)


def _sort(row: list[str], beside: Sequence[str], neighbours: Mapping[str, Sequence[str]]) -> None:
    place = {name: at for at, name in enumerate(beside)}
    middle = {}
    for at, name in enumerate(row):
        near = [place[each] for each in neighbours.get(name, ()) if each in place]
        middle[name] = sum(near) / len(near) if near else float(at)
    row.sort(key=middle.__getitem__)


# ---------------------------------------------------------------- at which place


def _coordinates(rows: _Rows) -> tuple[dict[str, Point], list[int], int]:
    """The corners of all, the heights of the layers, and the width of the widest, around whose middle all stand."""
    widths = [sum(rows.size[name][0] for name in row) + ACROSS * (len(row) - 1) for row in rows.rows]
    heights = [max(rows.size[name][1] for name in row) for row in rows.rows]
    width, top = max(widths), 0
    at = {}
    for row, wide, high in zip(rows.rows, widths, heights, strict=True):
        # A small box beside a large one stands at its top, next to what leads there.
        x = (width - wide) // 2
        for name in row:
            at[name] = (x, top)
            x += rows.size[name][0] + ACROSS
        top += high + DOWN
    return at, heights, width


def _bands(heights: Sequence[int]) -> tuple[list[int], list[int]]:
    """Where each layer begins and ends."""
    tops, bottoms, y = [], [], 0
    for high in heights:
        tops.append(y)
        bottoms.append(y + high)
        y += high + DOWN
    return tops, bottoms


# ---------------------------------------------------------------- lines


def _along(
    at: Mapping[str, Point],
    size: Mapping[str, Point],
    chain: Sequence[str],
    first: int,
    bands: tuple[Sequence[int], Sequence[int]],
) -> list[_Piece]:
    """Down through the gaps between the layers; straight where it passes one."""
    tops, bottoms = bands
    x, y = _middle(at, size, chain[0]), at[chain[0]][1] + size[chain[0]][1]
    pieces: list[_Piece] = [("M", ((x, y),)), ("L", ((x, bottoms[first]),))]
    for step, name in enumerate(chain[1:], start=1):
        last = step == len(chain) - 1
        from_y, to_y, to_x = bottoms[first + step - 1], tops[first + step], _middle(at, size, name)
        half = (from_y + to_y) // 2
        pieces.append(("C", ((x, half), (to_x, half), (to_x, to_y))))
        end = at[name][1] if last else bottoms[first + step]
        # A line of no length has no direction, which the arrow at its end would take.
        if end != to_y:
            pieces.append(("L", ((to_x, end),)))
        x = to_x
    return pieces


def _label_parts(rows: _Rows, links: Sequence[Link]) -> dict[int, float]:
    """How far along the first piece of each line its label stands: away from where lines with labels meet."""
    ends = {index: (chain[0], chain[1]) for index, chain in rows.chains.items() if links[index].room}
    leaving = Counter(source for source, _ in ends.values())
    arriving = Counter(target for _, target in ends.values())
    parts = dict.fromkeys(rows.chains, 0.5)
    for index, (source, target) in ends.items():
        if arriving[target] == 1:
            parts[index] = 0.65
        elif leaving[source] == 1:
            parts[index] = 0.35
    return parts


def _on_curve(part: float, across: Point, down: Point) -> Point:
    """A point of the curve from a box to the next layer (a cubic Bézier whose inner points stand halfway down)."""
    rest = 1 - part
    sideways = 3 * rest * part**2 + part**3
    deep = 1.5 * rest * part + part**3
    (x, to_x), (y, to_y) = across, down
    return x + round((to_x - x) * sideways), y + round((to_y - y) * deep)


def _around(
    at: Mapping[str, Point], size: Mapping[str, Point], link: Link, lane: int, between: tuple[int, int]
) -> tuple[list[_Piece], Point]:
    """Out below, up at the right, and in from above."""
    low, high = between[0] + _THIN, between[1] - _THIN + 4
    from_x = _middle(at, size, link.source) + min(_ASIDE, size[link.source][0] // 4)
    to_x = _middle(at, size, link.target) + min(_ASIDE, size[link.target][0] // 4)
    r = _ROUND
    pieces: list[_Piece] = [
        ("M", ((from_x, at[link.source][1] + size[link.source][1]),)),
        ("L", ((from_x, low - r),)),
        ("Q", ((from_x, low), (from_x + r, low))),
        ("L", ((lane - r, low),)),
        ("Q", ((lane, low), (lane, low - r))),
        ("L", ((lane, high + r),)),
        ("Q", ((lane, high), (lane - r, high))),
        ("L", ((to_x + r, high),)),
        ("Q", ((to_x, high), (to_x, high + r))),
        ("L", ((to_x, at[link.target][1]),)),
    ]
    return pieces, (lane + link.room // 2 + 2, (low + high) // 2)


def _middle(at: Mapping[str, Point], size: Mapping[str, Point], name: str) -> int:
    return at[name][0] + size[name][0] // 2


def _path(pieces: Sequence[_Piece], down: int) -> str:
    return " ".join(letter + " ".join(f"{x} {y + down}" for x, y in points) for letter, points in pieces)
