"""Thousands of wrong replies at each step: nothing returns, and no block is entered, but for a true approval.

Everything else raises an error of ours, soon: no foreign exception, no hang.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any, Final, TypeVar

import pytest

from signoff import Approval, errors
from signoff.transport import Incoming, Outgoing
from tests.sdk import replies
from tests.sdk.colours import AsyncColour, Colour, FakePace, SyncColour
from tests.sdk.mutations import JSON, Message, Reply, is_approved, messages, mutated
from tests.sdk.scripted import Scripted, json_reply, path_of

URL: Final = "http://127.0.0.1:9"
PENDING, GOOD = replies.approval(), replies.approved()
M = TypeVar("M", Reply, Message)
LARGE: Final = ("cut", "statuses", "wrong_members")
HONEST: Final = {
    "create": json_reply(json.dumps(PENDING).encode(), 201),
    # Whoever waits on is told no in the end.
    "get": json_reply(json.dumps(replies.decided("rejected", reason="no")).encode()),
    "redeem": json_reply(json.dumps(replies.redeemed()).encode()),
    "outcome": json_reply(json.dumps(replies.reported()).encode()),
}


_REJECTED: Final = replies.decided("rejected", reason="no")
NO: Final = json.dumps({"op": "resolved", "approval": {name: _REJECTED[name] for name in replies.resolved()}})


class Client:
    """A client of one colour over a scripted wire, and what it lets pass."""

    def __init__(self, make: type[Colour], mode: Any = "poll") -> None:
        self.wire = Scripted()
        self.colour = make(URL, FakePace(), mode=mode, wire=self.wire)

    def passed(self, *, entering: bool) -> Approval | None:
        """The approval that a call returned or a block was entered with; None where it raised an error of ours."""
        seen: list[Approval] = []
        ask, options = (replies.NAME, replies.CONTEXT), {"idempotency_key": "k", "timeout": 5}
        try:
            if entering:
                self.colour.enter(seen.append, *ask, **options)
            else:
                seen.append(self.colour.require(*ask, **options))
        except errors.SignoffError:
            assert not seen
        return seen[0] if seen else None


@pytest.fixture(scope="module")
def clients() -> Iterator[list[Client]]:
    made = [Client(SyncColour), Client(AsyncColour)]
    yield made
    for each in made:
        each.colour.close()


def dealt(
    wrong: Iterable[M], clients: list[Client], forms: tuple[bool, ...] = (False, True)
) -> Iterator[tuple[M, Client, bool]]:
    """Each with a client, and whether it is asked to enter: where a family is large with all of them in turn, else
    with every one.
    """
    every = list(product(clients, forms))
    for number, each in enumerate(wrong):
        for client, entering in [every[number % len(every)]] if each.family in LARGE else every:
            yield each, client, entering


def answering(step: str, hostile: Incoming, before: dict[str, Incoming] = HONEST) -> Callable[[Outgoing], Incoming]:
    """Everything as `before`, but `step`. What is waited for is answered honestly after the first time."""
    left = {step: hostile}

    def answer(request: Outgoing) -> Incoming:
        wanted = path_of(request)
        if wanted == "get":
            return left.pop(wanted, before[wanted])
        return left.get(wanted, before[wanted])

    return answer


def would_pass(incoming: Incoming, known: dict[str, Any], *statuses: int, redeemed: bool = False) -> bool:
    kind = incoming.headers.get("content-type", "").partition(";")[0]
    return incoming.status in statuses and kind == JSON and is_approved(incoming.body, known, redeemed=redeemed)


def told(body: bytes) -> dict[str, Any]:
    """What stands for the question where nothing but the question is known before: the reply's own names for it."""
    try:
        said = json.loads(body)
        own = {name: said[name] for name in ("id", "project", "nonce", "execution_key")}
    except (ValueError, KeyError, TypeError):
        own = {}
    return {**GOOD, **own}


def test_replies_to_asking(clients: list[Client]) -> None:
    tried, let_go = Counter[str](), 0
    for reply, client, entering in dealt(mutated(GOOD, status=201), clients):
        client.wire.answer = answering("create", reply.incoming)
        passed = client.passed(entering=entering)
        if passed is not None:
            assert would_pass(reply.incoming, told(reply.incoming.body), 200, 201), reply
            assert (passed.name, passed.context, passed.status) == (replies.NAME, replies.CONTEXT, "approved")
            let_go += 1
        tried[reply.family] += 1
    enough(tried)
    # What is wrong where it does not matter passes: a reply is not refused for a comment.
    assert 100 < let_go < 400


def test_replies_to_waiting(clients: list[Client]) -> None:
    tried, let_go = Counter[str](), 0
    for reply, client, entering in dealt(mutated(GOOD), clients):
        client.wire.answer = answering("get", reply.incoming)
        passed = client.passed(entering=entering)
        if passed is not None:
            assert would_pass(reply.incoming, GOOD, 200), reply
            assert (passed.id, passed.binding, passed.context) == (GOOD["id"], GOOD["binding"], GOOD["context"])
            let_go += 1
        tried[reply.family] += 1
    enough(tried)
    assert 100 < let_go < 400


def test_replies_to_redeeming(clients: list[Client]) -> None:
    tried, let_go = Counter[str](), 0
    granted = {**HONEST, "create": json_reply(json.dumps(GOOD).encode(), 201)}
    good = replies.redeemed()
    for reply, client, _ in dealt(mutated(good), clients, forms=(True,)):
        client.wire.answer = answering("redeem", reply.incoming, granted)
        passed = client.passed(entering=True)
        if passed is not None:
            assert would_pass(reply.incoming, GOOD, 200, redeemed=True), reply
            held = json.loads(reply.incoming.body)
            redemption = held["approval"]["redemption"]
            assert (redemption["fence"], redemption["outcome"]) == (held["fence"], None), reply
            let_go += 1
        tried[reply.family] += 1
    enough(tried)
    assert 100 < let_go < 400


def test_replies_to_reporting_change_nothing_for_the_block(clients: list[Client]) -> None:
    """It ran: an error now would say that it had not."""
    granted = {**HONEST, "create": json_reply(json.dumps(GOOD).encode(), 201)}
    tried = 0
    for number, (reply, client, _) in enumerate(dealt(mutated(replies.reported()), clients, forms=(True,))):
        if number % 7 == 0:
            client.wire.answer = answering("outcome", reply.incoming, granted)
            assert client.passed(entering=True) is not None
            tried += 1
    assert tried > 600


@pytest.fixture(scope="module")
def watching() -> Iterator[list[Client]]:
    made = [Client(SyncColour, "auto"), Client(AsyncColour, "auto")]
    yield made
    for each in made:
        each.colour.close()


def test_messages_of_a_watch_socket(watching: list[Client]) -> None:
    tried, let_go = Counter[str](), 0
    for message, client, entering in dealt(messages(replies.resolved()), watching):
        client.wire.sockets = [[message.text, NO], [NO], [NO]]
        client.wire.answer = answering("get", HONEST["get"])
        passed = client.passed(entering=entering)
        if passed is not None:
            assert is_approved(json.dumps(json.loads(message.text)["approval"]), GOOD, whole=False), message
            assert json.loads(message.text)["op"] == "resolved"
            assert (passed.id, passed.binding, passed.context) == (GOOD["id"], GOOD["binding"], GOOD["context"])
            let_go += 1
        tried[message.family] += 1
    assert tried >= Counter(
        {"cut": 1_150, "wrong_members": 900, "swapped": 250, "doubled": 190, "op": 90, "code": 130}
    ), tried
    assert 100 < let_go < 400


def test_close_codes_of_a_watch_socket(watching: list[Client]) -> None:
    for code in (*range(1_000, 1_016), 3_000, *range(4_400, 4_440), 4_999):
        for client in watching:
            client.wire.sockets = [[code], [NO], [NO]]
            client.wire.answer = answering("get", HONEST["get"])
            assert client.passed(entering=False) is None


def enough(tried: Counter[str]) -> None:
    """A family that shrinks unseen would prove less and less."""
    least = {"cut": 1_200, "statuses": 2_150, "wrong_members": 1_000, "swapped": 1_000, "kinds": 34, "encoded": 16}
    assert tried >= Counter({**least, "wrapped": 66, "doubled": 32, "stale": 24, "large": 18}), tried
