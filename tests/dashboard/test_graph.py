"""The drawing of a workflow: everything on it once, nothing on top of another, and the same each time."""

import random
import re
from itertools import combinations
from typing import Final

import pytest

from signoff_server.core.definitions import read
from signoff_server.core.graph import Definition
from signoff_server.dashboard import templates
from signoff_server.dashboard.graph import (
    BEGIN,
    END,
    MAX_NODES,
    Box,
    Drawing,
    Frame,
    Mark,
    draw,
    join_of,
    ways,
)

LINE: Final = """
workflow: {id: line, version: 1.0.0, start: a}
nodes:
  a: {type: tool, tool_ref: one, next: b}
  b: {type: tool, tool_ref: two, next: end}
"""
LOOP: Final = """
workflow: {id: loop, version: 1.0.0, start: ask}
nodes:
  ask: {type: human_approval, timeout: 1h, on_approved: pay, on_rejected: mend, on_timeout: ask}
  mend: {type: tool, tool_ref: mend, next: ask}
  pay: {type: tool, tool_ref: pay, next: check}
  check:
    type: condition
    branches: [{when: "nodes.pay.output.ok == true", next: end}, {when: "input.again == 1", next: pay}]
    default: ask
"""
PARALLEL: Final = """
workflow: {id: both, version: 1.0.0, start: both}
nodes:
  both: {type: parallel, branches: [left, right, inner], next: last}
  left: {type: tool, tool_ref: left, next: left2}
  left2: {type: condition, branches: [{when: "input.x == 1", next: left}], default: end}
  right: {type: wait, event: paid, timeout: 1h, on_timeout: end, next: end}
  inner: {type: parallel, branches: [deep, deeper], next: after}
  deep: {type: tool, tool_ref: deep, next: end}
  deeper: {type: wait, for: 1h, next: end}
  after: {type: tool, tool_ref: after, next: end}
  last: {type: tool, tool_ref: last, next: both}
"""
NOTHING: Final = """
workflow: {id: nothing, version: 1.0.0, start: done}
nodes:
  done: {type: end}
"""


def workflow(source: str) -> Definition:
    (found,) = read(source.encode())
    return found


def wild(seed: int) -> str:
    """A workflow of conditions and tools that lead anywhere, each reached by the one before it."""
    chance = random.Random(seed)
    names = [f"n{at}" for at in range(chance.randint(2, 25))]
    lines = []
    for name, following in zip(names, [*names[1:], "end"], strict=True):
        others = chance.choices([*names, "end"], k=chance.randint(0, 3))
        branches = ", ".join(f'{{when: "input.x == {at}", next: {other}}}' for at, other in enumerate(others))
        if others:
            lines.append(f"  {name}: {{type: condition, branches: [{branches}], default: {following}}}")
        else:
            lines.append(f"  {name}: {{type: tool, tool_ref: t, next: {following}}}")
    return "workflow: {id: wild, version: 1.0.0, start: n0}\nnodes:\n" + "\n".join(lines)


ALL: Final = [LINE, LOOP, PARALLEL, NOTHING, *(wild(seed) for seed in range(30))]


def drawn(source: str) -> Drawing:
    found = draw(workflow(source))
    assert found is not None
    return found


def overlap(one: Box | Frame, other: Box | Frame) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def holds(frame: Frame, box: Box | Frame) -> bool:
    return (
        frame.x <= box.x
        and frame.y <= box.y
        and box.x + box.width <= frame.x + frame.width
        and box.y + box.height <= frame.y + frame.height
    )


@pytest.mark.parametrize("source", ALL)
def test_every_node_is_drawn_once_and_no_box_lies_on_another(source: str) -> None:
    drawing = drawn(source)
    nodes = [box.id for box in drawing.boxes if box.shape == "node"]
    assert sorted(nodes) == sorted(workflow(source).nodes)
    assert len({box.id for box in drawing.boxes}) == len(drawing.boxes)
    for one, other in combinations(drawing.boxes, 2):
        assert not overlap(one, other), (one, other)
    for box in drawing.boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= drawing.width
        assert box.y + box.height <= drawing.height


@pytest.mark.parametrize("source", ALL)
def test_every_way_is_drawn_once_and_all_its_words_are_on_it(source: str) -> None:
    drawing, definition = drawn(source), workflow(source)
    pairs = [(edge.source, END if edge.target.endswith(END) else edge.target) for edge in drawing.edges]
    assert len(set(pairs)) == len(pairs)
    whole = {pair: edge.whole for pair, edge in zip(pairs, drawing.edges, strict=True)}
    for node in definition.nodes.values():
        for target, word in ways(node):
            assert word in whole[node.id, target or END]
    ids = {box.id for box in drawing.boxes}
    for edge in drawing.edges:
        assert {edge.source, edge.target} <= ids


@pytest.mark.parametrize("source", ALL)
def test_every_line_stays_on_the_drawing_and_ends_at_its_box(source: str) -> None:
    drawing = drawn(source)
    boxes = {box.id: box for box in drawing.boxes}
    for edge in drawing.edges:
        numbers = [int(number) for number in re.findall(r"-?\d+", edge.path)]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points), edge
        target = boxes[edge.target]
        assert target.x <= points[-1][0] <= target.x + target.width
        assert points[-1][1] == target.y
        assert edge.at[0] + edge.room // 2 <= drawing.width


@pytest.mark.parametrize("source", ALL)
def test_a_drawing_is_the_same_each_time(source: str) -> None:
    assert drawn(source) == drawn(source)


def test_branches_stand_in_a_frame_with_nothing_else_in_it() -> None:
    drawing = drawn(PARALLEL)
    frames = {frame.of: frame for frame in drawing.frames}
    inside = {of: {box.id for box in drawing.boxes if holds(frame, box)} for of, frame in frames.items()}
    nodes = {of: {name for name in names if "\x00" not in name} for of, names in inside.items()}
    assert nodes["inner"] == {"deep", "deeper"}
    assert nodes["both"] == {"left", "left2", "right", "inner", "deep", "deeper", "after"}
    assert join_of("inner") in inside["both"]
    assert holds(frames["both"], frames["inner"])
    for frame in drawing.frames:
        assert all(holds(frame, box) or not overlap(frame, box) for box in drawing.boxes)


def test_a_loop_leads_back_above_and_other_ways_lead_down() -> None:
    drawing = drawn(LOOP)
    at = {box.id: box.y for box in drawing.boxes}
    assert at["ask"] < at["pay"] < at["check"]
    up = {(edge.source, edge.target) for edge in drawing.edges if at[edge.source] >= at[edge.target]}
    assert up == {("ask", "ask"), ("mend", "ask"), ("check", "pay"), ("check", "ask")}


def test_a_run_is_seen_on_it() -> None:
    marks = {"a": Mark("completed"), "b": Mark("awaiting_approval", now=True)}
    drawing = draw(workflow(LINE), marks, [(BEGIN, "a"), ("a", "b")])
    assert drawing is not None
    assert [(box.id, box.status, box.now) for box in drawing.boxes if box.shape == "node"] == [
        ("a", "completed", False),
        ("b", "awaiting_approval", True),
    ]
    assert {(edge.source, edge.target): edge.taken for edge in drawing.edges} == {
        (BEGIN, "a"): True,
        ("a", "b"): True,
        ("b", END): False,
    }


def test_from_the_end_of_a_branch_a_run_went_where_all_meet() -> None:
    drawing = draw(workflow(PARALLEL), {}, [(BEGIN, "both"), ("both", "left"), ("left", "left2"), ("left2", END)])
    assert drawing is not None
    went = {(edge.source, edge.target) for edge in drawing.edges if edge.taken}
    assert (f"both/left{END}", join_of("both")) in went
    assert (f"both/right{END}", join_of("both")) not in went


def test_what_is_too_large_to_be_looked_at_is_not_drawn() -> None:
    names = [f"n{at}" for at in range(MAX_NODES + 1)]
    lines = [
        f"  {name}: {{type: tool, tool_ref: t, next: {following}}}"
        for name, following in zip(names, [*names[1:], "end"], strict=True)
    ]
    source = "workflow: {id: long, version: 1.0.0, start: n0}\nnodes:\n" + "\n".join(lines)
    assert draw(workflow(source)) is None


def test_nor_is_what_has_more_ways_than_can_be_followed() -> None:
    names = [f"n{at}" for at in range(20)]
    branches = ", ".join(f'{{when: "input.x == {at}", next: {name}}}' for at, name in enumerate(names))
    lines = [f"  {name}: {{type: condition, branches: [{branches}]}}" for name in names]
    source = "workflow: {id: web, version: 1.0.0, start: n0}\nnodes:\n" + "\n".join(lines)
    assert draw(workflow(source)) is None


HOSTILE: Final = """
workflow: {id: hostile, version: 1.0.0, start: check}
nodes:
  check:
    type: condition
    branches:
      - {when: "input.a == '</title><script>x</script>'", next: end}
      - {when: "input.b == '\\u202e\\u200b'", next: a}
    default: a
  a: {type: tool, tool_ref: t, next: end}
"""


def test_whatever_is_written_in_a_condition_is_only_text() -> None:
    macro = templates.render_macro("graph.html", "svg", drawn(HOSTILE), {}, "<b>hostile")
    assert "<script" not in macro
    assert "<b>" not in macro
    assert "&lt;/title&gt;&lt;script&gt;" in macro
    assert "\u202e" not in macro
    assert "\\u202e" in macro
