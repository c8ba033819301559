"""Signing in, and all that ends it, on both databases."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, insert, select, update

from signoff_server.app import open_server
from signoff_server.core.principals import Caller
from signoff_server.core.refusals import Refusal
from signoff_server.core.sign_in import MOST_OF_NETWORK, MOST_OF_PAIR
from signoff_server.service import passwords
from signoff_server.service.accounts import Accounts, SignedIn, digest
from signoff_server.service.rebuild import rebuild
from signoff_server.settings import Settings
from signoff_server.store.tables import ACCOUNTS, SESSIONS, SIGN_IN_FAILURES, SIGN_IN_LINKS
from tests.support.databases import Databases
from tests.support.project import Project

OFFICE, ELSEWHERE = "192.0.2.0/24", "198.51.100.0/24"
PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"
MINUTE, HOUR = 60, 3_600


def run(project: Project, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """One call on the server's loop."""
    assert project.client.portal is not None
    return project.client.portal.call(partial(method, *args, **named))


def refused(project: Project, method: Callable[..., Any], *args: Any, **named: Any) -> str:
    """The code of the refusal."""
    with pytest.raises(Refusal) as said:
        run(project, method, *args, **named)
    return said.value.code


def together(project: Project, *calls: Callable[[], Any]) -> list[Any]:
    """All at once: a value for each, or the code of its refusal."""

    async def every() -> list[Any]:
        found = await asyncio.gather(*(each() for each in calls), return_exceptions=True)
        return [each.code if isinstance(each, Refusal) else each for each in found]

    done: list[Any] = run(project, every)
    assert not any(isinstance(each, Exception) for each in done), done
    return done


def acting(project: Project, who: str = "admin") -> Caller:
    """Somebody of the cast, by their key."""
    scopes = frozenset({"admin"}) if who == "admin" else frozenset({"approvals:decide"})
    return Caller(project.id, project.ids[who], who, "human", None, scopes, "key_x")


def chosen(project: Project, who: str = "alice", password: str = PASSWORD) -> SignedIn:
    """A password that was chosen by a link."""
    accounts = project.server.accounts
    link = run(project, accounts.new_link, acting(project), project.ids[who])
    return run(project, accounts.set_password, link.token, password)  # type: ignore[no-any-return]


def by_link(project: Project, who: str = "alice") -> SignedIn:
    accounts = project.server.accounts
    link = run(project, accounts.sign_in_link, project.id, project.ids[who])
    return run(project, accounts.exchange, link.token)  # type: ignore[no-any-return]


def sign_in(project: Project, password: str = PASSWORD, name: str = "alice", network: str = OFFICE) -> Any:
    """The session, or the code of the refusal."""
    try:
        return run(project, project.server.accounts.sign_in, project.id, name, password, network)
    except Refusal as refusal:
        return refusal.code


def count(project: Project, table: Any) -> int:
    with project.server.database.engines.reader.begin() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


@contextmanager
def replica(databases: Databases, project: Project) -> Iterator[Accounts]:
    """Another server's, where a database lets several in; else at least another's memory."""
    if databases.kind == "sqlite":
        execute = project.server.database._run_group.__self__  # type: ignore[attr-defined]
        yield Accounts(project.server.database, execute, project.world)
        return
    server = open_server(Settings.model_validate({"database": project.database}), project.world)
    yield server.accounts
    server.database.close()


# ---------------------------------------------------------------- passwords


def test_a_password_signs_in_whatever_the_case_of_the_name(project: Project) -> None:
    chosen(project)
    entered = sign_in(project, name="ALICE")
    caller = run(project, project.server.accounts.caller, entered.token, touch=True)
    assert (caller.project, caller.id, caller.name, caller.kind) == (
        project.id,
        project.ids["alice"],
        "alice",
        "human",
    )
    assert (caller.key, caller.via, caller.scopes) == (entered.session, "dashboard", {"approvals:decide"})
    assert caller.expires_at == project.world.now() + 30 * MINUTE * 1000
    assert entered.ends_at == project.world.now() + 12 * HOUR * 1000


@pytest.mark.parametrize("name", ["alice", "bob", "app", "nobody", "", "no\x00body", "\ud800", "x" * 10_000])
def test_who_is_wrong_is_told_the_same(project: Project, name: str) -> None:
    chosen(project)
    with pytest.raises(Refusal, match="The name or the password is wrong") as said:
        run(project, project.server.accounts.sign_in, project.id, name, WRONG, OFFICE)
    assert said.value.code == "unauthenticated"


def test_letters_are_compared_however_they_are_composed(project: Project) -> None:
    chosen(project, password="pässwörter sind lang")
    assert isinstance(sign_in(project, "pa\u0308sswo\u0308rter sind lang"), SignedIn)


@pytest.mark.parametrize(("length", "fits"), [(11, False), (12, True), (1_024, True), (1_025, False)])
def test_how_long_a_password_is(project: Project, length: int, fits: bool) -> None:
    link = run(project, project.server.accounts.new_link, acting(project), project.ids["alice"])
    if not fits:
        assert refused(project, project.server.accounts.set_password, link.token, "é" * length) == "invalid"
        length = 12
    # What was refused used nothing up.
    assert isinstance(run(project, project.server.accounts.set_password, link.token, "é" * length), SignedIn)


def test_of_secrets_only_digests_are_stored(databases: Databases, project: Project) -> None:
    entered = chosen(project)
    link = run(project, project.server.accounts.sign_in_link, project.id, project.ids["bob"])
    stored = databases.stored(project.database)
    for secret in (PASSWORD, entered.token, link.token):
        assert secret.encode() not in stored
    for kept in (digest(entered.token), digest(link.token), "$argon2id$v=19$m=65536,t=3,p=4$"):
        assert kept.encode() in stored


def test_a_hash_of_other_parameters_is_made_anew(project: Project) -> None:
    chosen(project)
    old = PasswordHasher(time_cost=1, memory_cost=8_192).hash(PASSWORD)

    def kept() -> str:
        with project.server.database.engines.reader.begin() as connection:
            password = select(ACCOUNTS.c.password).where(ACCOUNTS.c.principal == project.ids["alice"])
            return str(connection.execute(password).scalar_one())

    with project.server.database.engines.writer.begin() as connection:
        of_alice = update(ACCOUNTS).where(ACCOUNTS.c.principal == project.ids["alice"])
        connection.execute(of_alice.values(password=old))
    assert sign_in(project, WRONG) == "unauthenticated"
    assert kept() == old
    assert isinstance(sign_in(project), SignedIn)
    assert kept().startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert isinstance(sign_in(project), SignedIn)


# ---------------------------------------------------------------- failed tries


def test_failures_lock_and_the_right_password_is_not_looked_at(project: Project) -> None:
    chosen(project)
    assert [sign_in(project, WRONG) for _ in range(MOST_OF_PAIR)] == ["unauthenticated"] * MOST_OF_PAIR
    said = []
    for password in (WRONG, PASSWORD):
        with pytest.raises(Refusal) as refusal:
            run(project, project.server.accounts.sign_in, project.id, "alice", password, OFFICE)
        said.append((refusal.value.code, refusal.value.detail, refusal.value.retry_after))
    assert said[0] == said[1]
    assert (said[0][0], said[0][2]) == ("sign_in_locked", 15 * MINUTE)
    # Elsewhere, and for others, nothing is locked; and a link is a way in.
    assert isinstance(sign_in(project, network=ELSEWHERE), SignedIn)
    assert sign_in(project, WRONG, name="bob") == "unauthenticated"
    assert by_link(project)
    project.world.advance(15 * MINUTE - 1)
    assert sign_in(project) == "sign_in_locked"
    project.world.advance(1)
    assert isinstance(sign_in(project), SignedIn)


def test_a_right_password_starts_afresh(project: Project) -> None:
    chosen(project)
    for _ in range(3):
        assert [sign_in(project, WRONG) for _ in range(MOST_OF_PAIR - 1)] == ["unauthenticated"] * (MOST_OF_PAIR - 1)
        assert isinstance(sign_in(project), SignedIn)


def test_names_that_nobody_has_lock_alike(project: Project) -> None:
    found = [sign_in(project, WRONG, name="Nobody" if at % 2 else "nobody") for at in range(MOST_OF_PAIR + 1)]
    assert found == [*["unauthenticated"] * MOST_OF_PAIR, "sign_in_locked"]


def test_one_password_tried_on_everybody_locks_the_network(project: Project) -> None:
    chosen(project)
    found = [sign_in(project, WRONG, name=f"n{at}") for at in range(MOST_OF_NETWORK + 1)]
    assert found == [*["unauthenticated"] * MOST_OF_NETWORK, "sign_in_locked"]
    assert sign_in(project) == "sign_in_locked"
    assert isinstance(sign_in(project, network=ELSEWHERE), SignedIn)
    project.world.advance(15 * MINUTE)
    assert isinstance(sign_in(project), SignedIn)


def test_who_signs_in_well_does_not_fill_their_network(project: Project) -> None:
    chosen(project)
    for at in range(MOST_OF_NETWORK - 1):
        assert sign_in(project, WRONG, name=f"n{at}") == "unauthenticated"
    assert isinstance(sign_in(project), SignedIn)
    assert isinstance(sign_in(project), SignedIn)


def test_tries_at_once_are_no_more_than_one_by_one(databases: Databases, project: Project) -> None:
    chosen(project)
    with replica(databases, project) as other:
        every = (project.server.accounts, other) * MOST_OF_PAIR
        found = together(project, *(partial(each.sign_in, project.id, "alice", WRONG, OFFICE) for each in every))
    assert sorted(found) == ["sign_in_locked"] * MOST_OF_PAIR + ["unauthenticated"] * MOST_OF_PAIR


def test_what_nobody_had_time_to_look_at_is_no_failure(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen(project)
    with monkeypatch.context() as busy:
        busy.setattr(passwords, "_MOST_WAITING", 0)
        assert [sign_in(project) for _ in range(MOST_OF_PAIR + 1)] == ["unavailable"] * (MOST_OF_PAIR + 1)
    assert count(project, SIGN_IN_FAILURES) == 0
    assert isinstance(sign_in(project), SignedIn)


# ---------------------------------------------------------------- links


def test_a_link_is_looked_at_often_and_used_once(project: Project) -> None:
    accounts = project.server.accounts
    made = run(project, accounts.sign_in_link, project.id, project.ids["alice"])
    for _ in range(2):
        view = run(project, accounts.link, made.token)
        assert (view.purpose, view.project, view.principal) == ("sign_in", project.id, project.ids["alice"])
        assert (view.name, view.expires_at) == ("alice", made.expires_at)
    assert run(project, accounts.exchange, made.token).ends_at
    assert run(project, accounts.link, made.token) is None
    assert refused(project, accounts.exchange, made.token) == "unauthenticated"


@pytest.mark.parametrize(("purpose", "life"), [("sign_in", 10 * MINUTE), ("password", 24 * HOUR)])
def test_a_link_ends(project: Project, purpose: str, life: int) -> None:
    accounts = project.server.accounts
    if purpose == "sign_in":
        made, use = run(project, accounts.sign_in_link, project.id, project.ids["alice"]), accounts.exchange
    else:
        made = run(project, accounts.new_link, acting(project), project.ids["alice"])
        use = partial(accounts.set_password, password=PASSWORD)
    assert (made.purpose, made.expires_at) == (purpose, project.world.now() + life * 1000)
    project.world.advance(life - 0.001)
    assert run(project, accounts.link, made.token)
    project.world.advance(0.001)
    assert run(project, accounts.link, made.token) is None
    assert refused(project, use, made.token) == "unauthenticated"


def test_a_link_does_only_what_it_is_for(project: Project) -> None:
    accounts = project.server.accounts
    password = run(project, accounts.new_link, acting(project), project.ids["alice"])
    assert refused(project, accounts.exchange, password.token) == "unauthenticated"
    enter = run(project, accounts.sign_in_link, project.id, project.ids["alice"])
    assert refused(project, accounts.set_password, enter.token, PASSWORD) == "unauthenticated"
    assert refused(project, accounts.exchange, "x" * 43) == "unauthenticated"
    assert run(project, accounts.exchange, enter.token)
    assert run(project, accounts.set_password, password.token, PASSWORD)


def test_of_two_who_use_a_link_at_once_one_is_in(databases: Databases, project: Project) -> None:
    accounts = project.server.accounts
    with replica(databases, project) as other:
        enter = run(project, accounts.sign_in_link, project.id, project.ids["alice"])
        found = together(project, *(partial(each.exchange, enter.token) for each in (accounts, other) * 2))
        assert sorted(type(each).__name__ for each in found) == ["SignedIn", "str", "str", "str"]
        password = run(project, accounts.new_link, acting(project), project.ids["alice"])
        sent = (partial(each.set_password, password.token, PASSWORD) for each in (accounts, other))
        found = together(project, *sent)
        assert sorted(type(each).__name__ for each in found) == ["SignedIn", "str"]


def test_a_new_link_for_a_password_ends_the_old_ones(project: Project) -> None:
    accounts = project.server.accounts
    old, new = (run(project, accounts.new_link, acting(project), project.ids["alice"]) for _ in "12")
    assert refused(project, accounts.set_password, old.token, PASSWORD) == "unauthenticated"
    assert run(project, accounts.set_password, new.token, PASSWORD)


def test_a_new_password_ends_the_other_sessions_and_the_links(project: Project) -> None:
    accounts, before, theirs = project.server.accounts, by_link(project), by_link(project, "bob")
    enter = run(project, accounts.sign_in_link, project.id, project.ids["alice"])
    entered = chosen(project)
    assert refused(project, accounts.caller, before.token, touch=False) == "unauthenticated"
    assert refused(project, accounts.exchange, enter.token) == "unauthenticated"
    assert run(project, accounts.caller, entered.token, touch=False).name == "alice"
    assert run(project, accounts.caller, theirs.token, touch=False).name == "bob"


# ---------------------------------------------------------------- sessions


def test_a_session_ends_idle(project: Project) -> None:
    caller, entered = project.server.accounts.caller, by_link(project)
    project.world.advance(29 * MINUTE)
    assert run(project, caller, entered.token, touch=True).expires_at == project.world.now() + 30 * MINUTE * 1000
    project.world.advance(29 * MINUTE)
    # What a page asks for by itself keeps nobody signed in.
    assert run(project, caller, entered.token, touch=False).expires_at == project.world.now() + MINUTE * 1000
    project.world.advance(MINUTE)
    assert refused(project, caller, entered.token, touch=True) == "unauthenticated"


def test_a_session_ends_however_it_is_used(project: Project) -> None:
    caller, entered = project.server.accounts.caller, by_link(project)
    for _ in range(12 * 60 // 20 - 1):
        project.world.advance(20 * MINUTE)
        found = run(project, caller, entered.token, touch=True)
    assert found.expires_at == entered.ends_at
    project.world.advance(20 * MINUTE)
    assert refused(project, caller, entered.token, touch=True) == "unauthenticated"


def test_it_is_written_once_a_minute_that_somebody_was_seen(project: Project) -> None:
    entered = by_link(project)

    def seen() -> int:
        with project.server.database.engines.reader.begin() as connection:
            return int(connection.execute(select(SESSIONS.c.seen_at)).scalar_one())

    first = seen()
    project.world.advance(59)
    run(project, project.server.accounts.caller, entered.token, touch=True)
    assert seen() == first
    project.world.advance(1)
    run(project, project.server.accounts.caller, entered.token, touch=True)
    assert seen() == project.world.now()


@pytest.mark.parametrize("token", ["", "x", "é", "\ud800", "a" * 100_000])
def test_what_is_no_session_is_told_to_sign_in(project: Project, token: str) -> None:
    assert refused(project, project.server.accounts.caller, token, touch=True) == "unauthenticated"


def test_an_ended_session_is_over_at_once_everywhere(databases: Databases, project: Project) -> None:
    accounts = project.server.accounts
    with replica(databases, project) as other:
        mine, theirs = by_link(project), by_link(project)
        assert run(project, other.caller, mine.token, touch=True).key == mine.session
        run(project, accounts.sign_out, mine.token)
        run(project, accounts.sign_out, mine.token)
        assert refused(project, other.caller, mine.token, touch=True) == "unauthenticated"
        run(project, other.end_sessions, acting(project), project.ids["alice"])
        assert refused(project, accounts.caller, theirs.token, touch=True) == "unauthenticated"
        third = by_link(project)
        run(project, other.remove, acting(project), project.ids["alice"])
        assert refused(project, accounts.caller, third.token, touch=True) == "unauthenticated"


def test_a_role_counts_from_when_it_is_given(project: Project) -> None:
    entered = by_link(project)
    for role, scopes in (("auditor", {"audit:read"}), ("admin", {"approvals:decide", "audit:read", "admin"})):
        run(project, project.server.accounts.add, acting(project), "alice", role)
        assert run(project, project.server.accounts.caller, entered.token, touch=False).scopes == scopes


# ---------------------------------------------------------------- who may


def test_who_is_added_chooses_a_password_and_is_in(project: Project) -> None:
    accounts = project.server.accounts
    view, link = run(project, accounts.add, acting(project), "Dora", "reviewer")
    assert (view.name, view.role, view.has_password, view.sessions) == ("Dora", "reviewer", False, 0)
    assert sign_in(project, name="Dora") == "unauthenticated"
    run(project, accounts.set_password, link.token, PASSWORD)
    assert isinstance(sign_in(project, name="dora"), SignedIn)
    users, following = run(project, accounts.list_users, project.id, 1, None)
    assert (users, following) == ([replace(view, has_password=True, sessions=2)], view.seq)
    rest, following = run(project, accounts.list_users, project.id, 50, following)
    assert [each.name for each in rest] == ["admin", "auditor", "bob", "alice"]
    assert following is None


def test_what_was_changed_is_in_the_ledger(project: Project) -> None:
    def changes() -> list[Any]:
        found = project.call("admin", "GET", "/v1/events?type=principal.*&limit=200").json()["data"]
        return [each for each in found if each["type"] == "principal.changed"]

    accounts = project.server.accounts
    view, _ = run(project, accounts.add, acting(project), "Dora", "reviewer")
    run(project, accounts.add, acting(project), "dora", "reviewer")
    run(project, accounts.add, acting(project), "dora", "auditor")
    run(project, accounts.remove, acting(project), view.id)
    assert [(each["subject"], each["facts"]) for each in changes()] == [
        (view.id, {"role": "reviewer", "signs_in": True}),
        (view.id, {"role": "auditor", "signs_in": True}),
        (view.id, {"role": "auditor", "signs_in": False}),
    ]
    assert {each["actor"]["id"] for each in changes()} == {project.ids["admin"]}
    people = project.call("admin", "GET", "/v1/principals").json()["data"]
    assert people[0]["role"] == "auditor"


def test_who_was_there_keeps_the_password(project: Project) -> None:
    chosen(project)
    run(project, project.server.accounts.add, acting(project), "alice", "admin")
    assert isinstance(sign_in(project), SignedIn)


def test_who_was_removed_comes_back_with_nothing_of_theirs(project: Project) -> None:
    accounts = project.server.accounts
    entered = chosen(project)
    link = run(project, accounts.new_link, acting(project), project.ids["alice"])
    run(project, accounts.remove, acting(project), project.ids["alice"])
    assert sign_in(project) == "unauthenticated"
    assert run(project, accounts.link, link.token) is None
    assert refused(project, accounts.new_link, acting(project), project.ids["alice"]) == "not_found"
    assert refused(project, accounts.sign_in_link, project.id, project.ids["alice"]) == "forbidden"
    assert refused(project, accounts.remove, acting(project), project.ids["alice"]) == "not_found"
    run(project, accounts.add, acting(project), "alice", "reviewer")
    assert sign_in(project) == "unauthenticated"
    assert refused(project, accounts.caller, entered.token, touch=False) == "unauthenticated"
    assert run(project, accounts.link, link.token) is None


def test_only_humans_and_only_roles_that_sign_in(project: Project) -> None:
    add = project.server.accounts.add
    assert refused(project, add, acting(project), "app", "reviewer") == "invalid"
    assert refused(project, add, acting(project), "Dora", "member") == "invalid"
    assert count(project, ACCOUNTS) == 8


@pytest.mark.parametrize("who", ["alice", "auditor"])
def test_only_an_admin_says_who_may(project: Project, who: str) -> None:
    accounts, caller, bob = project.server.accounts, acting(project, who), project.ids["bob"]
    assert refused(project, accounts.add, caller, "Dora", "reviewer") == "forbidden"
    for method in (accounts.new_link, accounts.remove, accounts.end_sessions):
        assert refused(project, method, caller, bob) == "forbidden"
    run(project, accounts.end_sessions, caller, project.ids[who])


def test_nobody_of_another_project(projects: tuple[Project, Project]) -> None:
    project, other = projects
    accounts = project.server.accounts
    for method in (accounts.new_link, accounts.remove, accounts.end_sessions):
        assert refused(project, method, acting(project), other.ids["alice"]) == "not_found"
    assert refused(project, accounts.sign_in_link, project.id, other.ids["alice"]) == "forbidden"
    chosen(other)
    assert sign_in(project) == "unauthenticated"


def test_the_last_admin_and_oneself_stay(project: Project) -> None:
    accounts, me = project.server.accounts, acting(project)
    robot = replace(me, id=project.ids["app"])
    assert refused(project, accounts.remove, me, me.id) == "forbidden"
    assert refused(project, accounts.add, me, "admin", "reviewer") == "forbidden"
    assert refused(project, accounts.remove, robot, me.id) == "last_admin"
    assert refused(project, accounts.add, robot, "admin", "auditor") == "last_admin"
    assert run(project, accounts.add, me, "admin", "admin")
    run(project, accounts.add, me, "alice", "admin")
    run(project, accounts.remove, robot, me.id)
    assert refused(project, accounts.remove, robot, project.ids["alice"]) == "last_admin"


def test_of_two_last_admins_who_end_each_other_one_stays(databases: Databases, project: Project) -> None:
    accounts, robot = project.server.accounts, replace(acting(project), id=project.ids["app"])
    run(project, accounts.add, robot, "alice", "admin")
    with replica(databases, project) as other:
        found = together(
            project,
            partial(accounts.add, robot, "admin", "reviewer"),
            partial(other.add, robot, "alice", "reviewer"),
            partial(accounts.remove, robot, project.ids["alice"]),
            partial(other.remove, robot, project.ids["admin"]),
        )
    assert "last_admin" in found
    users, _ = run(project, accounts.list_users, project.id, 50, None)
    assert len([each for each in users if each.role == "admin"]) == 1


def test_who_is_an_admin_no_more_administers_nothing_by_a_key_that_they_kept(project: Project) -> None:
    run(project, project.server.accounts.add, acting(project), "alice", "admin")
    issue = {"principal": project.ids["alice"], "scopes": ["admin", "approvals:decide"]}
    project.keys["alice"] = project.call("admin", "POST", "/v1/keys", json=issue).json()["key"]
    assert project.call("alice", "GET", "/v1/keys").status_code == 200
    run(project, project.server.accounts.add, acting(project), "alice", "reviewer")
    assert project.call("alice", "GET", "/v1/keys").status_code == 403
    assert project.call("alice", "GET", "/v1/approvals").status_code == 200


# ---------------------------------------------------------------- what is kept


def test_a_rebuild_signs_nobody_out(project: Project) -> None:
    entered = chosen(project)
    run(project, project.server.accounts.add, acting(project), "alice", "auditor")
    with project.server.database.engines.writer.connect() as connection, connection.begin():
        rebuild(connection, project.world.now())
    assert run(project, project.server.accounts.caller, entered.token, touch=False).scopes == {"audit:read"}
    assert isinstance(sign_in(project), SignedIn)


def test_what_is_over_is_removed_beside_a_sign_in(project: Project) -> None:
    chosen(project)
    for table in (SESSIONS, SIGN_IN_LINKS):
        assert count(project, table) == (table is SESSIONS)
    by_link(project, "bob")
    run(project, project.server.accounts.sign_in_link, project.id, project.ids["bob"])
    sign_in(project, WRONG)
    project.world.advance(30 * MINUTE)
    many = [
        {"digest": f"d{at}", "project": project.id, "principal": "prn_x", "purpose": "sign_in", "expires_at": at}
        for at in range(150)
    ]
    with project.server.database.engines.writer.begin() as connection:
        connection.execute(insert(SIGN_IN_LINKS), many)
    sign_in(project, WRONG, network=ELSEWHERE)
    assert (count(project, SESSIONS), count(project, SIGN_IN_FAILURES)) == (0, 2)
    # Only so many at once.
    assert count(project, SIGN_IN_LINKS) == 51
    sign_in(project, WRONG, network=ELSEWHERE)
    assert count(project, SIGN_IN_LINKS) == 0
