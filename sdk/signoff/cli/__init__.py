"""The command `signoff`: a table of commands, each imported when it is called."""

import io
import sys
from collections.abc import Sequence

import click

from signoff._version import __version__
from signoff.cli.commands import Commands
from signoff.cli.failures import Failure


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="signoff", message="%(prog)s %(version)s")
def signoff() -> None:
    """A human decision in front of a risky action.

    The commands that review and administer use the nearest .signoff/reviewer.json, or SIGNOFF_URL and
    SIGNOFF_REVIEWER_KEY; those that start and look at runs .signoff/app.json, or SIGNOFF_URL and SIGNOFF_API_KEY. Each
    takes --json. Exit codes: 0 done, 1 refused or failed, 2 wrongly called, 3 no server or a missing extra, 4 somebody
    was faster.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets its escape and no traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        signoff.main(None if arguments is None else list(arguments), prog_name="signoff")
    except OSError as error:
        # Such as a full disk under stdout; what the network does is told where it happens.
        where = f": {error.filename}" if error.filename else ""
        click.echo(f"signoff: {error.strerror or error}{where}", err=True)
        sys.exit(Failure.exit_code)
