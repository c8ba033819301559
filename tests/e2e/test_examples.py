"""The examples, as a user runs them."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_demo_shows_what_it_says() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("is dead (exit code -9)") == 2
    assert "Each approved transfer was booked once" in done.stdout
    for event in ("requested", "approved", "rejected", "redeemed", "outcome_reported"):
        assert f"approval.{event}" in done.stdout


def test_every_example_is_run_by_a_test() -> None:
    # The demo runs the other one, with its invoices.
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "demo.py",
        "wire_transfer.py",
        "invoices.csv",
    }
