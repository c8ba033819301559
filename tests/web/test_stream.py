"""The live feed, in process: who may, where it begins, and what it costs."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from signoff.protocol.models import MAX_SEQ
from signoff_server.core import keys
from signoff_server.store import agenda, ledger
from signoff_server.web.feed import Sort
from tests.support.asgi import Answer, asked
from tests.support.databases import Databases
from tests.support.feed import Block, blocks
from tests.support.project import Project, running
from tests.web.test_approvals import code

STREAM = "/v1/events/stream"


@pytest.fixture(params=[True, False], ids=["woken", "every hint lost"])
def following(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Project]:
    with running(databases, hints=request.param) as (project, _):
        yield project


def told(answer: Answer) -> Iterator[Block]:
    """The blocks of an answer, to its end."""
    return blocks(iter(answer.read, b""))


def end_of(project: Project) -> int:
    found: int = project.call("auditor", "GET", "/v1/events?limit=1&type=none").json()["next_after"]
    return found


def test_it_begins_at_the_present_end_and_follows(following: Project) -> None:
    following.ask()
    with asked(following, "auditor", "GET", STREAM) as answer:
        assert answer.status == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "content-length" not in answer.headers
        feed = told(answer)
        assert next(feed) == Block(id=str(end_of(following)), retry="1000")
        made = following.ask(context={"text": 'a\nb\r\u2028 "c" data: id: 5\n\n'})
        block = next(feed)
    (listed,) = following.call("auditor", "GET", f"/v1/events?subject={made['id']}").json()["data"]
    assert (block.id, block.event, block.json()) == (str(listed["seq"]), "approval.requested", listed)
    assert len(following.server.hub) == 0


@pytest.mark.parametrize(("query", "last", "first"), [("?after=3", None, 4), ("?after=3", "5", 6), ("", "0", 1)])
def test_where_it_begins(project: Project, query: str, last: str | None, first: int) -> None:
    headers = {} if last is None else {"last_event_id": last}
    with asked(project, "auditor", "GET", STREAM + query, **headers) as answer:
        feed = told(answer)
        assert next(feed).id == str(first - 1)
        assert [next(feed).id for _ in range(3)] == [str(first + at) for at in range(3)]


def test_a_place_beyond_the_end_is_waited_for(project: Project) -> None:
    end = end_of(project)
    with asked(project, "auditor", "GET", f"{STREAM}?after={end + 2}") as answer:
        feed = told(answer)
        assert next(feed).id == str(end + 2)
        for _ in range(4):
            project.ask()
        assert [next(feed).id for _ in range(2)] == [str(end + 3), str(end + 4)]


def test_filters_are_those_of_the_list(following: Project) -> None:
    one, two = following.ask(), following.ask()
    with asked(following, "auditor", "GET", f"{STREAM}?after=0&type=APPROVAL.*ed&subject={two['id']}") as answer:
        feed = told(answer)
        next(feed)
        assert next(feed).json()["subject"] == two["id"]
        following.decide(one["id"])
        following.decide(two["id"], "rejected")
        assert next(feed).event == "approval.rejected"


@pytest.mark.parametrize("given", ["", "x", "-1", "1.5", " 1", "1_0", "\xb2", "9" * 17, str(MAX_SEQ + 1)])
def test_a_last_event_id_that_is_none(project: Project, given: str) -> None:
    with asked(project, "auditor", "GET", STREAM, last_event_id=given) as answer:
        assert (answer.status, answer.json()["code"]) == (400, "invalid_parameter")


def test_a_query_that_is_none(project: Project) -> None:
    for query in ("after=-1", "after=x", f"after={MAX_SEQ + 1}", "limit=5", "type=a&type=b", "wait=1", "type=%00"):
        assert code(project.call("auditor", "GET", f"{STREAM}?{query}")) == (400, "invalid_parameter"), query
    twice = [("Last-Event-ID", "1"), ("Last-Event-ID", "2"), ("Authorization", f"Bearer {project.keys['auditor']}")]
    assert code(project.client.get(STREAM, headers=twice)) == (400, "invalid_parameter")


def test_asked_for_its_head_it_ends(project: Project) -> None:
    reply = project.call("auditor", "HEAD", STREAM)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert len(project.server.hub) == 0


def test_a_stopping_server_ends_it_and_begins_none(project: Project) -> None:
    with asked(project, "auditor", "GET", STREAM) as answer:
        feed = told(answer)
        next(feed)
        assert project.client.portal is not None
        project.client.portal.call(project.server.hub.stop)
        assert list(feed) == []
    assert code(project.call("auditor", "GET", STREAM)) == (503, "unavailable")


def test_it_ends_with_its_key_also_where_that_was_just_used(following: Project) -> None:
    key = keys.parse(following.keys["auditor"])
    assert key is not None
    with asked(following, "auditor", "GET", STREAM) as answer:
        feed = told(answer)
        next(feed)
        following.call("admin", "DELETE", f"/v1/keys/{key.id}")
        # The end of its own key is not told any more.
        assert list(feed) == []
    assert code(following.call("auditor", "GET", STREAM)) == (401, "unauthenticated")


def test_it_ends_with_its_key_also_where_another_process_ended_that(project: Project) -> None:
    key = keys.parse(project.keys["auditor"])
    assert key is not None
    with asked(project, "auditor", "GET", STREAM) as answer:
        feed = told(answer)
        next(feed)
        # What this process commits is heard of as what another does: from the ledger alone.
        project.server.database.on_commit = lambda _: None
        project.call("admin", "DELETE", f"/v1/keys/{key.id}")
        assert list(feed) == []
    assert code(project.call("auditor", "GET", STREAM)) == (401, "unauthenticated")


def test_it_ends_when_its_key_expires(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signoff_server.web.stream._HEARTBEAT", 0.01)
    issue = {"principal": project.ids["auditor"], "scopes": ["audit:read"], "expires_in": 60}
    project.keys["brief"] = project.call("admin", "POST", "/v1/keys", json=issue).json()["key"]
    with asked(project, "brief", "GET", STREAM) as answer:
        feed = told(answer)
        next(feed)
        project.world.advance(60)
        assert all(block == Block(comment=True) for block in feed)


def test_a_key_has_so_many_places(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signoff_server.limits.STREAMS", 2)
    with asked(project, "auditor", "GET", STREAM):
        with asked(project, "auditor", "GET", STREAM), asked(project, "alice", "GET", STREAM) as another:
            assert another.status == 200
            reply = project.call("auditor", "GET", STREAM)
            assert code(reply) == (429, "rate_limited")
            assert int(reply.headers["Retry-After"]) >= 1
        with asked(project, "auditor", "GET", STREAM) as again:
            assert again.status == 200


def test_another_projects_events_never(projects: tuple[Project, Project]) -> None:
    one, two = projects
    with asked(one, "auditor", "GET", f"{STREAM}?after=0") as answer:
        feed = told(answer)
        next(feed)
        foreign = two.ask()
        own = one.ask()
        seen = [next(feed).json() for _ in range(end_of(one))]
    assert [each["seq"] for each in seen] == list(range(1, end_of(one) + 1))
    assert seen[-1]["subject"] == own["id"]
    assert foreign["id"] not in {each["subject"] for each in seen}


# ---------------------------------------------------------------- what it costs


def test_with_a_filter_the_place_moves_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signoff_server.web.stream._HEARTBEAT", 0.01)
    with asked(project, "auditor", "GET", f"{STREAM}?type=none.*") as answer:
        feed = told(answer)
        begun = next(feed)
        project.ask()
        moved = next(block for block in feed if block != Block(comment=True))
    assert moved == Block(comment=True, id=str(end_of(project)))
    assert int(str(begun.id)) + 1 == end_of(project)


def test_the_place_is_told_at_every_leap(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signoff_server.web.stream._LEAP", 4)
    monkeypatch.setattr("signoff_server.web.feed._SPAN", 3)
    made = project.ask()
    with asked(project, "auditor", "GET", f"{STREAM}?after=0&type=approval.*") as answer:
        feed = told(answer)
        assert next(feed).id == "0"
        places = []
        while (block := next(feed)).data is None:
            places.append(int(str(block.id)))
    assert places == list(range(6, end_of(project), 6))
    assert block.json()["subject"] == made["id"]


def test_pages_and_pieces_are_bounded_by_their_bytes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    large = [project.ask(context={"x": "y" * 60_000}, arguments={"x": "z" * 60_000})["id"] for _ in range(5)]
    seen, sizes = readings(project, monkeypatch), []

    def pieces(answer: Answer) -> Iterator[bytes]:
        while piece := answer.read():
            sizes.append(len(piece))
            yield piece

    with asked(project, "auditor", "GET", f"{STREAM}?after=0&type=approval.*") as answer:
        feed = blocks(pieces(answer))
        next(feed)
        assert [next(feed).json()["subject"] for _ in large] == large
    assert seen.count("_page") == 3
    assert max(sizes) == 64 * 1024


def readings(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is read from now on; what the loops beside the requests look at each second does not count."""
    seen: list[str] = []
    read = project.server.database.read

    async def look(function: Any, *args: Any) -> Any:
        if function not in (ledger.projects, ledger.subjects_after, agenda.next_due):
            seen.append(function.__name__)
        return await read(function, *args)

    monkeypatch.setattr(project.server.database, "read", look)
    return seen


def test_while_nothing_happens_it_reads_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signoff_server.web.stream._HEARTBEAT", 0.01)
    with asked(project, "auditor", "GET", STREAM) as answer:
        feed = told(answer)
        next(feed)
        assert next(feed) == Block(comment=True)
        seen = readings(project, monkeypatch)
        assert [next(feed) for _ in range(20)] == [Block(comment=True)] * 20
        assert seen == []
        project.ask()
        while next(feed).data is None:
            pass
        assert seen.count("_page") == 1


def test_streams_of_one_sort_share_a_reading(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    server, sort = project.server, Sort(project.id, None, None)

    async def together(woken: bool) -> set[bytes]:
        reading = [asyncio.ensure_future(server.feed.page(sort, 0)) for _ in range(10)]
        if woken:
            await asyncio.sleep(0)
            # Something happened: what is being read may be too old for whoever asks from now on.
            server.hub.wake(())
        reading += [asyncio.ensure_future(server.feed.page(sort, 0)) for _ in range(10)]
        # One that leaves takes nothing from the others.
        reading[0].cancel()
        return {(await each).blocks for each in reading[1:]}

    assert project.client.portal is not None
    for woken, expected in ((False, ["_page"]), (True, ["_page", "_page"])):
        seen = readings(project, monkeypatch)
        assert len(project.client.portal.call(together, woken)) == 1
        assert seen == expected
