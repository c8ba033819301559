"""Every test of the worker starts with an empty configuration."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIGNOFF_URL", "SIGNOFF_API_KEY", "SIGNOFF_REVIEWER_KEY", "SIGNOFF_WORKER_KEY", "BANK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
