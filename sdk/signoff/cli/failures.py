"""How a command fails: one line on stderr that says what to do, and an exit code.

0 done · 1 refused or failed · 2 wrongly called or not configured · 3 the server cannot be reached, or an extra is
missing · 4 somebody was faster, or the state does not allow it (HTTP 409).
"""

from collections.abc import Sequence
from typing import IO, Any, NamedTuple

import click


class Failure(click.ClickException):
    """Ends the command. `message` is one line, printable as it stands."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"signoff: {self.message}", file=file, err=file is None)


class Fault(NamedTuple):
    """One thing that the server found wrong, as it said so: not yet `visible`."""

    pointer: str
    message: str


class Refused(Failure):
    """The server says no; `faults` are what it found wrong in what it was sent."""

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class WronglyCalled(Failure):
    """What was asked for fits several things: say which."""

    exit_code = 2


class NotConfigured(Failure):
    """Nothing was asked, since it is not known whom or as whom."""

    exit_code = 2


class Unreachable(Failure):
    """No answer, or none of the server's own: whoever watches tries again."""

    exit_code = 3


class ExtraMissing(Failure):
    """The command lies in a package that is not installed whole."""

    exit_code = 3


class Conflict(Failure):
    """Another one won, or what stands does not allow it."""

    exit_code = 4


def untrusted(what: str) -> Failure:
    """For an answer that no server of ours gives."""
    return Failure(f"The server's answer cannot be trusted: {what}. Check the URL, and what stands in between.")
