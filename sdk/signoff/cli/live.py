"""A run while it goes on: on a terminal drawn again in place, else a line for each change; over outages of the server.

Rules of the room: a run is followed by its count of events, so that no change is missed and nothing is polled; whatever
the server says is `visible` before it is drawn; what is drawn is never higher than the screen, since a terminal cannot
go back over what has left it.
"""

import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol
from urllib.parse import quote

import click

from signoff.cli import times
from signoff.cli.connection import HOLD, Server
from signoff.cli.execution_lines import in_one_line, is_over, next_steps, remark, standing, took, workflow_of
from signoff.cli.following import Outages
from signoff.cli.layout import GAP, hang, screen_width, width
from signoff.cli.output import document, note
from signoff.cli.replies import Record
from signoff.cli.workflow_replies import EXECUTION
from signoff.protocol.visible import visible

# Nobody reads faster, and a busy run has many events in a second.
_PACE: Final = 0.1
_FALLBACK: Final = (100, 24)


class View(Protocol):
    def show(self, execution: Record) -> None:
        """The run as it is now."""

    def leave(self) -> None:
        """Something else is about to be printed."""


def follow(server: Server, execution: Record, view: View) -> Record:
    """Shows each state of the run until it is over, and answers the last one. Raises `Failure`."""
    known = execution["id"]
    outages = Outages(view.leave)
    while True:
        view.show(execution)
        if is_over(execution):
            return execution
        time.sleep(_PACE)
        asked = {"wait": HOLD, "seen": execution["events"]}
        ask = partial(server.get, f"/v1/executions/{quote(known, safe='')}", EXECUTION, asked, about=known)
        execution = outages.outlast(ask)


def view_for(as_json: bool) -> View:
    if as_json:
        return Documents()
    return Screen() if sys.stdout.isatty() else Lines()


class Documents:
    """The run as JSON, once for each time that it changed."""

    def __init__(self) -> None:
        self._events: int | None = None

    def show(self, execution: Record) -> None:
        if execution["events"] != self._events:
            document(execution)
        self._events = execution["events"]

    def leave(self) -> None:
        pass


class Lines:
    """A line for each node that changed, and how to go on where a person is needed."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def show(self, execution: Record) -> None:
        for node in execution["nodes"]:
            name = visible(node["node_id"])
            self._tell(name, GAP.join(part for part in (name, standing(node), remark(node)) if part))
        for step in next_steps(execution):
            if step not in self._told:
                self._told[step] = step
                note(f"A person goes on with: {step}")

    def leave(self) -> None:
        pass

    def _tell(self, name: str, line: str) -> None:
        if self._told.get(name) != line:
            self._told[name] = line
            click.echo(f"{times.now():%H:%M:%S}Z  {line}")


class Screen:
    """All nodes, drawn again over what was drawn before."""

    def __init__(self) -> None:
        self._rows = 0

    def show(self, execution: Record) -> None:
        lines = drawn(execution, screen_width() - 1, shutil.get_terminal_size(_FALLBACK).lines - 1)
        back = f"\x1b[{self._rows}A\r\x1b[J" if self._rows else ""
        click.echo(back + "\n".join(lines))
        self._rows = len(lines)

    def leave(self) -> None:
        # Drawn anew below what is said in between.
        self._rows = 0


def drawn(execution: Record, columns: int, rows: int) -> list[str]:
    """The live view in at most so many columns and rows; nodes that are over make room for those that go on."""
    head = f"{workflow_of(execution)}{GAP}{visible(execution['status'])} ({took(execution)})"
    steps = [f"{GAP}> {step}" for step in next_steps(execution)]
    every = execution["nodes"]
    lines = [head, *_nodes(every), *steps]
    if len(list(_hung(lines, columns))) > rows:
        over = [node for node in every if node["ended_at"] is not None]
        more = f"{GAP}… {len(over)} more: signoff inspect {visible(execution['id'])}"
        lines = [head, more, *_nodes([node for node in every if node["ended_at"] is None]), *steps]
    return list(_hung(lines, columns))[:rows]


def _nodes(nodes: Sequence[Record]) -> Iterator[str]:
    room = max((width(visible(node["node_id"])) for node in nodes), default=0)
    return (GAP + in_one_line(node, room) for node in nodes)


def _hung(lines: Iterable[str], columns: int) -> Iterator[str]:
    for line in lines:
        yield from hang(line, columns)
