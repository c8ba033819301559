"""`python -m bench [SUBJECT …] [--scale X] [--database URL]`: figures as JSON lines on stdout, a summary on stderr."""

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bench import history, latency, parked, start, throughput, workflows
from bench.databases import databases
from bench.machine import facts
from bench.report import Report, tell
from bench.run import Run

SUBJECTS: Final[dict[str, Callable[[Run], None]]] = {
    "latency": latency.measure,
    "throughput": throughput.measure,
    "parked": parked.measure,
    "history": history.measure,
    "start": start.measure,
    "workflows": workflows.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)}; all without one")
    parser.add_argument("--scale", type=float, default=1.0, help="shrink (0.01) or grow every count")
    parser.add_argument(
        "--database",
        help="the URL of a server to make databases on, or `postgres` for the one that the tests use; else SQLite",
    )
    parser.add_argument("--folder", type=Path, help="where the files lie meanwhile; it should be on a real disk")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.subjects if name not in SUBJECTS]:
        parser.error(f"no such subject: {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
    _allow_many_files()
    with tempfile.TemporaryDirectory(prefix="signoff-bench-", dir=options.folder) as folder:
        place = databases(options.database, Path(folder))
        print(json.dumps({"name": "machine", "values": facts(Path(folder)), "database": place.name}), flush=True)
        run = Run(Path(folder), place, Report(place.name), options.scale)
        try:
            for name in options.subjects or SUBJECTS:
                tell(name)
                SUBJECTS[name](run)
        finally:
            place.close()
    return 0


def _allow_many_files() -> None:
    """Thousands of connections at either end: as many as may be, for this process and those that it starts."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
