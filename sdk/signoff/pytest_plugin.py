"""The testing mode as pytest fixtures: `approve_next`, `reject_next`, `approve_all`, `leave_pending`, `advance_time`.

Found by pytest wherever signoff is installed, so it imports nothing but what pytest has anyway: the SDK is loaded when
a test asks for one of these fixtures. A test that does is in the testing mode from then to its end.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from signoff.testing import Armed, Asked


@pytest.fixture(name="_signoff_testing")
def _testing() -> "Iterator[Armed]":
    from signoff.testing import Armed

    with Armed() as armed:
        yield armed


@pytest.fixture
def approve_next(_signoff_testing: "Armed") -> "Callable[..., Asked]":
    """`approve_next("payments.*")`: approve the next approval whose name fits, and only that one."""
    return _signoff_testing.approve_next


@pytest.fixture
def reject_next(_signoff_testing: "Armed") -> "Callable[..., Asked]":
    """`reject_next("payments.*", "too much")`: reject the next approval whose name fits, with this reason."""
    return _signoff_testing.reject_next


@pytest.fixture
def approve_all(_signoff_testing: "Armed") -> "Callable[[], Asked]":
    """`approve_all()`: approve whatever is asked and nothing else was armed for."""
    return _signoff_testing.approve_all


@pytest.fixture
def leave_pending(_signoff_testing: "Armed") -> "Callable[..., Asked]":
    """`leave_pending("payments.*")`: decide nothing whose name fits."""
    return _signoff_testing.leave_pending


@pytest.fixture
def advance_time(_signoff_testing: "Armed") -> Callable[[float], None]:
    """`advance_time(60)`: move the clock of the approvals ahead by so many seconds."""
    return _signoff_testing.advance_time
