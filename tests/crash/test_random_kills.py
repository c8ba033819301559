"""Twenty SIGKILLs at random; `make crash N=200` is the long form."""

import random
from pathlib import Path

import pytest

from tests.crash.run import crash


@pytest.mark.crash
def test_nothing_acknowledged_is_lost_and_nothing_happens_twice(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)

    told, violations = crash(tmp_path, kills=20, seed=seed)

    assert not violations, f"seed {seed}: {violations}"
    assert (told["lost"], told["doubled"], told["wrong"]) == (0, 0, 0)
    assert sum(told["kills"].values()) >= 20
    # A run in which nobody did anything would prove nothing.
    assert min(told["jobs"], told["approved"], told["rejected"]) > 0, told
