"""Files that are sent to the server as they are, and its faults as editors read them: FILE:LINE:COLUMN: message."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from signoff.cli.failures import Failure, Fault, Refused
from signoff.cli.replies import Record
from signoff.protocol import canonical
from signoff.protocol.visible import visible

# What the server takes; more is not even read.
MAX_BYTES: Final = 256 * 1024
_PLACE: Final = re.compile(r"line (\d{1,9}), column (\d{1,9}): (.*)", re.DOTALL | re.ASCII)


class Placed(NamedTuple):
    """A fault in a file; `line` and `column` from 1, None where the server named no place."""

    line: int | None
    column: int | None
    message: str


def read(path: str) -> bytes:
    """The bytes of `path`. Raises `Failure` where they cannot be read or are too many."""
    try:
        with Path(path).open("rb") as stream:
            found = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Failure(f"{visible(path)} cannot be read: {visible(error.strerror or str(error))}.") from None
    if len(found) > MAX_BYTES:
        raise Failure(f"{visible(path)} is larger than the {MAX_BYTES // 1024} KiB that the server takes.")
    return found


def read_text(path: str) -> str:
    try:
        return read(path).decode()
    except UnicodeDecodeError:
        raise Failure(f"{visible(path)} is not UTF-8: save it as that.") from None


def placed(fault: Fault) -> Placed:
    """The place that the beginning of the server's message names, and the rest of the message."""
    found = _PLACE.fullmatch(fault.message)
    return Placed(int(found[1]), int(found[2]), found[3]) if found else Placed(None, None, fault.message)


def fault_lines(path: str, refused: Refused) -> Iterator[str]:
    """`workflow.yaml:7:5: the node has no type`"""
    for line, column, message in map(placed, refused.faults):
        place = "" if line is None else f"{line}:{column}:"
        yield f"{visible(path)}:{place} {visible(message)}"


def faulty(path: str, refused: Refused) -> Failure:
    """The refusal of a file, with each of its faults on a line of its own where the server named them."""
    lines = list(fault_lines(path, refused))
    return Failure("\n".join([f"{visible(path)} is not valid:", *lines])) if lines else refused


def an_object(_ctx: click.Context, param: click.Parameter, value: str | None) -> Record | None:
    """A callback: a JSON object, or @FILE that holds one."""
    if value is None:
        return None
    try:
        found: Any = canonical.loads(read(value[1:]) if value.startswith("@") else value)
    except (canonical.MalformedJSON, canonical.NotCanonical) as error:
        raise click.BadParameter(f"that is no JSON that the server takes: {visible(str(error))}") from None
    if not isinstance(found, dict):
        raise click.BadParameter(f'{param.opts[0]} takes a JSON object, as \'{{"key": "value"}}\', or @FILE')
    return found
