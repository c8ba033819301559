"""Waiting: held requests and the watch socket, in process; also with every wake-up lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from signoff_server.core import keys
from signoff_server.core.refusals import Refusal
from tests.support.databases import Databases
from tests.support.project import Project, running


@pytest.fixture(params=[True, False], ids=["woken", "every hint lost"])
def waiting(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Project]:
    with running(databases, hints=request.param) as (project, _):
        yield project


def socket(project: Project, who: str | None = "app") -> WebSocketTestSession:
    headers = {"Authorization": f"Bearer {project.keys[who]}"} if who else {}
    return project.client.websocket_connect("/v1/approvals/watch", subprotocols=["signoff.v1"], headers=headers)


def held(project: Project, approval: str, pool: ThreadPoolExecutor, who: str = "app") -> Any:
    """A request that is being held: it listens before this returns."""
    before = len(project.server.hub)
    future = pool.submit(project.call, who, "GET", f"/v1/approvals/{approval}?wait=30")
    while len(project.server.hub) == before:
        pass
    return future


def test_a_held_request_ends_with_the_decision(waiting: Project) -> None:
    made = waiting.ask()
    with ThreadPoolExecutor() as pool:
        future = held(waiting, made["id"], pool)
        waiting.decide(made["id"], "rejected", reason="too much")
        reply = future.result(10)
    assert reply.status_code == 200
    assert (reply.json()["status"], reply.json()["reason"]) == ("rejected", "too much")
    assert len(waiting.server.hub) == 0


def test_what_is_decided_already_is_answered_at_once(project: Project) -> None:
    made = project.approved()
    assert project.call("app", "GET", f"/v1/approvals/{made['id']}?wait=60").json()["status"] == "approved"


def test_a_wait_that_ends_answers_with_it_still_pending(project: Project) -> None:
    made = project.ask()
    reply = project.call("app", "GET", f"/v1/approvals/{made['id']}?wait=1")
    assert (reply.status_code, reply.json()["status"]) == (200, "pending")


def test_a_held_request_ends_with_its_key_also_where_that_was_just_used(waiting: Project) -> None:
    made, key = waiting.ask(), keys.parse(waiting.keys["app"])
    assert key is not None
    with ThreadPoolExecutor() as pool:
        future = held(waiting, made["id"], pool)
        waiting.call("admin", "DELETE", f"/v1/keys/{key.id}")
        assert future.result(10).status_code == 401


def test_a_stopping_server_lets_go(project: Project) -> None:
    made = project.ask()
    with ThreadPoolExecutor() as pool:
        future = held(project, made["id"], pool)
        with socket(project) as watch:
            watch.send_json({"op": "watch", "ids": [made["id"]]})
            assert watch.receive_json() == {"op": "watching", "count": 1}
            assert project.client.portal is not None
            project.client.portal.call(project.server.hub.stop)
            reply = future.result(10)
            with pytest.raises(WebSocketDisconnect) as closed:
                watch.receive_json()
    assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (503, "unavailable", "1")
    assert closed.value.code == 1012
    assert project.call(None, "GET", "/readyz").status_code == 503


def test_the_socket_tells_each_watched_approval_once(waiting: Project) -> None:
    before, after, unwatched = waiting.ask(context={"secret": "s3cret"}), waiting.ask(), waiting.ask()
    waiting.decide(before["id"])
    with socket(waiting) as watch:
        assert watch.accepted_subprotocol == "signoff.v1"
        watch.send_json({"op": "watch", "ids": [before["id"], after["id"], unwatched["id"], "apr_unknown"]})
        assert watch.receive_json() == {"op": "watching", "count": 3}
        first = [watch.receive_json(), watch.receive_json()]
        resolved = next(message for message in first if message["op"] == "resolved")
        assert resolved["approval"]["id"] == before["id"]
        assert not {"context", "arguments", "summary", "nonce"} & set(resolved["approval"])
        assert {"op": "error", "id": "apr_unknown", "code": "not_found"} in first
        watch.send_json({"op": "unwatch", "ids": [unwatched["id"]]})
        watch.send_json({"op": "watch", "ids": []})
        assert watch.receive_json()["count"] == 1
        waiting.decide(unwatched["id"])
        waiting.decide(after["id"], "rejected")
        message = watch.receive_json()
        assert (message["approval"]["id"], message["approval"]["status"]) == (after["id"], "rejected")
        watch.send_json({"op": "watch", "ids": []})
        assert watch.receive_json()["count"] == 0
    assert len(waiting.server.hub) == 0


def test_the_socket_shows_nobody_elses_approvals(projects: tuple[Project, Project]) -> None:
    one, two = projects
    foreign, others = two.ask(), one.ask("other-app")
    with socket(one) as watch:
        watch.send_json({"op": "watch", "ids": [foreign["id"], others["id"]]})
        watch.receive_json()
        told = [watch.receive_json(), watch.receive_json()]
    assert {message["id"] for message in told} == {foreign["id"], others["id"]}
    assert {message["code"] for message in told} == {"not_found"}


def test_the_socket_closes_with_its_key_also_where_that_was_just_used(waiting: Project) -> None:
    key = keys.parse(waiting.keys["app"])
    assert key is not None
    with socket(waiting) as watch:
        watch.send_json({"op": "watch", "ids": []})
        watch.receive_json()
        waiting.call("admin", "DELETE", f"/v1/keys/{key.id}")
        with pytest.raises(WebSocketDisconnect) as closed:
            watch.receive_json()
    assert closed.value.code == 4401


@pytest.mark.parametrize("asked", ["the approval", "the key"])
def test_a_database_that_does_not_answer_sends_the_socket_away_to_come_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    made, key = project.ask(), keys.parse(project.keys["app"])
    assert key is not None
    assert project.client.portal is not None

    async def away(*_: object, **__: object) -> None:
        raise Refusal("unavailable", "The database did not answer.", retry_after=1)

    with socket(project) as watch:
        watch.send_json({"op": "watch", "ids": [made["id"]]})
        watch.receive_json()
        monkeypatch.setattr(project.server.approvals, "decided", away)
        monkeypatch.setattr(project.server.authenticator, "caller", away)
        project.client.portal.call(project.server.hub.wake, [made["id"] if asked == "the approval" else key.id])
        with pytest.raises(WebSocketDisconnect) as closed:
            watch.receive_json()
    assert closed.value.code == 1012


def test_the_socket_closes_when_its_key_expires(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    issue = {"principal": project.ids["app"], "scopes": ["approvals:create"], "expires_in": 60}
    project.keys["brief"] = project.call("admin", "POST", "/v1/keys", json=issue).json()["key"]
    monkeypatch.setattr("signoff_server.web.watch._KEY_CHECK", 0.01)
    with socket(project, "brief") as watch:
        watch.send_json({"op": "watch", "ids": []})
        assert watch.receive_json()["op"] == "watching"
        project.world.advance(60)
        with pytest.raises(WebSocketDisconnect) as closed:
            watch.receive_json()
    assert closed.value.code == 4401


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("worker", 403), ("auditor", 403)])
def test_a_handshake_without_right_is_denied_with_a_problem(project: Project, who: str | None, status: int) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, socket(project, who):
        pass
    assert denied.value.status_code == status
    assert denied.value.json()["code"] in ("unauthenticated", "forbidden")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"op": "watch"}', '{"op": "x", "ids": []}', '{"op": "watch", "ids": [1]}']
)
def test_what_the_socket_does_not_understand(project: Project, text: str) -> None:
    made = project.approved()
    with socket(project) as watch:
        watch.send_text(text)
        assert watch.receive_json() == {"op": "error", "id": None, "code": "invalid"}
        watch.send_json({"op": "watch", "ids": [made["id"]]})
        assert watch.receive_json()["op"] == "watching"
        assert watch.receive_json()["op"] == "resolved"


def test_a_message_names_a_thousand_ids_at_most(project: Project) -> None:
    with socket(project) as watch:
        watch.send_json({"op": "watch", "ids": [f"x{number}" for number in range(1_001)]})
        assert watch.receive_json()["code"] == "invalid"


def test_what_cannot_be_an_id_is_told_so_and_not_kept(project: Project) -> None:
    asked, unreal = project.ask()["id"], ["x" * 60_000, "", "apr_", "apr_" + "0" * 27, "APR_" + "0" * 26, "apr_é"]
    with socket(project) as watch:
        watch.send_json({"op": "watch", "ids": [*unreal, asked]})
        assert watch.receive_json() == {"op": "watching", "count": 1}
        told = [watch.receive_json() for _ in unreal]
        assert {message["id"] for message in told} == set(unreal)
        assert {message["code"] for message in told} == {"not_found"}
        # The key of the socket is listened for too.
        assert len(project.server.hub) == 2


def test_who_begins_to_wait_late_sees_it_as_it_is_and_not_as_it_closed(project: Project) -> None:
    made = project.approved()
    project.redeem(made)
    path, body = f"/v1/approvals/{made['id']}", {"fence": 1, "outcome": "succeeded"}
    project.call("app", "POST", f"{path}/outcome", json=body)
    assert project.call("app", "GET", f"{path}?wait=5").json()["redemption"]["outcome"] == "succeeded"
    with socket(project) as watch:
        watch.send_json({"op": "watch", "ids": [made["id"]]})
        watch.receive_json()
        assert watch.receive_json()["approval"]["redemption"]["outcome"] == "succeeded"
