"""A sample of `make fuzz`: the interface is what `openapi.yaml` says, whatever it is sent, on each database."""

import random
from pathlib import Path

import pytest

from signoff_server.web.routes import ROUTES
from tests.fuzz.run import fuzz
from tests.support.databases import Databases

# How many of each kind of case; the same requests are refused before any database is asked.
BOUNDARY = {"sqlite": 450, "postgres": 200}
RANDOM = {"sqlite": 120, "postgres": 70}
ODD = {"sqlite": 400, "postgres": 150}


@pytest.mark.timeout(300)  # a busy machine takes its time for some thousand requests
def test_no_answer_breaks_the_document(tmp_path: Path, databases: Databases) -> None:
    seed, kind = random.SystemRandom().randrange(2**32), databases.kind
    with databases.empty() as database:
        told = fuzz(tmp_path, database, cases=RANDOM[kind], seed=seed, boundary=BOUNDARY[kind], odd=ODD[kind])

    assert not told.violations, "\n\n".join(told.violations[:5])
    # A run in which everything is refused would prove nothing, and neither would one that is half as long.
    for route in ROUTES:
        assert set(route.replies) & told.reached[f"{route.method} {route.path}"], route
    assert {400, 401, 403, 404, 405, 409, 415, 422} <= set(told.statuses)
    assert (told.cases["boundary"], told.cases["odd"]) == (BOUNDARY[kind], ODD[kind])
    assert told.cases["random"] >= RANDOM[kind] * 0.7
