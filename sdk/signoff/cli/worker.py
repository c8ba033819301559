"""`signoff worker`: run the tools of a folder for the workflows of a server."""

import re
from pathlib import Path
from typing import Any, Final

import click

from signoff.cli.failures import ExtraMissing, Failure, NotConfigured
from signoff.protocol.visible import visible

_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)


class Held(Failure):
    """Another worker holds the lock."""

    exit_code = 3


def a_name(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """A callback: what the server takes as the name of a worker."""
    if value is not None and not _NAME.fullmatch(value):
        raise click.BadParameter("a name is 1–128 letters, digits and . _ : -")
    return value


@click.command()
@click.option(
    "--tools",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A file of tools, .py or .yaml; may be given several times. [default: tools.py and tools.yaml, if here]",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="NETWORK|HOST",
    help="Let HTTP tools reach this too, as 10.0.0.0/8 or bank.internal, beside public addresses and what tools.yaml "
    "allows; may be given several times.",
)
@click.option(
    "--concurrency", type=click.IntRange(1, 1_000), default=10, show_default=True, help="Items that run side by side."
)
@click.option(
    "--grace",
    type=click.FloatRange(0, 86_400),
    default=30,
    show_default=True,
    help="Seconds for what runs to end after SIGTERM; what runs on then counts as unknown.",
)
@click.option("--name", callback=a_name, help="Names this worker beside what it runs.")
@click.option(
    "--reload", is_flag=True, help="Begin anew when the files of tools change, and wait for them where there are none."
)
@click.option(
    "--lifeline",
    type=click.IntRange(0),
    metavar="FD",
    help="End when the other end of this open pipe is closed, as it is when its holder dies.",
)
@click.option(
    "--lock",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Hold a lock on this file, so that it runs once alone.",
)
@click.option("--held-lock", type=int, hidden=True)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON line for each event, and nothing else, on stdout."
)
def worker(**given: Any) -> None:
    """Run tools for the workflows of a server: tools.py and tools.yaml of this folder, or those of --tools.

    It speaks HTTP only and may run anywhere. Its key of scope `work` is SIGNOFF_WORKER_KEY beside SIGNOFF_URL, else the
    one in the nearest .signoff/worker.json. SIGTERM or Ctrl-C lets what runs end; a second one ends at once.
    """
    from signoff.errors import ConfigurationError, SignoffError
    from signoff.worker.holding import LockHeld
    from signoff.worker.process import Options, run
    from signoff.worker.yaml_file import MissingExtra

    try:
        run(Options(**given))
    except LockHeld as error:
        raise Held(visible(str(error))) from None
    except MissingExtra as error:
        raise ExtraMissing(visible(str(error))) from None
    except ConfigurationError as error:
        raise NotConfigured(visible(str(error))) from None
    except SignoffError as error:
        raise Failure(visible(str(error))) from None
