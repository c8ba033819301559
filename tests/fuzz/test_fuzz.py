"""A sample of `make fuzz`: the interface is what `openapi.yaml` says, whatever it is sent."""

import random
from pathlib import Path

import pytest

from signoff_server.web.routes import ROUTES
from tests.fuzz.run import fuzz


@pytest.mark.timeout(300)  # a busy machine takes its time for some thousand requests
def test_no_answer_breaks_the_document(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)

    told = fuzz(tmp_path, cases=250, seed=seed, odd=600)

    assert not told.violations, "\n\n".join(told.violations[:5])
    # A run in which everything is refused would prove nothing, and neither would one that is half as long.
    for route in ROUTES:
        assert set(route.replies) & told.reached[f"{route.method} {route.path}"], route
    assert {400, 401, 403, 404, 405, 409, 415, 422} <= set(told.statuses)
    assert told.cases["boundary"] >= 700
    assert told.cases["random"] >= 200
    assert told.cases["odd"] == 600
