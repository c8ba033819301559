"""Every test of the SDK starts with an empty configuration."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from signoff import default, once
from tests.sdk.colours import AsyncColour, Colour, FakePace, SyncColour

URL = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SIGNOFF_URL", "SIGNOFF_API_KEY", "SIGNOFF_REVIEWER_KEY", "SIGNOFF_WORKER_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(once, "_said", {"signoff: told before"})
    monkeypatch.setattr(default, "_clients", {})
    yield
    for client, _ in default._clients.values():
        client.close()


@pytest.fixture
def pace() -> FakePace:
    return FakePace()


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest, pace: FakePace) -> Iterator[Colour]:
    """One client of each colour, waiting by long polling."""
    made = SyncColour(URL, pace) if request.param == "sync" else AsyncColour(URL, pace)
    yield made
    made.close()
