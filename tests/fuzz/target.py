"""What is fuzzed: a real `signoff serve`, two projects, a cast of principals, approvals and runs in every state."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict, deque
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

from signoff_server import limits
from signoff_server.app import open_server
from signoff_server.core.events import SYSTEM
from signoff_server.core.sign_in import SCOPES
from signoff_server.settings import Settings
from signoff_server.world import World
from tests.fuzz.runs import Runs
from tests.support.plain import Plain
from tests.support.project import CAST

# Leases end while it runs, so that outcomes become unknown by themselves; and a stream ends after its first block.
_SERVE: Final = """
from signoff_server.core import approvals
approvals.LEASE = 1_000
from signoff_server.web.stream import EventStream
EventStream._may_go_on = lambda stream: stream._beat_at == 0
from signoff_server.commands import serve
serve()
"""
_KEPT: Final = 40
Approval = dict[str, Any]


class Target:
    """Started and seeded when it is made. `keys` and `ids` are those of the cast in the first project."""

    def __init__(self, folder: Path, database: str) -> None:
        (self.ids, self.keys), (_, self.strange_keys) = asyncio.run(_casts(database))
        with (folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, "--json", "--port", "0", "--database", database],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=log,
                # As a developer's own, so that it makes links to sign in by.
                env={**os.environ, "SIGNOFF_LOG_LEVEL": "error", "SIGNOFF_ENVIRONMENT": "dev"},
            )
        self.log = folder / "server.log"
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise AssertionError(f"the server did not start: {self.log.read_text()}")
        self.url: str = json.loads(line)["url"]
        self._client = Plain(self.url)
        self._called = 0.0
        self._states: dict[str, deque[Approval]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._made = 0
        self.runs = Runs(self._call)
        self._times = count()
        self.top_up()
        self._await_the_unknown()

    def top_up(self) -> None:
        """One more approval in each state, now and then a run. What is redeemed now is unknown a second later."""
        self._keep("redeemed", self.fresh("redeemed"), self.fresh("redeemed"))
        self._keep("pending", self.ask(), self.ask(reviewers=["user:alice"], expires_in=3_600))
        self._keep("expired", self.ask(expires_in=1))
        self._keep("approved", self.fresh("approved"))
        self._keep("rejected", self.decide(self.ask(), "rejected"))
        self._keep("cancelled", self.post("app", f"/v1/approvals/{self.ask()['id']}/cancel", {}))
        body = {"fence": 1, "outcome": "failed", "detail": "no money"}
        self._keep("reported", self.post("app", f"/v1/approvals/{self.fresh('redeemed')['id']}/outcome", body))
        # A run takes several calls.
        if next(self._times) % 4 == 0:
            self.runs.top_up()

    def fresh(self, state: str) -> Approval:
        """An approval that nobody has touched since it came into this state."""
        redeemed = self._states["redeemed"]
        if state == "unknown" and len(redeemed) > 1:
            return redeemed.popleft()
        asked = self.ask(arguments={"n": self._made})
        if state == "pending":
            return asked
        approved = self.decide(asked, "approved")
        return approved if state == "approved" else self._redeem(approved)

    def some(self, chance: random.Random, state: str | None = None) -> Approval:
        """An approval that was in this state when it was made, or in any."""
        return chance.choice(self._states[state or chance.choice(sorted(self._states))])

    def spare_key(self) -> str:
        """The id of an API key that nobody uses."""
        body = {"principal": self.ids["worker"], "scopes": ["work"]}
        made: str = self.post("admin", "/v1/keys", body)["id"]
        return made

    def spare_user(self) -> str:
        """The id of somebody who may sign in and never did."""
        self._made += 1
        made: str = self.post("admin", "/v1/users", {"name": f"spare-{self._made}", "role": "reviewer"})["id"]
        return made

    def ask(self, **body: Any) -> Approval:
        self._made += 1
        asked = {"name": "payments.wire", "context": {"job": self._made}, "summary": "Rent", **body}
        return self.post("app", "/v1/approvals", asked, **{"Idempotency-Key": f"seed-{self._made}"})

    def decide(self, approval: Approval, decision: str) -> Approval:
        body = {"decision": decision, "reason": "because"}
        return self.post("alice", f"/v1/approvals/{approval['id']}/decision", body)

    def post(self, who: str, path: str, body: Any, **headers: str) -> Any:
        return self._call(who, "POST", path, body, **headers)

    def _call(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        # The server closes what was idle for longer, while cases were drawn or judged.
        if time.monotonic() - self._called > limits.IDLE_SECONDS / 2:
            self._client.close()
        self._called = time.monotonic()
        reply = self._client.call(method, path, self.keys[who], body, **headers)
        assert reply.status in (200, 201), (path, reply)
        return reply.body

    def _redeem(self, approval: Approval) -> Approval:
        body = {"binding": approval["binding"], "redeemer": "seed"}
        redeemed: Approval = self.post("app", f"/v1/approvals/{approval['id']}/redeem", body)["approval"]
        return redeemed

    def _keep(self, state: str, *approvals: Approval) -> None:
        self._states[state].extend(approvals)

    def _await_the_unknown(self) -> None:
        """Until what was redeemed first is unknown: what expires a second from now does so after that lease."""
        first = self._states["redeemed"][0]["id"]
        self._call("app", "GET", f"/v1/approvals/{self.ask(expires_in=1)['id']}?wait=30")
        while self._call("app", "GET", f"/v1/approvals/{first}")["redemption"]["outcome"] != "unknown":
            pass

    def stop(self) -> int:
        """Ask it to end; answers its exit code."""
        self._process.terminate()
        code = self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        if self._process.poll() is None:
            self.stop()


async def _casts(database: str) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Ids and keys of the cast, in each of two projects."""
    server = open_server(Settings(database=database, environment="test"), World())
    try:
        return [await _cast(server, project) for project in ("one", "two")]
    finally:
        server.database.close()


async def _cast(server: Any, name: str) -> tuple[dict[str, str], dict[str, str]]:
    people, ids, keys = server.principals, {}, {}
    project = await people.project(name)
    for who, (kind, role, scopes) in CAST.items():
        ids[who] = (await people.create(project, SYSTEM, name=who, kind=kind, role=role, owner=None)).id
        keys[who] = (await people.issue(project, SYSTEM, principal=ids[who], scopes=scopes)).text
        if role in SCOPES:
            await server.accounts.admit(project, ids[who])
    return ids, keys
