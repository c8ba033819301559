"""What goes to stdout: lines for people, or JSON and nothing else."""

import json
import sys
from collections.abc import Iterable
from typing import Any

import click

from signoff.cli.layout import hang, screen_width


def say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def say_fitted(lines: Iterable[str]) -> None:
    """Broken to the terminal; whole where another program reads them."""
    if not sys.stdout.isatty():
        say(lines)
        return
    columns = screen_width()
    for line in lines:
        say(hang(line, columns))


def note(line: str) -> None:
    """For people, also where stdout is for a program."""
    click.echo(line, err=True)


def document(value: Any) -> None:
    """One JSON document on one line: ASCII, without a control character, so that it is safe on a terminal too."""
    click.echo(json.dumps(value).replace("\x7f", "\\u007f"))
