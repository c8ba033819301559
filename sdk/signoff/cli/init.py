"""`signoff init`: a workflow and its tools, to begin with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from signoff.cli.failures import Failure
from signoff.cli.output import document, note
from signoff.cli.starter import TOOLS, WORKFLOW

FILES: Final[Mapping[str, str]] = {"workflow.yaml": WORKFLOW, "tools.py": TOOLS}
_NEXT: Final = """\
Next, each from a shell in this folder:
  signoff dev                              serve, with a worker that runs tools.py
  signoff run workflow.yaml --no-follow    start a run, and print its id
  signoff approvals EXECUTION_ID           see what it waits for
  signoff approve EXECUTION_ID             let it go on
  signoff inspect EXECUTION_ID             see what came of it"""


@click.command()
@click.option("--force", is_flag=True, help="Write over files that are here already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
def init(force: bool, as_json: bool) -> None:
    """Write a workflow and its tools to begin with: workflow.yaml, a payment processor, and tools.py."""
    here = [name for name in FILES if Path(name).is_symlink() or Path(name).exists()]
    if here and not force:
        raise Failure(f"Here already: {' and '.join(here)}. Begin in an empty folder, or give --force to write over.")
    for name, text in FILES.items():
        # Nothing that came in between is written over either.
        with Path(name).open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    if as_json:
        document({"written": list(FILES)})
        return
    click.echo(f"Wrote {' and '.join(FILES)}.")
    note(_NEXT)
