"""A real server, set up and started as an operator does it: `signoff setup`, then `signoff serve`."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

ROOT: Final = Path(__file__).parents[1]
_SETUP: Final = "from signoff_server.commands import setup; setup()"
SERVE: Final = "from signoff_server.commands import serve; serve()"
# A bench asks faster than any application should be allowed to.
_NO_LIMITS: Final = {"SIGNOFF_CREATIONS_PER_SECOND": "0", "SIGNOFF_PENDING_CAP": "0"}


class Server:
    """Ready when it is made. `app_key` may ask and redeem, `reviewer_key` decide and administer."""

    def __init__(
        self,
        folder: Path,
        database: str,
        *,
        code: str = SERVE,
        env: Mapping[str, str] | None = None,
        keys: tuple[str, str] | None = None,
    ) -> None:
        """With `keys` (of an application and a reviewer) the database is served as it is, else it is set up first."""
        self.database = database
        self._folder = folder
        self._code = code
        self._env = {**os.environ, **_NO_LIMITS, **(env or {})}
        admin = keys[1] if keys else _set_up(folder, database)
        self.start()
        self.reviewer_key = admin
        self.app_key = keys[0] if keys else self._application()

    def start(self) -> None:
        begun = time.monotonic()
        arguments = ("--database", self.database, "--port", "0", "--log-level", "warning", "--json")
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", self._code, *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=self._env,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.started_in = time.monotonic() - begun
        if not line:
            self._process.wait()
            raise RuntimeError(f"the server did not start: {(self._folder / 'server.log').read_text()[-2000:]}")
        self.url: str = json.loads(line)["url"]
        self.pid = self._process.pid

    def restart(self) -> None:
        """A new process on the same database, at another address."""
        self.stop()
        self.start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ask(self, method: str, path: str, key: str, body: dict[str, Any] | None = None) -> Any:
        """One request that is not measured. Raises `RuntimeError` for what is no success."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        if not 200 <= reply.status < 300:
            raise RuntimeError(f"{method} {path}: {reply.status} {text}")
        return json.loads(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _application(self) -> str:
        made = self.ask("POST", "/v1/principals", self.reviewer_key, {"name": "app", "kind": "service"})
        issued = {"principal": made["id"], "scopes": ["approvals:create"]}
        key: str = self.ask("POST", "/v1/keys", self.reviewer_key, issued)["key"]
        return key


def _set_up(folder: Path, database: str) -> str:
    made = subprocess.run(
        [sys.executable, "-c", _SETUP, "--database", database, "--name", "reviewer", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise RuntimeError(f"signoff setup failed: {made.stderr}")
    key: str = json.loads(made.stdout)["key"]
    return key
