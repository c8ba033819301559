"""Death at each named place: what was acknowledged stands, what was not is there whole or not at all, and the same
call with the same key has one and the same result."""

import ast
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

import signoff_server
from signoff import ApprovalExpired, Signoff
from signoff_server.world import FAILPOINTS
from tests.crash.client import BRIEF_LEASES, DEV, Client, claims
from tests.support.databases import Databases
from tests.support.server import RunningServer

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]  # a busy machine takes its time to start ten servers

# The places that every write passes, and whether the write stands after a death there.
WRITES: Final = {
    "write.before_begin": False,
    "write.after_append": False,
    "write.before_commit": False,
    "write.after_commit": True,
    "reply.before_send": True,
}
STARTS: Final = ("start.before_migrate", "start.before_listen")
OTHERS: Final = ("agenda.after_claim", "lease.after_renew", "watch.before_send")
# Those of runs alone: see `test_failpoints_of_runs`.
OF_RUNS: Final = ("work.after_claim", "work.after_renew")


@contextmanager
def waiting(server: RunningServer, approval: str, transport: Any = "auto") -> Iterator["Future[Any]"]:
    """An SDK caller that waits for this approval, through whatever happens to the server."""
    with Signoff(server.url, server.app_key, transport=transport) as sdk, ThreadPoolExecutor(1) as pool:
        yield pool.submit(sdk.approvals.wait, approval, timeout=60)


@pytest.mark.parametrize("place", WRITES)
def test_a_write_is_there_whole_or_not_at_all(client: Client, place: str) -> None:
    server = client.server
    server.kill()
    server.start({"SIGNOFF_FAILPOINT": place})
    types: list[str] = []
    approval = ""

    def dies_then_answers(request: Callable[[], httpx.Response], kind: str) -> dict[str, Any]:
        client.dies_of(request)
        # The repetition passes the place once; the next step is the second to come there.
        server.start({"SIGNOFF_FAILPOINT": f"{place}:2"})
        stands = [*types, kind] if WRITES[place] else types
        assert client.ledger() == stands
        reply = request()
        types.append(kind)
        assert reply.status_code in (200, 201), reply.text
        assert client.ledger() == types
        found: dict[str, Any] = reply.json()
        shown: dict[str, Any] = found.get("approval", found)
        assert shown == client.get(shown["id"])
        return found

    asked = dies_then_answers(client.create, "approval.requested")
    approval = asked["id"]
    with waiting(server, approval) as answer:
        decided = dies_then_answers(lambda: client.decide(approval), "approval.approved")
        assert (decided["status"], decided["reason"]) == ("approved", "as agreed")
        assert answer.result(60).status == "approved"
    redeemed = dies_then_answers(lambda: client.redeem(approval), "approval.redeemed")
    assert redeemed["fence"] == 1
    reported = dies_then_answers(lambda: client.report(approval), "approval.outcome_reported")
    assert reported["redemption"]["outcome"] == "succeeded"
    assert client.ledger() == [
        "approval.requested",
        "approval.approved",
        "approval.redeemed",
        "approval.outcome_reported",
    ]


def test_a_lease_renewed_before_the_death_stands_renewed(client: Client) -> None:
    approval = client.create().json()["id"]
    client.decide(approval)
    until = client.redeem(approval).json()["lease_until"]
    client.server.kill()
    client.server.start({"SIGNOFF_FAILPOINT": "lease.after_renew"})

    client.dies_of(lambda: client.renew(approval))
    client.server.start()

    renewed = client.get(approval)["redemption"]["lease_until"]
    assert renewed > until
    assert client.renew(approval).json()["lease_until"] > renewed
    assert client.report(approval).status_code == 200


def test_an_expiry_claimed_before_the_death_is_carried_out_after_it(client: Client) -> None:
    server = client.server
    server.kill()
    server.start({"SIGNOFF_FAILPOINT": "agenda.after_claim"})
    approval = client.create(expires_in=1).json()["id"]

    with waiting(server, approval) as answer:
        assert server.wait() == -signal.SIGKILL
        server.start()
        with pytest.raises(ApprovalExpired):
            answer.result(10)
    assert client.ledger() == ["approval.requested", "approval.expired"]


def test_a_lost_lease_claimed_before_the_death_is_carried_out_after_it(
    databases: Databases, database: str, tmp_path: Path, http: httpx.Client
) -> None:
    code = BRIEF_LEASES + claims(databases) + DEV
    with RunningServer(tmp_path, database=database, code=code) as server:
        client = Client(server, http)
        approval = client.create().json()["id"]
        client.decide(approval)
        server.kill()
        server.start({"SIGNOFF_FAILPOINT": "agenda.after_claim"})
        client.redeem(approval)
        assert server.wait() == -signal.SIGKILL

        server.start()

        marker = client.call(server.app(), "POST", "/v1/approvals", json={"name": "marker", "expires_in": 1}).json()[
            "id"
        ]
        # What expires later than the lease is carried out after it.
        assert client.get(marker, wait=30)["status"] == "expired"
        assert client.get(approval)["redemption"]["outcome"] == "unknown"


def test_a_waiter_that_was_about_to_be_told_is_told_after_the_death(client: Client) -> None:
    server = client.server
    approval = client.create().json()["id"]
    server.kill()
    server.start({"SIGNOFF_FAILPOINT": "watch.before_send"})

    with waiting(server, approval, "websocket") as answer:
        # Before it has one, it looks: what was decided by then would be told to it by that.
        client.until_watched()
        # The waiter may be told before the decider is answered, or after.
        with suppress(httpx.TransportError):
            assert client.decide(approval).status_code == 200
        assert server.wait() == -signal.SIGKILL
        server.start()
        assert client.decide(approval).status_code == 200
        assert answer.result(60).status == "approved"
    assert client.ledger() == ["approval.requested", "approval.approved"]


@pytest.mark.parametrize("place", STARTS)
def test_a_death_at_the_start_harms_nothing(empty: str, tmp_path: Path, http: httpx.Client, place: str) -> None:
    with pytest.raises(AssertionError, match="did not start"):
        RunningServer(tmp_path, database=empty, env={"SIGNOFF_FAILPOINT": place})
    with RunningServer(tmp_path, database=empty) as server:
        client = Client(server, http)
        approval = client.create().json()["id"]
        with waiting(server, approval) as answer:
            server.kill()
            with pytest.raises(AssertionError, match="did not start"):
                server.start({"SIGNOFF_FAILPOINT": place})
            assert server.process.returncode == -signal.SIGKILL
            server.start()
            assert client.decide(approval).status_code == 200
            assert answer.result(60).status == "approved"
        assert client.ledger() == ["approval.requested", "approval.approved"]


def test_every_name_is_a_place_in_the_code_and_in_these_tests() -> None:
    source = Path(signoff_server.__file__).parent
    named = [
        node.args[0].value
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "failpoint"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert sorted(map(str, named)) == sorted(FAILPOINTS)
    assert sorted((*WRITES, *STARTS, *OTHERS, *OF_RUNS)) == sorted(FAILPOINTS)
