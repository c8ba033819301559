"""The bench runs, and prints each of its figures with all that belongs to one. What the figures say is not tested."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.report import MEMBERS

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
}


@pytest.mark.parametrize("subject", FIGURES)
def test_each_figure_is_printed_whole(subject: str, tmp_path: Path) -> None:
    machine, *figures = bench(tmp_path, subject, "--scale", "0.004")
    assert machine["values"]["cores"] >= 1
    assert {figure["name"] for figure in figures} == FIGURES[subject]
    for figure in figures:
        assert tuple(figure) == MEMBERS
        assert figure["database"] == "sqlite"
        assert all(value >= 0 for value in figure["values"].values())
        assert figure["met"] in ((True, False) if figure["aim"] else (None,))


def test_an_unknown_subject_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        bench(tmp_path, "weather")


def bench(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--folder", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
