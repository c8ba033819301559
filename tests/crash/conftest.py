"""A server that is told to die, and whoever speaks to it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.crash.client import DEV, Client, claims
from tests.support.databases import Databases
from tests.support.server import RunningServer


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=40) as made:
        yield made


@pytest.fixture
def client(databases: Databases, database: str, tmp_path: Path, http: httpx.Client) -> Iterator[Client]:
    with RunningServer(tmp_path, database=database, code=claims(databases) + DEV) as server:
        yield Client(server, http)
