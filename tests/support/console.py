"""The commands of a page, run as they stand in it: in one folder, each in a shell of its own, with a real server.

`signoff dev … &` is a server that a test may kill; what else ends in `&` is begun once it has said its first line.
EXECUTION_ID stands for what the last `signoff run … --no-follow` printed.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.server import RunningServer

BIN = Path(sys.executable).parent


def commands(block: str) -> list[str]:
    """The lines of a block without what is said beside them."""
    return [line.partition("  #")[0].strip() for line in block.splitlines() if line.strip()]


class Console:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.execution = ""
        self.server: RunningServer | None = None
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")},
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }
        self._beside: list[subprocess.Popen[str]] = []

    def run(self, command: str) -> str:
        """What it says on stdout. It must succeed."""
        command = command.replace("EXECUTION_ID", self.execution)
        if command.startswith("export "):
            self._environment |= re.findall(r"(\w+)=(\S+)", command)
        elif command.startswith("signoff dev") and command.endswith("&"):
            self.server = RunningServer(self.folder, worker="--no-worker" not in command, env=self._environment)
        elif command.endswith("&"):
            self._begin(command.removesuffix("&"))
        else:
            return self._done(command)
        return ""

    def wait(self, node: str | None = None, status: str | None = None) -> dict[str, Any]:
        """The run, once it is over, or the node stands so."""
        assert self.server is not None
        seen = 0
        while True:
            query = f"wait=20&seen={seen}" if seen else "wait=0"
            url = f"{self.server.url}/v1/executions/{self.execution}?{query}"
            found: dict[str, Any] = httpx.get(url, headers=self.server.app(), timeout=40).json()
            if any((each["node_id"], each["status"]) == (node, status) for each in found["nodes"]):
                return found
            if found["ended_at"] is not None:
                assert node is None, found
                return found
            seen = found["events"]

    def _done(self, command: str) -> str:
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        if "signoff run" in command and "--no-follow" in command:
            self.execution = done.stdout.strip()
        return done.stdout

    def _begin(self, command: str) -> None:
        process = subprocess.Popen(
            f"exec {command}",
            shell=True,
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._beside.append(process)
        assert process.stdout is not None
        assert process.stdout.readline(), f"{command} ended before it said a word"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._beside:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if self.server is not None:
            self.server.__exit__(kind, error, at)
