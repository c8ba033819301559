"""Races on a real server: exactly one wins, and every loser is told who did."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from signoff import AlreadyRedeemed, Signoff
from tests.support.databases import Databases
from tests.support.server import RunningServer

T = TypeVar("T")
MOST = 8
_CLOSING = ("approval.approved", "approval.rejected", "approval.expired", "approval.cancelled")


class Ring:
    """A server, an application, an admin and eight humans who decide, each with a connection that is open."""

    def __init__(self, server: RunningServer, stack: ExitStack) -> None:
        def client(key: str) -> httpx.Client:
            headers = {"Authorization": f"Bearer {key}"}
            return stack.enter_context(httpx.Client(base_url=server.url, headers=headers, timeout=30))

        self.server = server
        self.app = client(server.app_key)
        self.admin = client(server.reviewer_key)
        self.names: dict[str, str] = {}
        self.deciders: list[httpx.Client] = []
        for at in range(MOST):
            made = self.admin.post("/v1/principals", json={"name": f"human-{at}", "kind": "human"}).json()
            issued = self.admin.post("/v1/keys", json={"principal": made["id"], "scopes": ["approvals:decide"]}).json()
            self.names[made["id"]] = made["name"]
            self.deciders.append(client(issued["key"]))
        self._pool = stack.enter_context(ThreadPoolExecutor(2 * MOST))

    def ask(self, **body: Any) -> dict[str, Any]:
        reply = self.app.post("/v1/approvals", json={"name": "payments.wire", **body})
        assert reply.status_code == 201, reply.text
        asked: dict[str, Any] = reply.json()
        return asked

    def at_once(self, acts: Sequence[Callable[[], T]]) -> list[T]:
        """The results of all, begun at the same moment."""
        barrier = threading.Barrier(len(acts))

        def begin(act: Callable[[], T]) -> T:
            barrier.wait(10)
            return act()

        return list(self._pool.map(begin, acts))

    def decision(self, approval: str, at: int) -> Callable[[], httpx.Response]:
        body = {"decision": "approved"} if at % 2 else {"decision": "rejected", "reason": f"{at} says no"}
        return lambda: self.deciders[at].post(f"/v1/approvals/{approval}/decision", json=body)

    def cancel(self, approval: str) -> Callable[[], httpx.Response]:
        return lambda: self.app.post(f"/v1/approvals/{approval}/cancel", json={})

    def redeem(self, approval: dict[str, Any], redeemer: str) -> Callable[[], httpx.Response]:
        body = {"binding": approval["binding"], "redeemer": redeemer}
        return lambda: self.app.post(f"/v1/approvals/{approval['id']}/redeem", json=body)

    def wait(self, approval: str) -> dict[str, Any]:
        found: dict[str, Any] = self.app.get(f"/v1/approvals/{approval}?wait=30").json()
        return found

    def closing(self, approval: str) -> tuple[str, str | None]:
        """What ended it and who, by its one event that did."""
        events = self.admin.get(f"/v1/approvals/{approval}/events").json()["data"]
        (closing,) = [event for event in events if event["type"] in _CLOSING]
        return closing["type"].removeprefix("approval."), closing["actor"]["id"]

    def check_one_winner(self, approval: str, replies: Sequence[httpx.Response]) -> str:
        """At most one 200 and it is the event; every other is a 409 that names the winner. Answers what it became."""
        status, by = self.closing(approval)
        final = self.app.get(f"/v1/approvals/{approval}").json()
        assert (final["status"], final["decided_by"]["id"]) == (status, by)
        won = [reply.json() for reply in replies if reply.status_code == 200]
        assert len(won) == (0 if status == "expired" else 1), [reply.text for reply in replies]
        assert all((each["status"], each["decided_by"]["id"]) == (status, by) for each in won)
        for reply in replies:
            if reply.status_code != 200:
                assert reply.status_code == 409, reply.text
                current = reply.json()["current"]
                assert (current["status"], current["decided_by"]["id"]) == (status, by)
                assert current["decided_by"]["name"] == final["decided_by"]["name"]
                assert current["decided_at"] == final["decided_at"]
        return status


@pytest.fixture(scope="module")
def ring(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    with ExitStack() as stack:
        database = stack.enter_context(databases.ready())
        server = stack.enter_context(RunningServer(tmp_path_factory.mktemp("races"), database=database))
        yield Ring(server, stack)


@pytest.mark.parametrize("deciders", range(2, MOST + 1))
def test_of_all_who_decide_at_once_exactly_one_wins(ring: Ring, deciders: int) -> None:
    for _ in range(10):
        approval = ring.ask()["id"]
        replies = ring.at_once([ring.decision(approval, at) for at in range(deciders)])
        assert ring.check_one_winner(approval, replies) in ("approved", "rejected")
        by = ring.closing(approval)[1]
        assert by in ring.names
        assert ring.wait(approval)["decided_by"]["name"] == ring.names[by]


def test_a_cancellation_and_decisions_have_one_winner(ring: Ring) -> None:
    became = set()
    for deciders in (1, 2, 3, 4) * 6:
        approval = ring.ask()["id"]
        acts = [ring.cancel(approval), *(ring.decision(approval, at) for at in range(deciders))]
        became.add(ring.check_one_winner(approval, ring.at_once(acts)))
    assert became <= {"approved", "rejected", "cancelled"}


def in_turn(acts: Iterable[Callable[[], T]]) -> list[T]:
    return [act() for act in acts]


def test_an_expiry_and_decisions_have_one_winner(ring: Ring) -> None:
    became = []
    for _ in range(4):
        # The first to expire is the starting shot for deciding those that expire in the moments after it.
        shot, *contested = [ring.ask(expires_in=1)["id"] for _ in range(20)]
        assert ring.wait(shot)["status"] == "expired"
        # Last first, so that some are decided in their last moments and others a moment late.
        acts = {each: [ring.decision(each, at) for at in range(4)] for each in reversed(contested)}
        columns = ring.at_once([partial(in_turn, [row[at] for row in acts.values()]) for at in range(4)])
        for approval, *replies in zip(acts, *columns, strict=True):
            assert ring.wait(approval)["status"] != "pending"
            became.append(ring.check_one_winner(approval, replies))
    assert "expired" in became
    assert set(became) <= {"approved", "rejected", "expired"}


def test_concurrent_first_uses_of_a_key_make_one_approval(ring: Ring) -> None:
    for at in range(25):
        body, headers = {"name": "payments.wire", "context": {"round": at}}, {"Idempotency-Key": f"first:{at}"}
        replies = ring.at_once([partial(ring.app.post, "/v1/approvals", json=body, headers=headers)] * MOST)
        assert sorted(reply.status_code for reply in replies) == [200] * (MOST - 1) + [201]
        assert len({reply.json()["id"] for reply in replies}) == 1
        replayed = [reply for reply in replies if reply.headers.get("Idempotent-Replayed") == "true"]
        assert [reply.status_code for reply in replayed] == [200] * (MOST - 1)


def test_concurrent_uses_of_a_key_for_different_things_are_told_apart(ring: Ring) -> None:
    for at in range(10):
        headers = {"Idempotency-Key": f"other:{at}"}
        amounts = [*range(4)] * 2
        bodies = [{"name": "payments.wire", "context": {"amount": amount}} for amount in amounts]
        replies = ring.at_once([partial(ring.app.post, "/v1/approvals", json=body, headers=headers) for body in bodies])
        assert sorted(reply.status_code for reply in replies) == [200, 201] + [422] * 6
        assert {reply.json()["code"] for reply in replies if reply.status_code == 422} == {"idempotency_key_reuse"}
        assert len({amount for amount, reply in zip(amounts, replies, strict=True) if reply.status_code < 300}) == 1


def test_of_all_who_redeem_at_once_exactly_one_holds_the_fence(ring: Ring) -> None:
    for _ in range(15):
        approval = ring.ask()
        ring.decision(approval["id"], 1)()
        replies = ring.at_once([ring.redeem(approval, f"r{at}") for at in range(MOST)])
        assert sorted(reply.status_code for reply in replies) == [200] + [409] * (MOST - 1)
        assert [reply.json()["fence"] for reply in replies if reply.status_code == 200] == [1]
        assert {reply.json()["code"] for reply in replies if reply.status_code == 409} == {"already_redeemed"}
        assert all(reply.json()["current"]["redemption"]["fence"] == 1 for reply in replies if reply.status_code == 409)


def test_one_redeemer_asking_many_times_at_once_holds_one_fence(ring: Ring) -> None:
    approval = ring.ask()
    ring.decision(approval["id"], 1)()
    replies = ring.at_once([ring.redeem(approval, "r1")] * MOST)
    assert {(reply.status_code, reply.json()["fence"]) for reply in replies} == {(200, 1)}
    assert len({reply.json()["lease_until"] for reply in replies}) == 1
    events = ring.admin.get(f"/v1/approvals/{approval['id']}/events").json()["data"]
    assert [event["type"] for event in events].count("approval.redeemed") == 1


def test_of_threads_that_enter_the_same_block_one_runs_it(ring: Ring) -> None:
    ran: list[int] = []

    def enter(client: Signoff, key: str, at: int, inside: threading.Barrier) -> str:
        try:
            with client.require_approval("payments.wire", {"to": "x"}, idempotency_key=key, on_pending=approve):
                ran.append(at)
                # The block is left only when the others have been turned away.
                inside.wait(30)
        except AlreadyRedeemed as turned_away:
            inside.wait(30)
            return f"turned away: {turned_away.outcome}"
        return "ran"

    def approve(approval: Any) -> None:
        reply = ring.decision(approval.id, 1)()
        assert reply.status_code in (200, 409)

    with Signoff(ring.server.url, ring.server.app_key) as client:
        for at in range(10):
            inside = threading.Barrier(4)
            acts = [partial(enter, client, f"threads:{at}", n, inside) for n in range(4)]
            assert sorted(ring.at_once(acts)) == ["ran"] + ["turned away: None"] * 3
    assert len(ran) == 10


_ENTER = """
import sys
from signoff import AlreadyRedeemed, Signoff
with Signoff() as client:
    print("ready", flush=True)
    for key in sys.stdin:
        try:
            with client.require_approval("payments.wire", {"to": "x"}, idempotency_key=key.strip()):
                print("ran", flush=True)
        except AlreadyRedeemed:
            print("turned away", flush=True)
"""


def test_of_processes_that_enter_the_same_block_one_runs_it(ring: Ring, tmp_path: Path) -> None:
    env = {"SIGNOFF_URL": ring.server.url, "SIGNOFF_API_KEY": ring.server.app_key}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _ENTER],
                    cwd=tmp_path,
                    env=env,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(2)
        ]
        assert [_line(process) for process in processes] == ["ready"] * 2
        for at in range(15):
            asked = ring.app.post(
                "/v1/approvals",
                json={"name": "payments.wire", "context": {"to": "x"}},
                headers={"Idempotency-Key": f"processes:{at}"},
            ).json()
            ring.decision(asked["id"], 1)()
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"processes:{at}\n")
                process.stdin.flush()
            assert sorted(_line(process) for process in processes) == ["ran", "turned away"]
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == 0


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
