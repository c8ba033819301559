"""Principals and keys: who may hold which, and what a caller may see."""

from dataclasses import replace
from itertools import combinations

import pytest

from signoff_server.core import principals as core
from signoff_server.core.events import SYSTEM, Actor, Event, Payload, Recorded
from signoff_server.core.principals import Caller, Key, Principal
from signoff_server.core.reactions import reactions
from signoff_server.core.refusals import Refusal
from tests.core.test_approvals import APP, T0, start

NOTHING = Payload(b"{}", b"", "")
MEMBER = Principal("prn_1", "human", None, "member", T0, 1)
SCOPES = (
    "approvals:create",
    "approvals:redeem",
    "approvals:decide",
    "executions:write",
    "workflows:write",
    "work",
    "audit:read",
    "admin",
)


def issue(*scopes: str, holder: Principal | None = MEMBER) -> list[Event]:
    return core.issue(core.Issue(SYSTEM, NOTHING, holder, "dev", scopes, 60_000), T0)


def standing(key: Key, now: int) -> bool:
    return core.stands(expires_at=key.expires_at, revoked_at=key.revoked_at, now=now)


def recorded(event: Event, subject: str, version: int = 1) -> Recorded:
    return Recorded(1, "evt", event.type, 1, subject, version, T0, SYSTEM, event.facts, "")


def test_every_set_of_scopes_that_asks_and_decides_is_refused_and_no_other() -> None:
    admin = replace(MEMBER, role="admin")
    for size in range(1, len(SCOPES) + 1):
        for scopes in combinations(SCOPES, size):
            both = core.DECIDING in scopes and bool(core.ASKING & set(scopes))
            if both:
                with pytest.raises(Refusal, match="forbidden"):
                    issue(*scopes, holder=admin)
            else:
                assert len(issue(*scopes, holder=admin)) == 1


def test_admin_needs_the_role_and_every_key_a_principal() -> None:
    with pytest.raises(Refusal, match="forbidden"):
        issue("admin")
    with pytest.raises(Refusal, match="invalid"):
        issue("work", holder=None)


def test_a_key_stands_until_it_expires_or_is_revoked() -> None:
    key = core.evolve_key(None, recorded(issue("work")[0], "key_1"))
    assert isinstance(key, Key)
    assert standing(key, T0 + 59_999)
    assert not standing(key, T0 + 60_000)
    (event,) = core.revoke(key, core.Revoke(SYSTEM, NOTHING))
    revoked = core.evolve_key(key, recorded(event, "key_1", 2))
    assert not standing(revoked, T0)
    assert core.revoke(revoked, core.Revoke(SYSTEM, NOTHING)) == []
    with pytest.raises(Refusal, match="not_found"):
        core.revoke(None, core.Revoke(SYSTEM, NOTHING))


@pytest.mark.parametrize("kind", [None, "service", "agent"])
def test_only_a_human_owns(kind: str | None) -> None:
    with pytest.raises(Refusal, match="invalid"):
        core.create(core.Create(SYSTEM, NOTHING, "agent", "member", "prn_x", kind))


def test_what_each_scope_lets_see_and_run() -> None:
    mine, foreign = start(), replace(start(), requested_by=Actor("prn_other", "service", "api"))
    seeing = {"approvals:create": (True, False), "approvals:redeem": (True, True)}
    seeing |= dict.fromkeys(("approvals:decide", "audit:read", "admin"), (True, True))
    running = {"approvals:create": (True, False), "approvals:redeem": (True, True)}
    assert APP.id is not None
    for scope in SCOPES:
        caller = Caller("prj", APP.id, "app", "service", None, frozenset({scope}), "key")
        assert (caller.sees(mine), caller.sees(foreign)) == seeing.get(scope, (False, False)), scope
        assert (caller.may_execute(mine), caller.may_execute(foreign)) == running.get(scope, (False, False)), scope


@pytest.mark.parametrize(
    ("kind", "scope", "may"),
    [
        ("human", "approvals:decide", True),
        ("agent", "approvals:decide", False),
        ("service", "admin", True),
        ("human", "audit:read", False),
    ],
)
def test_who_resolves(kind: str, scope: str, may: bool) -> None:
    assert Caller("prj", "prn", "x", kind, None, frozenset({scope}), "key").may_resolve() is may


def test_nothing_follows_from_a_principal() -> None:
    (event,) = core.create(core.Create(SYSTEM, NOTHING, "human", "member", None, None))
    made = recorded(event, "prn_9")
    assert reactions(made, core.evolve_principal(None, made), "prj_1") == []
    with pytest.raises(ValueError, match="does not follow"):
        core.evolve_principal(MEMBER, made)


def test_a_role_and_the_right_to_sign_in_change_and_nothing_else() -> None:
    (event,) = core.change("human", core.Change(SYSTEM, NOTHING, "auditor", True))
    assert core.evolve_principal(MEMBER, recorded(event, MEMBER.id, 2)) == replace(
        MEMBER, role="auditor", signs_in=True
    )
    with pytest.raises(ValueError, match="does not follow"):
        core.evolve_principal(None, recorded(event, MEMBER.id))


@pytest.mark.parametrize("kind", ["service", "agent"])
def test_only_a_human_signs_in(kind: str) -> None:
    with pytest.raises(Refusal, match="invalid"):
        core.change(kind, core.Change(SYSTEM, NOTHING, "admin", True))
