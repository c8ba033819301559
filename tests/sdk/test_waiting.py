"""Waiting over the socket, and what happens when the socket does not carry it."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import respx

from signoff import errors, waiting
from signoff.protocol.models import ResolvedApproval
from signoff.retry import Pace
from signoff.waiting import Waits
from signoff.watch_socket import Gone, Impossible
from tests.sdk import replies
from tests.sdk.colours import AsyncColour, Colour, FakePace, SyncColour
from tests.sdk.watch_server import Line, WatchServer

Connect = Callable[..., Colour]


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, pace: FakePace) -> Iterator[Connect]:
    """Makes a client that waits by socket where it can."""
    made: list[Colour] = []

    def make(server: WatchServer, **options: Any) -> Colour:
        kind = SyncColour if request.param == "sync" else AsyncColour
        made.append(kind(server.url, pace, **{"mode": "auto", **options}))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def api() -> Iterator[respx.Router]:
    """HTTP beside the socket: an approval that is pending when it is asked for, and approved when it is polled."""
    with respx.mock(assert_all_called=False) as router:
        router.post(path="/v1/approvals").mock(return_value=replies.ok(replies.approval(), 201))
        router.get(path=f"/v1/approvals/{replies.ID}", name="poll").mock(return_value=replies.ok(replies.approved()))
        yield router


def ask(colour: Colour, **options: Any) -> Any:
    return colour.require(replies.NAME, replies.CONTEXT, idempotency_key="k", **options)


async def decide(line: Line) -> None:
    await line.take_watch()
    await line.resolve(replies.resolved())
    await line.stay()


def test_a_decision_comes_over_the_socket_alone(connect: Connect, api: respx.Router) -> None:
    with WatchServer(decide) as server:
        approval = ask(connect(server))
        assert approval.decided_by.name == "ada"
        assert approval.context == replies.CONTEXT
        assert not api["poll"].called
        (handshake,) = server.handshakes
        assert handshake.path == "/v1/approvals/watch"
        assert handshake.headers["Authorization"] == "Bearer sgo_test_key"
        assert handshake.headers["Signoff-Client"] == "sdk"
        assert server.heard.get(timeout=10) == (1, {"op": "watch", "ids": [replies.ID]})


def test_what_is_not_approved_is_told_over_the_socket_too(connect: Connect, api: respx.Router) -> None:
    async def reject(line: Line) -> None:
        await line.take_watch()
        said = replies.decided("rejected", reason="no")
        await line.resolve({name: said[name] for name in said if name not in ("context", "arguments", "nonce")})
        await line.stay()

    with WatchServer(reject) as server, pytest.raises(errors.ApprovalRejected):
        ask(connect(server))


def test_a_decision_before_the_acknowledgement_is_not_lost(connect: Connect, api: respx.Router) -> None:
    async def hasty(line: Line) -> None:
        await line.hear()
        await line.resolve(replies.resolved())
        await line.say(op="watching", count=0)
        await line.stay()

    with WatchServer(hasty) as server:
        assert ask(connect(server)).status == "approved"


async def cut(line: Line) -> None:
    await line.take_watch()
    line.cut()


async def restart(line: Line) -> None:
    await line.take_watch()
    await line.connection.close(1012, "restarting")


@pytest.mark.parametrize("end", [cut, restart])
def test_a_socket_that_ends_is_replaced_at_once(end: Any, connect: Connect, api: respx.Router, pace: FakePace) -> None:
    with WatchServer(end, end, decide) as server:
        assert ask(connect(server)).status == "approved"
        assert server.connections == 3
        assert pace.pauses == []
        assert not api["poll"].called


def test_handshakes_that_fail_for_now_are_tried_again(connect: Connect, api: respx.Router, pace: FakePace) -> None:
    with WatchServer(decide, refusals=(503, 502)) as server:
        assert ask(connect(server)).status == "approved"
        assert len(server.handshakes) == 3
        assert pace.pauses == [0.05, 0.1]


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 405, 426])
def test_where_no_socket_can_be_had_it_polls(status: int, connect: Connect, api: respx.Router) -> None:
    with WatchServer(decide, refusals=(status,)) as server:
        assert ask(connect(server)).status == "approved"
        assert len(server.handshakes) == 1
    assert api["poll"].calls[0].request.url.params["wait"] == "25"


@pytest.mark.parametrize("subprotocol", ["", "chat"])
def test_another_protocol_is_none(subprotocol: str, connect: Connect, api: respx.Router) -> None:
    with WatchServer(decide, subprotocol=subprotocol) as server:
        assert ask(connect(server)).status == "approved"
    assert api["poll"].called


@pytest.mark.parametrize(("status", "error"), [(401, errors.AuthenticationError), (403, errors.PermissionDenied)])
def test_a_refused_key_raises(
    status: int, error: type[errors.SignoffError], connect: Connect, api: respx.Router
) -> None:
    with WatchServer(decide, refusals=(status,)) as server, pytest.raises(error):
        ask(connect(server))


def test_a_revoked_key_ends_every_wait(connect: Connect, api: respx.Router) -> None:
    async def revoke(line: Line) -> None:
        await line.take_watch()
        await line.connection.close(4401, "revoked")

    with WatchServer(revoke) as server:
        colour = connect(server)
        with pytest.raises(errors.AuthenticationError):
            ask(colour)
        with pytest.raises(errors.AuthenticationError):
            colour.all("approvals", "as_completed", [replies.ID, replies.OTHER_ID])
        assert server.connections == 2


def test_too_many_watches_are_polled(connect: Connect, api: respx.Router) -> None:
    async def full(line: Line) -> None:
        await line.hear()
        await line.connection.close(4429, "too many")

    with WatchServer(full) as server:
        assert ask(connect(server)).status == "approved"
    assert api["poll"].called


def test_what_the_server_took_stays_on_the_socket(
    connect: Connect, api: respx.Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WATCH_IDS", 1)
    first: list[str] = []

    async def full(line: Line) -> None:
        await line.take_watch()
        await line.hear()
        await line.connection.close(4429, "too many")

    async def roomy(line: Line) -> None:
        first.extend(await line.take_watch())
        await line.resolve(replies.resolved(id=first[0]))
        await line.stay()

    api.get(path=f"/v1/approvals/{replies.OTHER_ID}").mock(
        return_value=replies.ok(replies.approved(id=replies.OTHER_ID))
    )
    with WatchServer(full, roomy) as server:
        done = connect(server).all("approvals", "as_completed", [replies.ID, replies.OTHER_ID])
        assert {each.id for each in done} == {replies.ID, replies.OTHER_ID}
        assert server.connections == 2
        assert len(first) == 1


def test_sockets_that_never_say_anything_are_given_up(connect: Connect, api: respx.Router, pace: FakePace) -> None:
    async def useless(line: Line) -> None:
        await line.connection.close(1011, "oops")

    with WatchServer(useless) as server:
        assert ask(connect(server)).status == "approved"
        assert server.connections == 3
    assert api["poll"].called


MALFORMED = [
    "",
    "null",
    "[]",
    "{}",
    '{"op": "resolved"}',
    '{"op": ["resolved"]}',
    '{"op": "granted"}',
    json.dumps({"op": "resolved", "approval": {"id": replies.ID, "status": "approved"}}),
    json.dumps({"op": "resolved", "approval": replies.resolved(status="pending")}),
    json.dumps({"op": "resolved", "approval": replies.resolved(status="Approved")}),
    json.dumps({"op": "error", "id": None, "code": "invalid"}),
    '{"op": "watching", "op": "resolved", "count": 1}',
]


@pytest.mark.parametrize("message", [*MALFORMED, b"\x00\x01"])
def test_a_message_of_another_form_decides_nothing(message: Any, connect: Connect, api: respx.Router) -> None:
    async def speak(line: Line) -> None:
        await line.hear()
        await line.connection.send(message)
        await line.stay()

    api["poll"].mock(return_value=replies.ok(replies.decided("rejected", reason="no")))
    with WatchServer(speak) as server, pytest.raises(errors.ApprovalRejected):
        ask(connect(server))
    assert api["poll"].called


def test_news_of_another_binding_raises(connect: Connect, api: respx.Router) -> None:
    async def swap(line: Line) -> None:
        await line.take_watch()
        await line.resolve(replies.resolved(binding="sha256:" + "0" * 64))
        await line.stay()

    with WatchServer(swap) as server, pytest.raises(errors.BindingMismatch):
        ask(connect(server))


def test_an_unknown_id_ends_its_own_wait(connect: Connect, api: respx.Router) -> None:
    async def unknown(line: Line) -> None:
        for each in await line.take_watch():
            await line.say(op="error", id=each, code="not_found")
        await line.stay()

    with WatchServer(unknown) as server, pytest.raises(errors.NotFound):
        connect(server).all("approvals", "as_completed", [replies.ID])


def test_a_wait_that_is_given_up_is_unwatched(connect: Connect, api: respx.Router) -> None:
    async def never(line: Line) -> None:
        await line.take_watch()
        await line.stay()

    with WatchServer(never) as server:
        colour = connect(server)
        with pytest.raises(errors.ApprovalTimeout):
            ask(colour, timeout=0.2)
        assert server.heard.get(timeout=10)[1]["op"] == "watch"
        if isinstance(colour, AsyncColour):
            colour._runner.run(asyncio.sleep(0))
        assert server.heard.get(timeout=10) == (1, {"op": "unwatch", "ids": [replies.ID]})


def test_polling_alone_never_dials(connect: Connect, api: respx.Router) -> None:
    with WatchServer(decide) as server:
        assert ask(connect(server, mode="poll")).status == "approved"
        assert server.handshakes == []


def test_a_socket_alone_never_polls(connect: Connect, api: respx.Router) -> None:
    with WatchServer(decide, refusals=(404,)) as server, pytest.raises(errors.APIConnectionError, match="auto"):
        ask(connect(server, mode="websocket"))
    assert not api["poll"].called


def test_an_idle_socket_is_closed_and_opened_again(
    pace: FakePace, api: respx.Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The sync client: its loop runs between the calls too.
    monkeypatch.setattr(waiting, "IDLE", 0.0)
    with WatchServer(decide) as server:
        colour = SyncColour(server.url, pace, mode="auto")
        ask(colour)
        assert server.closed.get(timeout=10) == 1000
        ask(colour)
        assert server.connections == 2
        colour.close()


def test_many_ids_are_sent_in_few_messages_over_one_socket(connect: Connect, api: respx.Router) -> None:
    ids = [f"apr_{number:026d}" for number in range(1_500)]

    async def all_at_once(line: Line) -> None:
        seen = 0
        while seen < len(ids):
            watched = await line.take_watch()
            seen += len(watched)
            for each in watched:
                await line.resolve(replies.resolved(id=each))
        await line.stay()

    def whole(request: Any) -> Any:
        return replies.ok(replies.approved(id=request.url.path.rpartition("/")[2]))

    api.get(path__regex=r"^/v1/approvals/apr_0").mock(side_effect=whole)
    threads = threading.active_count()
    with WatchServer(all_at_once) as server:
        found = connect(server).all("approvals", "as_completed", ids)
        assert {each.id for each in found} == set(ids)
        assert threading.active_count() <= threads + 3
        assert server.connections == 1
        sizes = [len(server.heard.get_nowait()[1]["ids"]) for _ in range(server.heard.qsize())]
        assert sum(sizes) == 1_500
        assert max(sizes) <= 1_000


class _Memory:
    """A socket in memory that answers every watch."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self._said: asyncio.Queue[str | None] = asyncio.Queue()

    async def send(self, text: str) -> None:
        message = json.loads(text)
        self.sent.append(message)
        self._said.put_nowait(json.dumps({"op": "watching", "count": len(message["ids"])}))
        for each in message["ids"]:
            self._said.put_nowait(json.dumps({"op": "resolved", "approval": replies.resolved(id=each)}))

    async def messages(self) -> AsyncIterator[str]:
        while (text := await self._said.get()) is not None:
            yield text
        raise Gone(1000)

    async def close(self) -> None:
        self._said.put_nowait(None)


async def _never(approval_id: str, hold: int) -> ResolvedApproval:
    raise AssertionError("polled")


def test_ten_thousand_waits_in_one_loop() -> None:
    socket = _Memory()

    async def dial() -> _Memory:
        return socket

    async def main() -> int:
        waits = Waits(dial, _never, mode="auto", pace=Pace())
        done = await asyncio.gather(*(waits.wait(f"apr_{number}") for number in range(10_000)))
        await waits.close()
        return len({each.id for each in done})

    assert asyncio.run(main()) == 10_000
    assert [len(message["ids"]) for message in socket.sent] == [1_000] * 10


def test_waiters_of_one_approval_share_a_watch_and_end_apart() -> None:
    socket = _Memory()
    gate = asyncio.Event()

    async def dial() -> _Memory:
        await gate.wait()
        return socket

    async def main() -> list[ResolvedApproval]:
        waits = Waits(dial, _never, mode="auto", pace=Pace())
        first, second, third = (asyncio.create_task(waits.wait("apr_1")) for _ in range(3))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        done = await asyncio.gather(second, third)
        assert first.cancelled()
        await waits.close()
        return done

    assert [each.id for each in asyncio.run(main())] == ["apr_1", "apr_1"]
    assert socket.sent == [{"op": "watch", "ids": ["apr_1"]}]


def test_work_that_breaks_down_ends_every_wait_with_an_error() -> None:
    async def dial() -> _Memory:
        raise ZeroDivisionError

    async def main() -> None:
        waits = Waits(dial, _never, mode="auto", pace=Pace())
        with pytest.raises(errors.ServerError, match="broke down"):
            await waits.wait("apr_1")

    asyncio.run(main())


def test_polls_that_come_back_too_soon_are_spaced() -> None:
    pace = FakePace()
    answers = [replies.approval()] * 5 + [replies.approved()]

    async def fetch(approval_id: str, hold: int) -> ResolvedApproval:
        return ResolvedApproval.model_validate(answers.pop(0))

    async def dial() -> _Memory:
        raise Impossible("no")

    async def main() -> None:
        waits = Waits(dial, fetch, mode="auto", pace=pace.pace())
        assert (await waits.wait(replies.ID)).status == "approved"
        await waits.close()

    asyncio.run(main())
    assert len(pace.pauses) == 5
    assert pace.pauses == sorted(pace.pauses)


def test_closing_ends_the_waits(pace: FakePace, api: respx.Router) -> None:
    watching = threading.Event()

    async def never(line: Line) -> None:
        await line.take_watch()
        watching.set()
        await line.stay()

    with WatchServer(never) as server:
        colour = SyncColour(server.url, pace, mode="auto")
        ended: list[BaseException] = []

        def work() -> None:
            try:
                ask(colour)
            except errors.SignoffError as error:
                ended.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert watching.wait(10)
        colour.close()
        thread.join(10)
        assert [type(each) for each in ended] == [errors.APIConnectionError]
