"""`signoff version`."""

import click

from signoff._version import __version__
from signoff.cli.output import document


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def version(as_json: bool) -> None:
    """Print the version of what is installed here."""
    if as_json:
        document({"version": __version__})
    else:
        click.echo(f"signoff {__version__}")
