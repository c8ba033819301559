"""The answer to a start, which comes from what was just recorded, is what is read of the run afterwards."""

import pytest

from tests.support.project import Project
from tests.support.workflows import GATED, PLAIN, read, start

BLOCKED = PLAIN.replace("id: plain", "id: blocked") + "policy: {blocked_tools: [pay]}\n"
FAILING = PLAIN.replace("id: plain", "id: failing").replace("input.amount", "input.missing")
WAITING = """
workflow: {id: waiting, version: 1.0.0, start: hold}
nodes:
  hold: {type: wait, event: go, next: end}
"""
ENDED = """
workflow: {id: ended, version: 1.0.0, start: end}
nodes:
  end: {type: end}
"""


@pytest.mark.parametrize(
    ("source", "status"),
    [
        (GATED, "parked"),
        (PLAIN, "running"),
        (BLOCKED, "failed"),
        (FAILING, "failed"),
        (WAITING, "parked"),
        (ENDED, "completed"),
    ],
    ids=["gated", "ungated", "blocked", "failing", "waiting", "ended"],
)
def test_a_start_is_answered_as_it_is_read(project: Project, source: str, status: str) -> None:
    begun = start(project, source, {"amount": "1.00"})
    assert begun["status"] == status
    assert begun == read(project, begun["id"])
