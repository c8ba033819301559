"""Snapshots that an older program wrote: whatever has a default may be missing in them."""

import json
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

import pytest

from signoff_server.core import approval_state
from signoff_server.core.approval_state import Approval
from signoff_server.core.events import SYSTEM, Recorded
from signoff_server.store import codec
from tests.core.runs import Project
from tests.core.test_attempts import GATED, Story


def midway() -> Project:
    """A run with a gated node that was handed out, and its approval."""
    return Story(GATED).approve().take().project


STATES = dict(midway().streams)


def optional(state: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Where in a state something has a default, with that default."""
    for field in fields(state):
        value = getattr(state, field.name)
        if field.default is not MISSING or field.default_factory is not MISSING:
            yield (*path, field.name), _default(field)
        parts = enumerate(value) if isinstance(value, tuple) else [(None, value)]
        for at, part in parts:
            if is_dataclass(part):
                yield from optional(part, (*path, field.name) if at is None else (*path, field.name, at))


def _default(field: "Field[Any]") -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def reached(state: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        state = state[step] if isinstance(step, int) else getattr(state, step)
    return state


@pytest.mark.parametrize("subject", STATES)
def test_what_is_missing_has_its_default_and_the_rest_is_as_it_was(subject: str) -> None:
    state = STATES[subject]
    places = list(optional(state))
    assert len(places) > 5
    for path, default in places:
        data = json.loads(codec.dump_state(state))
        holder = data
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]
        loaded = codec.load_state(subject, json.dumps(data).encode())
        assert reached(loaded, path) == default
        if reached(state, path) == default:
            assert loaded == state


@pytest.mark.parametrize("subject", STATES)
def test_a_snapshot_is_read_as_it_was_written(subject: str) -> None:
    assert codec.load_state(subject, codec.dump_state(STATES[subject])) == STATES[subject]


def test_an_approval_that_was_asked_for_before_there_were_visits_is_read() -> None:
    facts = {
        "name": "payments.wire",
        "requirement": {"rule": None, "approvals": 1, "kinds": ["human"], "reviewers": [], "on_expiry": "expire"},
        "binding": "sha256:x",
        "expires_at": "2026-11-23T08:15:00.123Z",
        "approved_for": 86_400,
        "source": {"kind": "sdk", "execution_id": None, "node_id": None, "tool": None},
        "owner": None,
        "on_behalf_of": None,
        "initiator": None,
    }
    state = approval_state.evolve(None, Recorded(1, "evt_1", "approval.requested", 1, "apr_1", 1, 0, SYSTEM, facts, ""))
    assert isinstance(state, Approval)
    assert state.source.visit is None
