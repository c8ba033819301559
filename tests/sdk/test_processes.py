"""One shared client for threads, loops and forked children, and none of them in another's way."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from signoff import AsyncSignoff, ConfigurationError, Signoff, default, require_approval, require_approval_async
from tests.sdk import replies

FORKING = """
import os, sys
from signoff import require_approval, Signoff
client = Signoff()
def ask():
    with require_approval("payments.wire", {"amount": "50000.00"}, idempotency_key="k"):
        pass
    return client.approvals.get(os.environ["APPROVAL"]).status
print(ask(), flush=True)
child = os.fork()
if child == 0:
    print(ask(), flush=True)
    os._exit(0)
status = os.waitpid(child, 0)[1]
print(ask(), status, flush=True)
with require_approval("payments.wire", {"amount": "50000.00"}, idempotency_key="inside"):
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
"""


class _Recorder(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[int, str, dict[str, Any]]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said: Any = replies.approved()
        if self.path.endswith("/redeem"):
            said = replies.redeemed()
        elif self.path.endswith("/outcome"):
            said = replies.reported(body["outcome"])
        self._answer(said, body)

    def do_GET(self) -> None:
        self._answer(replies.approved(), {})

    def _answer(self, said: Any, body: dict[str, Any]) -> None:
        assert isinstance(self.server, _Recorder)
        self.server.seen.append((self.client_address[1], self.path, body))
        text = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Recorder]:
    with _Recorder() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("SIGNOFF_URL", made.url)
        monkeypatch.setenv("SIGNOFF_API_KEY", "sgo_test")
        yield made
        made.shutdown()
        thread.join(10)


def ask() -> str:
    return require_approval(replies.NAME, replies.CONTEXT, idempotency_key="k").status


async def ask_async() -> str:
    return (await require_approval_async(replies.NAME, replies.CONTEXT, idempotency_key="k")).status


def test_calls_share_a_client_for_each_configuration(server: _Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [ask(), ask()] == ["approved", "approved"]
    assert len({port for port, _, _ in server.seen}) == 1
    first = default.default_client()
    assert default.default_client() is first
    monkeypatch.setenv("SIGNOFF_API_KEY", "sgo_other")
    assert default.default_client() is not first


def test_threads_share_a_client(server: _Recorder) -> None:
    together = threading.Barrier(8)

    def work(_: int) -> tuple[str, int]:
        together.wait(10)
        return ask(), id(default.default_client())

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(work, range(8)))
    assert {status for status, _ in done} == {"approved"}
    assert len({client for _, client in done}) == 1


def test_a_second_loop_has_connections_of_its_own(server: _Recorder) -> None:
    assert [asyncio.run(ask_async()), asyncio.run(ask_async())] == ["approved", "approved"]
    assert len({port for port, _, _ in server.seen}) == 2
    assert len(default.default_async_client()._session._engines) == 0, "an engine is closed with its loop"


def test_loops_in_two_threads_do_not_meet(server: _Recorder) -> None:
    client = AsyncSignoff()
    together = threading.Barrier(2)

    async def work() -> list[str]:
        found = []
        for _ in range(3):
            await asyncio.to_thread(together.wait, 10)
            found.append((await client.approvals.get(replies.ID)).status)
        return found

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: asyncio.run(work()), range(2)))
    assert done == [["approved"] * 3] * 2


def test_the_sync_call_in_a_running_loop_names_its_twin(server: _Recorder) -> None:
    client = Signoff()

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="require_approval_async"):
            ask()
        with pytest.raises(ConfigurationError, match="require_approval_async"):
            client.require_approval(replies.NAME)
        with pytest.raises(ConfigurationError, match=r"approvals\.wait"):
            client.approvals.wait(replies.ID)
        with pytest.raises(ConfigurationError, match=r"approvals\.as_completed"):
            list(client.approvals.as_completed([replies.ID]))
        assert await asyncio.to_thread(ask) == "approved"

    asyncio.run(main())
    client.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_opens_its_own_connections_and_leaves_its_parents_block_alone(server: _Recorder) -> None:
    environment = {
        **os.environ,
        "SIGNOFF_URL": server.url,
        "SIGNOFF_API_KEY": "sgo_test",
        "APPROVAL": replies.ID,
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-c", FORKING], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["approved", "approved", "approved", "0"]
    ports = [port for port, path, _ in server.seen if path == f"/v1/approvals/{replies.ID}"]
    assert ports[0] == ports[2] != ports[1]
    parent = [port for port, path, _ in server.seen if path == "/v1/approvals"]
    assert parent[0] == parent[2] != parent[1]
    outcomes = [body["outcome"] for _, path, body in server.seen if path.endswith("/outcome")]
    assert outcomes == ["succeeded"] * 4, "the child that left the block inside its parent's lease reported nothing"


def test_on_pending_may_be_a_coroutine_function(server: _Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    from signoff.testing import approve_all

    told: list[str] = []

    async def tell(approval: Any) -> None:
        await asyncio.sleep(0)
        told.append(approval.status)

    async def main() -> str:
        return (await require_approval_async("a", on_pending=tell)).status

    with approve_all():
        assert asyncio.run(main()) == "approved"
    assert told == ["pending"]


def test_nothing_is_left_open(server: _Recorder) -> None:
    code = (
        "import asyncio, gc\n"
        "from signoff import require_approval, require_approval_async\n"
        "def ask(f): return f('payments.wire', {'amount': '50000.00'}, idempotency_key='k')\n"
        "async def main():\n"
        # Development mode also tells of slow callbacks, which a busy machine has.
        "    asyncio.get_running_loop().slow_callback_duration = 60\n"
        "    async with ask(require_approval_async): pass\n"
        "with ask(require_approval): pass\n"
        "asyncio.run(main())\n"
        "gc.collect()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
