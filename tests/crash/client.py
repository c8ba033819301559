"""One caller of a server that is told to die: the same requests, by whoever may make them."""

import signal
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest

from tests.support.databases import Databases
from tests.support.server import RunningServer

# A lease that ends while the test looks on. What a dead server had claimed falls due again by itself, in half a minute
# as a rule; at once where a lock says that it is dead.
BRIEF_LEASES: Final = (
    "from signoff_server.core import approvals\n"
    "approvals.LEASE = 500\n"
    "from signoff_server.core import executions\n"
    "executions.LEASE = 500\n"
)
BRIEF_CLAIMS: Final = "from signoff_server.store import agenda\nagenda.CLAIM_MS = 500\n"
DEV: Final = "from signoff_server.commands import dev\ndev()\n"


class Client:
    """One caller of a server that dies: the same requests, by whoever may make them."""

    def __init__(self, server: RunningServer, http: httpx.Client) -> None:
        self.server = server
        self._http = http

    def call(
        self, who: dict[str, str], method: str, path: str, key: str | None = None, **options: Any
    ) -> httpx.Response:
        headers = who if key is None else who | {"Idempotency-Key": key}
        return self._http.request(method, f"{self.server.url}{path}", headers=headers, **options)

    def create(self, **body: Any) -> httpx.Response:
        body = {"name": "payments.wire", "context": {"amount": "1.00"}} | body
        return self.call(self.server.app(), "POST", "/v1/approvals", "create", json=body)

    def decide(self, approval: str) -> httpx.Response:
        path, body = f"/v1/approvals/{approval}/decision", {"decision": "approved", "reason": "as agreed"}
        return self.call(self.server.reviewer(), "POST", path, "decide", json=body)

    def redeem(self, approval: str) -> httpx.Response:
        body = {"binding": self.get(approval)["binding"], "redeemer": "r1"}
        return self.call(self.server.app(), "POST", f"/v1/approvals/{approval}/redeem", json=body)

    def renew(self, approval: str) -> httpx.Response:
        return self.call(self.server.app(), "POST", f"/v1/approvals/{approval}/renew", json={"fence": 1})

    def report(self, approval: str) -> httpx.Response:
        body = {"fence": 1, "outcome": "succeeded", "detail": "paid"}
        return self.call(self.server.app(), "POST", f"/v1/approvals/{approval}/outcome", json=body)

    def get(self, approval: str, wait: int = 0) -> dict[str, Any]:
        reply = self.call(self.server.reviewer(), "GET", f"/v1/approvals/{approval}?wait={wait}")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def until_watched(self) -> None:
        """Until somebody has a watch socket open."""
        url, ends = f"{self.server.url}/metrics", time.monotonic() + 30
        while "signoff_watch_sockets 0.0" in self._http.get(url).text:
            assert time.monotonic() < ends, "nobody opened one"

    def ledger(self) -> list[str]:
        """The types of the events of all approvals; checks that no number is missing."""
        events = self.call(self.server.reviewer(), "GET", "/v1/events?limit=200").json()["data"]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        return [event["type"] for event in events if event["subject"].startswith("apr_")]

    def dies_of(self, request: Callable[[], httpx.Response]) -> None:
        """The request gets no answer, because the server kills itself over it."""
        with pytest.raises(httpx.TransportError):
            request()
        assert self.server.wait() == -signal.SIGKILL

    # ------------------------------------------------------------ runs

    def register(self, source: str) -> None:
        headers = self.server.app() | {"Content-Type": "application/yaml"}
        reply = self.call(headers, "POST", "/v1/workflows", content=source)
        assert reply.status_code in (200, 201), reply.text

    def begin(self, workflow: str, key: str = "begin", **given: Any) -> httpx.Response:
        body = {"workflow_id": workflow, "input": given}
        return self.call(self.server.app(), "POST", "/v1/executions", key, json=body)

    def approve(self, execution: str, node: str) -> httpx.Response:
        path, body = f"/v1/executions/{execution}/approve", {"decision": "approved", "node_id": node}
        return self.call(self.server.reviewer(), "POST", path, f"approve:{node}", json=body)

    def lease(self, tool: str, request: str, wait: int = 0, most: int = 1, **more: Any) -> httpx.Response:
        tools = [{"name": tool, "idempotent": more.get("idempotent", False)}]
        body = {"request": request, "tools": tools, "worker": "w1", "max": most, "wait": wait}
        return self.call(self._worker(), "POST", "/v1/work/lease", json=body)

    def take(self, tool: str, request: str) -> dict[str, Any]:
        (item,) = self.lease(tool, request, wait=20).json()["items"]
        found: dict[str, Any] = item
        return found

    def heartbeat(self, item: dict[str, Any]) -> httpx.Response:
        path = f"/v1/work/{item['id']}/heartbeat"
        return self.call(self._worker(), "POST", path, json={"fence": item["fence"]})

    def settle(self, item: dict[str, Any], what: str = "complete", **body: Any) -> httpx.Response:
        path = f"/v1/work/{item['id']}/{what}"
        return self.call(self._worker(), "POST", path, json={"fence": item["fence"], **body})

    def say(self, execution: str, what: str, **body: Any) -> httpx.Response:
        """`signal`, `cancel`, or `nodes/NODE/resolve`, by whoever may; the same key for the same word."""
        who = self.server.app() if what == "signal" else self.server.reviewer()
        return self.call(who, "POST", f"/v1/executions/{execution}/{what}", what, json=body)

    def run(self, execution: str, until: str | None = None) -> dict[str, Any]:
        """The run as it is; with `until` as soon as it has ended as that, or has a node that stands like that."""
        seen = 0
        while True:
            path = f"/v1/executions/{execution}" + (f"?wait=20&seen={seen}" if seen else "")
            found: dict[str, Any] = self.call(self.server.reviewer(), "GET", path).json()
            nodes = () if until in ("completed", "failed") else (node["status"] for node in found["nodes"])
            if until in (None, found["status"], *nodes):
                return found
            assert found["events"] > seen, found
            seen = found["events"]

    def history(self, execution: str) -> list[str]:
        """The types of a run's events, the node's id with those of nodes; checks that no number is missing."""
        events = self.call(self.server.reviewer(), "GET", f"/v1/executions/{execution}/events").json()["data"]
        assert [event["version"] for event in events] == list(range(1, len(events) + 1))
        return [" ".join(filter(None, (event["type"], event["facts"].get("node")))) for event in events]

    def _worker(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.server.worker_key}"}


def claims(databases: Databases) -> str:
    """Where nothing says that a server is dead, its claims have to end while a test looks on."""
    return "" if databases.kind == "sqlite" else BRIEF_CLAIMS
