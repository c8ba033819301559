"""Some SIGKILLs at random; `make crash N=200` is the long form."""

import random
from pathlib import Path

import pytest

from tests.crash.foreman import Unknown, made_out
from tests.crash.people import found_out
from tests.crash.run import crash
from tests.support.cluster import Cluster
from tests.support.databases import Databases, on_server
from tests.support.postgres import Server


@pytest.mark.crash
@pytest.mark.timeout(300)  # a busy machine takes its time to start forty processes
def test_nothing_acknowledged_is_lost_and_nothing_happens_twice(databases: Databases, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)

    told, violations = crash(tmp_path, databases, kills=16, seed=seed)

    assert not violations, f"seed {seed}: {violations}"
    assert (told["lost"], told["doubled"], told["wrong"]) == (0, 0, 0)
    assert sum(told["kills"].values()) >= 16
    # A run in which nobody did anything would prove nothing.
    assert min(told["jobs"], told["approved"], told["rejected"], told["runs"], told["completed"]) > 0, told


@pytest.mark.crash
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("victim", "kills"), [("connections", 12), ("database", 5)])
def test_a_database_that_goes_away_costs_a_delay_and_nothing_else(
    own_cluster: Cluster, tmp_path: Path, victim: str, kills: int
) -> None:
    seed = random.SystemRandom().randrange(2**32)

    with on_server(Server(own_cluster.url, own_cluster)) as databases:
        told, violations = crash(tmp_path, databases, kills=kills, seed=seed, victims=[victim])

    assert not violations, f"seed {seed}: {violations}"
    assert told["kills"] == {"server": 0, "caller": 0, "worker": 0, victim: kills}
    assert min(told["jobs"], told["approved"], told["rejected"]) > 0, told


@pytest.mark.parametrize(
    ("lines", "paid", "outcomes"),
    [
        ([], [], {"release"}),
        (["begin"], [], {"release", "failed"}),
        (["begin"], ["paid"], {"succeeded"}),
        (["begin", "end"], ["paid"], {"succeeded"}),
        (["begin", "end"], [], {"failed"}),
    ],
)
def test_the_person_of_a_run_lets_nothing_be_done_over_that_was_done(
    lines: list[str], paid: list[str], outcomes: set[str]
) -> None:
    ids = [f"apr_{at}" for at in range(20)]

    said = {
        found_out(
            [{"what": what, "id": each, "fence": 2} for what in lines] + [{"what": "begin", "id": each, "fence": 1}],
            [{"what": what, "id": each} for what in paid],
            each,
            2,
        )[0]
        for each in ids
    }

    assert said == outcomes


@pytest.mark.parametrize(
    ("lines", "is_over", "outcomes"),
    [
        ([], False, {"retry"}),
        ([], True, {"failed"}),
        ([("began", 2)], False, {"retry", "failed"}),
        ([("began", 1), ("effect", 1), ("ended", 1), ("began", 2)], False, {"succeeded"}),
        ([("began", 2), ("effect", 2)], True, {"succeeded"}),
    ],
)
def test_the_person_of_a_run_lets_no_tool_do_again_what_it_did(
    lines: list[tuple[str, int]], is_over: bool, outcomes: set[str]
) -> None:
    said = set()
    for at in range(20):
        lost = Unknown(f"exe_{at}", "pay", 1, 2, "w1", "apr_1")
        mine = [{"what": what, "attempt": attempt, "key": lost.key} for what, attempt in lines]
        said.add(made_out(mine, lost, is_over=is_over)[0])

    assert said == outcomes
