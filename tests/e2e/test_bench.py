"""The bench runs, and prints each of its figures with all that belongs to one. What the figures say is not tested."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.fill import fill
from bench.history import CALLS
from bench.report import MEMBERS
from bench.setup import set_up
from bench.start import PROGRAMS
from signoff_server.service.rebuild import rebuild
from signoff_server.store.dialects import open_engines
from tests.support.tables import derived

ROOT = Path(__file__).parents[2]
FIGURES = {
    "latency": {f"decide_resumed.{way}.{colour}" for way in ("websocket", "poll") for colour in ("async", "sync")},
    "throughput": {
        "commits_per_second",
        "commits_per_second.grouped",
        "requests_per_second.bare",
        "requests_per_second.healthz",
        "creates_per_second",
        "decisions_per_second",
        "gates_per_second",
        "gates_per_second.sdk",
    },
    "parked": {"memory_of_a_wait.as_completed", "memory_of_a_wait.wait", "parked_at_rest", "memory_of_a_held_poll"},
    "history": {f"with_a_history.{name}" for name in (*CALLS, "start")},
    "start": {f"start.{name}" for name in (*PROGRAMS, "server")},
    "workflows": {
        "runs_started_per_second",
        "runs_completed_per_second",
        "runs_completed_per_second.sdk",
        "memory_of_a_parked_run",
        "parked_runs_at_rest",
        "parked_runs_at_rest.many",
        "decide_started",
        "decide_started.many",
        "restart_with_parked_runs",
        "step_of_a_long_run",
    },
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("subject", FIGURES)
def test_each_figure_is_printed_whole(subject: str, tmp_path: Path) -> None:
    machine, *figures = bench(tmp_path, subject, "--scale", "0.004")
    assert machine["values"]["cores"] >= 1
    assert {figure["name"] for figure in figures} == FIGURES[subject]
    for figure in figures:
        assert tuple(figure) == MEMBERS
        assert figure["database"] == "sqlite"
        # Memory may shrink meanwhile where next to nothing is measured.
        assert all(value >= 0 for value in figure["values"].values()) or figure["unit"] == "KiB"
        assert figure["met"] in ((True, False) if figure["aim"] else (None,))


def test_a_made_up_history_is_a_true_one(tmp_path: Path) -> None:
    """What `fill` has written, `rebuild` finds whole and makes again equal."""
    database = str(tmp_path / "signoff.db")
    keys = set_up(database)
    fill(tmp_path, database, keys, 40)
    engines = open_engines(database)
    before = derived(engines.reader)
    with engines.writer.begin() as connection:
        (done,) = rebuild(connection, 0)
    assert derived(engines.reader) == before
    engines.close()
    assert done.events == 6 + 2 * 40


def bench(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--folder", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
