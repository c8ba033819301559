"""Fuzz the HTTP interface: `python -m tests.fuzz.run --cases N [--seed S] [--database KIND or URL]`.

Every boundary case of `openapi.yaml`, N random ones, and odd bytes in every place that takes text, sent to a real
server by principals of every sort. Prints one line of JSON; every violation is told with its request as a curl
command, and the exit code is 1.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Final

from tests.crash.run import databases_of
from tests.fuzz.generated import Generated, Luck, Sent
from tests.fuzz.odd import Wire, every
from tests.fuzz.target import Target
from tests.support.databases import KINDS

_TOP_UP_EVERY: Final = 25
# Of each operation in each form.
_MOST_AT_ONCE: Final = 20


@dataclass
class Told:
    """What was seen. `reached` holds the statuses that each operation answered."""

    seed: int
    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    reached: dict[str, set[int]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def note(self, kind: str, sent: Sent) -> None:
        self.cases[kind] += 1
        self.statuses[sent.status] += 1
        self.reached.setdefault(sent.operation, set()).add(sent.status)
        if sent.violation is not None:
            self.violations.append(f"{kind} {sent.mode} case {self.cases[kind]}, seed {self.seed}: {sent.violation}")


def fuzz(
    folder: Path, database: str, *, cases: int, seed: int, boundary: int | None = None, odd: int | None = None
) -> Told:
    """Boundary cases, `cases` random ones and odd bytes against a server on `database`, which has to be empty.

    `boundary` and `odd` say how many of the first and the last are sent; all by default.
    """
    told = Told(seed)
    with Target(folder, database) as target:
        with closing(Generated(target, seed)) as generated:
            for kind, case, chance in _every(generated, boundary, cases):
                if told.cases.total() % _TOP_UP_EVERY == 0:
                    target.top_up()
                told.note(kind, generated.send(case, chance))
        with closing(Wire(target)) as wire:
            each = list(every(target))
            for request in each if odd is None else random.Random(seed).sample(each, odd):
                told.note("odd", wire.send(request))
        if (code := target.stop()) != 0:
            told.violations.append(f"the server ended with {code}")
        if errors := target.log.read_text():
            told.violations.append(f"the server logged: {errors}")
    return told


def _every(generated: Generated, most: int | None, number: int) -> Iterator[tuple[str, Any, random.Random]]:
    yield from (("sure", case, Luck()) for case in generated.surely())
    boundary = list(generated.boundary())
    # What one case decides or redeems is what a later one finds.
    generated.chance("order").shuffle(boundary)
    yield from (("boundary", case, generated.chance("boundary", at)) for at, case in enumerate(boundary[:most]))
    left, turn = number, 0
    while left > 0:
        each = min(_MOST_AT_ONCE, ceil(left / len(generated.operations) / 2))
        drawn = list(generated.at_random(each, turn))
        generated.chance("order", turn).shuffle(drawn)
        yield from (("random", case, generated.chance("random", turn, at)) for at, case in enumerate(drawn[:left]))
        left, turn = left - len(drawn), turn + 1


@contextmanager
def _database(wanted: str, folder: Path) -> Iterator[str]:
    if wanted not in KINDS:
        yield wanted
        return
    with databases_of(wanted, folder) as databases, databases.empty() as database:
        yield database


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--database", default="sqlite", help=f"{', '.join(KINDS)}, or the URL of an empty database")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _database(options.database, Path(folder)) as database:
        told = fuzz(Path(folder), database, cases=options.cases, seed=options.seed)
    for violation in told.violations:
        print(violation, file=sys.stderr)
    line = {"seed": told.seed, "cases": told.cases, "statuses": told.statuses, "violations": len(told.violations)}
    print(json.dumps(line))
    sys.exit(bool(told.violations))


if __name__ == "__main__":
    main()
