"""Signing in: passwords, links that work once, sessions; and who may.

Rules of the room: whoever changes what opens a session has locked the project, so that none begins beside the end of
its account; a try is counted before its password is looked at, so that many at once are no more than one by one;
nothing here is kept in memory, so that what ended on one replica has ended on all.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from signoff_server.core import principals as core
from signoff_server.core import sign_in as rules
from signoff_server.core.events import SYSTEM, Payload
from signoff_server.core.principals import Caller, Principal
from signoff_server.core.refusals import Refusal
from signoff_server.service import passwords
from signoff_server.service.execute import Execute, Unit
from signoff_server.service.passwords import Passwords
from signoff_server.store import accounts, codec, ledger, principals
from signoff_server.store.accounts import LinkView, SessionView, UserView
from signoff_server.store.database import Database
from signoff_server.world import World


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that began: `token` is its secret, which exists here and in a cookie; it ends at `ends_at`, or idle."""

    token: str
    session: str
    ends_at: int


@dataclass(frozen=True, slots=True)
class Link:
    """A link that works once, until `expires_at`: `token` exists here and with whoever is told."""

    token: str
    purpose: str
    expires_at: int


class Accounts:
    """Methods raise `Refusal`. Times are milliseconds since 1970."""

    def __init__(self, database: Database, execute: Execute, world: World) -> None:
        self._database = database
        self._execute = execute
        self._world = world
        self._passwords = Passwords(world)

    def close(self) -> None:
        self._passwords.close()

    # ------------------------------------------------------------ signing in and out

    async def sign_in(self, project: str, name: str, password: str, network: str) -> SignedIn:
        """A session, by name and password. `network` is where it is asked from.

        Refused with `unauthenticated`, and with `sign_in_locked` after too many failures: then the password is not
        looked at, so that the answer says nothing about it.
        """
        tried = _tried(project, name, network)
        # Read first: while it is locked, trying costs no write.
        await self._database.read(_check_lock, tried, self._world.now())
        await self._database.write(_count, project, tried, self._world.now())
        account = await self._database.read(accounts.account_named, project, name) if name.isprintable() else None
        kept = account.password if account and rules.scopes(account.role) else None
        try:
            fits = await self._passwords.fits(kept, password)
        except Refusal:
            # Nobody looked at it.
            await self._database.write(_forgive, project, tried)
            raise
        if account is None or kept is None or not fits:
            raise Refusal("unauthenticated", "The name or the password is wrong.")
        renewed = await self._passwords.hashed(password) if self._passwords.is_old(kept) else None
        return await self._database.write(self._by_password, project, account.principal, kept, renewed, tried)

    async def link(self, token: str) -> LinkView | None:
        """The link with this secret, where it stands; looking does not use it up."""
        return await self._database.read(accounts.link, digest(token), self._world.now())

    async def exchange(self, token: str) -> SignedIn:
        """A session for a link to sign in by; it works once."""
        return await self._database.write(self._by_link, digest(token), "sign_in", None)

    async def set_password(self, token: str, password: str) -> SignedIn:
        """A new password by a link for that, which works once; all other sessions and links of the user end."""
        passwords.check(password)
        found = await self.link(token)
        if found is None or found.purpose != "password":
            raise _used()
        hashed = await self._passwords.hashed(password)
        return await self._database.write(self._by_link, digest(token), "password", hashed)

    async def caller(self, token: str, *, touch: bool) -> Caller:
        """Who is signed in by this secret, and until when. `touch` keeps them signed in.

        Read from the database each time, so that a session that was ended ends at once. Refused with
        `unauthenticated`.
        """
        secret, now = digest(token), self._world.now()
        found = await self._database.read(accounts.session, secret)
        if found is None or now >= rules.session_end(found.seen_at, found.ends_at) or not rules.scopes(found.role):
            raise Refusal("unauthenticated", "Your session is over. Sign in again.")
        seen_at = found.seen_at
        if touch and now - seen_at >= rules.SEEN_EACH:
            await self._database.write(accounts.seen, secret, now)
            seen_at = now
        return _caller(found, rules.session_end(seen_at, found.ends_at))

    async def sign_out(self, token: str) -> None:
        """The end of this session; nothing where it has ended."""
        await self._database.write(accounts.drop_session, digest(token))

    async def sign_in_link(self, project: str, principal: str) -> Link:
        """A link that signs a user in, once, within 10 minutes. Refused with `forbidden` to who may not sign in."""
        try:
            return await self._database.write(self._link_for, project, principal, "sign_in")
        except Refusal as refusal:
            if refusal.code != "not_found":
                raise
            said = "You may not sign in yet: an admin lets you, by signoff users add NAME --role ROLE."
            raise Refusal("forbidden", said) from refusal

    # ------------------------------------------------------------ who may sign in

    async def add(self, caller: Caller, name: str, role: str) -> tuple[UserView, Link]:
        """A human who may sign in, by a password that they choose by the link, within 24 hours.

        Where there is a human of that name, they get the role, and the right to sign in. For admins.
        """
        _check_admin(caller)
        if role not in rules.SCOPES:
            raise Refusal("invalid", "This role does not sign in.", errors=[("/role", "reviewer, auditor or admin")])
        project, actor, new = caller.project, caller.actor, self._world.new_id("prn")
        named, changed = self._sealed({"name": name}), self._sealed({})

        def plan(unit: Unit) -> tuple[str, Link]:
            found = principals.by_names(unit.connection, project, [name]).get(name.casefold())
            if found is None:
                unit.record(new, actor, core.create(core.Create(actor, named, "human", role, None, None)))
            elif found.id == caller.id and found.role != role:
                raise Refusal("forbidden", "Nobody changes their own role: ask another admin.")
            principal = new if found is None else found.id
            _admit(unit, principal, core.Change(actor, changed, role, True), self._world.now())
            return principal, self._new_link(unit.connection, project, principal, "password")

        principal, link = await self._execute(project, plan)
        view = await self._database.read(accounts.user, project, principal, self._world.now())
        if view is None:
            raise Refusal("not_found", "They were removed meanwhile.")
        return view, link

    async def admit(self, project: str, principal: str) -> None:
        """Let a human sign in, in the role that they have: by the system. Nothing where they may already.

        Refused with `forbidden` where this role does not sign in.
        """
        if await self._database.read(accounts.account, project, principal):
            return
        payload = self._sealed({})

        def plan(unit: Unit) -> None:
            role = _human(unit, principal).role
            if role not in rules.SCOPES:
                raise Refusal("forbidden", f"The role {role} does not sign in.")
            _admit(unit, principal, core.Change(SYSTEM, payload, role, True), self._world.now())

        await self._execute(project, plan, subjects=(principal,))

    async def new_link(self, caller: Caller, principal: str) -> Link:
        """A link to choose a new password by, within 24 hours; it ends those before it. For admins."""
        _check_admin(caller)
        return await self._database.write(self._link_for, caller.project, principal, "password")

    async def remove(self, caller: Caller, principal: str) -> None:
        """The end of the right to sign in, and of password, links and sessions. API keys are another matter.

        For admins; refused with `forbidden` about oneself and with `last_admin` about the last one.
        """
        _check_admin(caller)
        if caller.id == principal:
            raise Refusal("forbidden", "Nobody removes themselves: ask another admin.")
        actor, payload = caller.actor, self._sealed({})

        def plan(unit: Unit) -> None:
            _check_account(unit.connection, caller.project, principal)
            human = _human(unit, principal)
            if human.role == "admin":
                _check_another_admin(unit, principal)
            unit.record(principal, actor, core.change(human.kind, core.Change(actor, payload, human.role, False)))
            accounts.close_account(unit.connection, principal)

        await self._execute(caller.project, plan, subjects=(principal,))

    async def end_sessions(self, caller: Caller, principal: str) -> None:
        """Sign a user out everywhere: oneself, or anybody for admins."""
        if caller.id != principal:
            _check_admin(caller)
        await self._database.write(_sign_out_everywhere, caller.project, principal)

    async def list_users(self, project: str, limit: int, before: int | None) -> tuple[list[UserView], int | None]:
        """Who may sign in, newest first, and where the next page begins."""
        return await self._database.read(accounts.list_users, project, limit, before, self._world.now())

    # ------------------------------------------------------------ in a transaction

    def _by_password(
        self,
        connection: Connection,
        project: str,
        principal: str,
        kept: str,
        renewed: str | None,
        tried: Mapping[str, int],
    ) -> SignedIn:
        ledger.lock_head(connection, project)
        account = accounts.account(connection, project, principal)
        if account is None or account.password != kept:
            raise Refusal("unauthenticated", "The password was changed meanwhile.")
        _forget(connection, project, tried)
        if renewed is not None:
            accounts.set_password(connection, principal, renewed, self._world.now())
        return self._new_session(connection, project, principal)

    def _by_link(self, connection: Connection, secret: str, purpose: str, hashed: str | None) -> SignedIn:
        found = accounts.link(connection, secret, self._world.now())
        if found is None or found.purpose != purpose:
            raise _used()
        project, principal = found.project, found.principal
        ledger.lock_head(connection, project)
        account = accounts.account(connection, project, principal)
        if not accounts.use_link(connection, secret) or account is None or not rules.scopes(account.role):
            raise _used()
        if hashed is not None:
            accounts.set_password(connection, principal, hashed, self._world.now())
            accounts.drop_links(connection, principal)
            accounts.drop_sessions(connection, principal)
        return self._new_session(connection, project, principal)

    def _new_session(self, connection: Connection, project: str, principal: str) -> SignedIn:
        now, token, session = self._world.now(), self._secret(), self._world.new_id("ses")
        accounts.sweep(connection, project, now)
        row = {"digest": digest(token), "id": session, "project": project, "principal": principal}
        times = {"created_at": now, "seen_at": now, "ends_at": now + rules.LONGEST}
        accounts.add_session(connection, row | times)
        return SignedIn(token, session, now + rules.LONGEST)

    def _link_for(self, connection: Connection, project: str, principal: str, purpose: str) -> Link:
        ledger.lock_head(connection, project)
        _check_account(connection, project, principal)
        return self._new_link(connection, project, principal, purpose)

    def _new_link(self, connection: Connection, project: str, principal: str, purpose: str) -> Link:
        now, token = self._world.now(), self._secret()
        accounts.sweep(connection, project, now)
        if purpose == "password":
            accounts.drop_links(connection, principal, purpose)
        link = Link(token, purpose, now + rules.LINK_LIVES[purpose])
        row = {"digest": digest(token), "project": project, "principal": principal}
        accounts.add_link(connection, row | {"purpose": purpose, "expires_at": link.expires_at})
        return link

    def _secret(self) -> str:
        return base64.urlsafe_b64encode(self._world.random(32)).decode().rstrip("=")

    def _sealed(self, data: Mapping[str, str]) -> Payload:
        return codec.seal(data, self._world.random(32))


def digest(text: str) -> str:
    """Hex SHA-256: all that is kept of a secret."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# ---------------------------------------------------------------- who may


def _admit(unit: Unit, principal: str, change: core.Change, now: int) -> None:
    """The role and the right to sign in; nothing of it is recorded where it is so already."""
    connection, project, human = unit.connection, unit.project, _human(unit, principal)
    may = accounts.account(connection, project, principal) is not None
    events = core.change(human.kind, change)
    if may and human.role == "admin" and change.role != "admin":
        _check_another_admin(unit, principal)
    if not may or human.role != change.role:
        unit.record(principal, change.actor, events)
    if not may:
        accounts.close_account(connection, principal)
        accounts.open_account(connection, project, principal, now)


def _human(unit: Unit, principal: str) -> Principal:
    state = unit.state(principal)
    if not isinstance(state, Principal):
        raise _nobody()
    return state


def _check_another_admin(unit: Unit, principal: str) -> None:
    """Raises `Refusal` where nobody else of role admin may sign in."""
    # The rows tell the roles as they were before the commands of this transaction.
    for other in accounts.admins(unit.connection, unit.project):
        state = unit.state(other)
        if other != principal and isinstance(state, Principal) and state.role == "admin":
            return
    raise Refusal("last_admin", "This is the last admin who can sign in: make another one first.")


def _check_admin(caller: Caller) -> None:
    if not caller.has("admin"):
        raise Refusal("forbidden", "Only an admin says who may sign in.")


def _check_account(connection: Connection, project: str, principal: str) -> None:
    account = accounts.account(connection, project, principal)
    if account is None or not rules.scopes(account.role):
        raise _nobody()


def _sign_out_everywhere(connection: Connection, project: str, principal: str) -> None:
    ledger.lock_head(connection, project)
    _check_account(connection, project, principal)
    accounts.drop_sessions(connection, principal)


def _caller(found: SessionView, expires_at: int) -> Caller:
    return Caller(
        project=found.project,
        id=found.principal,
        name=found.name,
        kind=found.kind,
        owner=found.owner,
        scopes=rules.scopes(found.role),
        key=found.id,
        via="dashboard",
        expires_at=expires_at,
    )


def _nobody() -> Refusal:
    return Refusal("not_found", "Nobody with this id may sign in.")


def _used() -> Refusal:
    return Refusal("unauthenticated", "This link was used, or its time is over. Ask an admin for a new one.")


# ---------------------------------------------------------------- failed tries


def _tried(project: str, name: str, network: str) -> dict[str, int]:
    """What is counted for this try, as digests: how many of each may fail."""
    pair = digest("\n".join(("pair", project, name.casefold(), network)))
    return {
        pair: rules.MOST_OF_PAIR,
        digest("\n".join(("network", project, network))): rules.MOST_OF_NETWORK,
    }


def _check_lock(connection: Connection, tried: Mapping[str, int], now: int) -> None:
    """Raises `Refusal` where one of these failed too often."""
    found = accounts.tries(connection, tried)
    ends = [rules.locked_until(found.get(key), most, now) for key, most in tried.items()]
    until = max((each for each in ends if each is not None), default=None)
    if until is not None:
        seconds = -(-(until - now) // 1000)
        said = f"Too many failed sign-ins: try again in {-(-seconds // 60)} minutes, or ask an admin for a link."
        raise Refusal("sign_in_locked", said, retry_after=seconds)


def _count(connection: Connection, project: str, tried: Mapping[str, int], now: int) -> None:
    """Count one more failure, which is taken back where it was none. Raises `Refusal`."""
    ledger.lock_head(connection, project)
    accounts.sweep(connection, project, now)
    _check_lock(connection, tried, now)
    found = accounts.tries(connection, tried)
    more = {key: rules.one_more(found.get(key), most, now) for key, most in tried.items()}
    accounts.keep_tries(connection, project, more)


def _forgive(connection: Connection, project: str, tried: Mapping[str, int]) -> None:
    """Take one try back that nobody looked at."""
    ledger.lock_head(connection, project)
    found = accounts.tries(connection, tried)
    accounts.keep_tries(connection, project, {key: rules.one_less(found.get(key)) for key in tried})


def _forget(connection: Connection, project: str, tried: Mapping[str, int]) -> None:
    """The password was right: the person starts afresh, and their network has one failure less."""
    pair, network = tried
    found = accounts.tries(connection, tried)
    accounts.keep_tries(connection, project, {pair: None, network: rules.one_less(found.get(network))})
