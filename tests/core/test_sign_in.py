"""How long a session lasts, and when a password is not looked at."""

import pytest

from signoff_server.core.sign_in import (
    IDLE,
    LONGEST,
    SCOPES,
    WINDOW,
    Tries,
    locked_until,
    one_less,
    one_more,
    scopes,
    session_end,
)


def test_a_session_ends_idle_or_after_a_day_s_work() -> None:
    assert session_end(0, LONGEST) == IDLE
    assert session_end(LONGEST - 1, LONGEST) == LONGEST


@pytest.mark.parametrize(
    ("tries", "now", "until"),
    [
        (None, 0, None),
        (Tries(4, 0), 1, None),
        (Tries(5, 0), 0, WINDOW),
        (Tries(5, 0), WINDOW - 1, WINDOW),
        (Tries(5, 0), WINDOW, None),
        (Tries(9, 0), 1, WINDOW),
    ],
)
def test_a_lock_stands_for_its_time(tries: Tries | None, now: int, until: int | None) -> None:
    assert locked_until(tries, 5, now) == until


@pytest.mark.parametrize(
    ("tries", "now", "more"),
    [
        (None, 7, Tries(1, 7)),
        (Tries(1, 7), 8, Tries(2, 7)),
        (Tries(4, 7), 9, Tries(5, 9)),
        (Tries(4, 7), 7 + WINDOW, Tries(1, 7 + WINDOW)),
        (Tries(5, 7), 7 + WINDOW, Tries(1, 7 + WINDOW)),
    ],
)
def test_the_failure_that_locks_begins_the_time(tries: Tries | None, now: int, more: Tries) -> None:
    assert one_more(tries, 5, now) == more


def test_one_less() -> None:
    assert one_less(None) is None
    assert one_less(Tries(1, 7)) is None
    assert one_less(Tries(5, 7)) == Tries(4, 7)


def test_only_an_admin_administers_and_a_member_does_nothing() -> None:
    assert {role for role in SCOPES if "admin" in scopes(role)} == {"admin"}
    assert {role for role in SCOPES if "approvals:decide" in scopes(role)} == {"reviewer", "admin"}
    assert scopes("member") == scopes("") == frozenset()
