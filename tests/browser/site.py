"""One project on a real server: what its apps and people do by the API, and how its people sign in."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from time import monotonic
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.server import RunningServer
from tests.support.stage import DOOR

_PATIENCE = 60.0


class Site:
    """`ids` and `keys` by the names of `tests.support.project.CAST`."""

    def __init__(self, server: RunningServer, name: str) -> None:
        self.server = server
        self.url = server.url
        self.http = httpx.Client(base_url=self.url, timeout=_PATIENCE, trust_env=False)
        made = self.stage("project", name=name)
        self.id: str = made["project"]
        self.ids: dict[str, str] = made["ids"]
        self.keys: dict[str, str] = made["keys"]
        self._sessions: dict[str, tuple[str, str]] = {}
        self._numbers = count(1)

    def stage(self, door: str, **what: Any) -> Any:
        return self.http.post(f"{DOOR}{door}", json=what).raise_for_status().json()

    def number(self) -> int:
        """One that was not given before."""
        return next(self._numbers)

    # ------------------------------------------------------------ by the API

    def call(self, who: str, method: str, path: str, **options: Any) -> Any:
        """The answer to one request by one of the cast; whatever is not a success fails the test."""
        headers = {"Authorization": f"Bearer {self.keys[who]}", **options.pop("headers", {})}
        reply = self.http.request(method, path, headers=headers, **options)
        assert reply.is_success, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json()

    def ask(self, who: str = "app", **body: Any) -> dict[str, Any]:
        """A pending approval."""
        found: dict[str, Any] = self.call(who, "POST", "/v1/approvals", json={"name": "payments.wire", **body})
        return found

    def ask_many(self, bodies: list[dict[str, Any]], who: str = "app", at_once: int = 8) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda body: self.ask(who, **body), bodies))

    def decide(self, approval: str, decision: str = "approved", who: str = "bob", **body: Any) -> dict[str, Any]:
        body = {"decision": decision, **({"reason": "not today"} if decision == "rejected" else {}), **body}
        found: dict[str, Any] = self.call(who, "POST", f"/v1/approvals/{approval}/decision", json=body)
        return found

    def get(self, approval: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("bob", "GET", f"/v1/approvals/{approval}")
        return found

    def register(self, source: str) -> Any:
        return self.call(
            "starter", "POST", "/v1/workflows", content=source.encode(), headers={"Content-Type": "application/yaml"}
        )

    def run(self, workflow: str, **given: Any) -> str:
        """The id of a new run."""
        made = self.call("starter", "POST", "/v1/executions", json={"workflow_id": workflow, "input": given})
        return str(made["id"])

    def settled(self, run: str, wait: int = 10) -> dict[str, Any]:
        """The run as it parked or ended."""
        found: dict[str, Any] = self.call("starter", "GET", f"/v1/executions/{run}?wait={wait}")
        return found

    # ------------------------------------------------------------ pages, without a browser

    def first_byte(self, who: str, path: str, tries: int = 7) -> tuple[float, int]:
        """Seconds to the first byte of a page, the best of some tries, and its size in bytes."""
        name, value = self.session(who)
        times, size = [], 0
        for _ in range(tries):
            begun = monotonic()
            with self.http.stream("GET", path, headers={"Cookie": f"{name}={value}"}) as reply:
                times.append(monotonic() - begun)
                assert reply.status_code == 200
                size = len(reply.read())
        return min(times), size

    # ------------------------------------------------------------ signing in

    def link(self, who: str) -> str:
        """The address that signs in once; who has the page has to press the button."""
        token = self.stage("link", project=self.id, principal=self.ids[who])["token"]
        return f"{self.url}/sign-in/link?token={token}"

    def path(self, address: str) -> str:
        return address.removeprefix(self.url)

    def session(self, who: str) -> tuple[str, str]:
        """Name and value of the cookie of somebody who is signed in."""
        if who not in self._sessions:
            self._sessions[who] = self.new_session(who)
        return self._sessions[who]

    def new_session(self, who: str) -> tuple[str, str]:
        reply = self.http.post("/sign-in/link", data={"token": self.link(who).partition("token=")[2]})
        assert reply.status_code == 303, reply.text
        ((name, value),) = reply.cookies.items()
        self.http.cookies.clear()
        return name, value

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.http.close()
