"""A real server, started as an operator does it: `signoff serve`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.setup import Keys

ROOT: Final = Path(__file__).parents[1]
SERVE: Final = "from signoff_server.commands import serve; serve()"
# A bench asks faster than any application should be allowed to.
_NO_LIMITS: Final = {"SIGNOFF_CREATIONS_PER_SECOND": "0", "SIGNOFF_PENDING_CAP": "0"}


class Server:
    """Ready when it is made. `app_key` may ask, redeem and start runs, `reviewer_key` decide and administer."""

    def __init__(
        self,
        folder: Path,
        database: str,
        keys: Keys,
        *,
        code: str = SERVE,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """On a database that was set up, whose keys those are; the log goes to `folder`."""
        self.database = database
        self.keys = keys
        self.app_key, self.reviewer_key, self.worker_key = keys
        self._folder = folder
        self._code = code
        self._env = {**os.environ, **_NO_LIMITS, **(env or {})}
        self.start()

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
