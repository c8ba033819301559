"""A real `signoff dev`, in a process and a folder of its own."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

DEV = "from signoff_server.commands import dev; dev()"


class RunningServer:
    """Started and ready when it is made. Killing it and starting it again keeps folder, port, database and keys."""

    def __init__(
        self,
        folder: Path,
        *,
        database: str | None = None,
        env: Mapping[str, str] | None = None,
        code: str = DEV,
        worker: bool = False,
    ) -> None:
        self.folder = folder
        self.database = database or str(folder / ".signoff" / "signoff.db")
        self._arguments = [] if database is None else ["--database", database]
        # The process of a worker takes its time to start, too.
        self._arguments += [] if worker else ["--no-worker"]
        self._env = dict(env or {})
        self._code = code
        # Bound and never listening: the server may take this port, and nobody else does while the server is dead.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        try:
            self.start()
        except BaseException:
            self._reserved.close()
            raise

    def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start it (again); returns when it is ready to serve."""
        folder = self.folder
        with (folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self._code, "--json", "--port", self._port(), *self._arguments],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self._env, **(env or {})},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._reap()
            raise AssertionError(f"the server did not start: {self.log()}")
        ready = json.loads(line)
        self.url: str = ready["url"]
        self.project: str = ready["project"]
        self.app_key: str = ready["app_key"]
        self.reviewer_key: str = ready["reviewer_key"]
        self.worker_key: str = ready["worker_key"]
        self.sign_in_url: str | None = ready.get("sign_in_url")
        self.shown_database: str = ready["database"]
        self.pid: int = ready["pid"]

    def kill(self) -> None:
        """SIGKILL: what was not on disk is gone."""
        self.process.kill()
        self._reap()

    def terminate(self) -> int:
        """SIGTERM; answers the exit code."""
        self.process.terminate()
        return self._reap()

    def wait(self) -> int:
        """Until it has ended by itself."""
        return self._reap()

    def log(self) -> str:
        return (self.folder / "server.log").read_text()

    def app(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.app_key}"}

    def reviewer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.reviewer_key}"}

    def _port(self) -> str:
        return str(self._reserved.getsockname()[1])

    def _reap(self) -> int:
        code = self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self._reap()
        self._reserved.close()
