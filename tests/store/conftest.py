"""The store is tried on every database, and through a pooler."""

import pytest

from tests.support.databases import KINDS, Databases


@pytest.fixture(scope="module", params=[*KINDS, "pgbouncer"])
def databases(request: pytest.FixtureRequest) -> Databases:
    found: Databases = request.getfixturevalue(request.param)
    return found
