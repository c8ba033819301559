"""strace: to see what a server asks of the system, and to let the system fail it.

It needs ptrace, which some containers forbid; `unavailable` says why it cannot be had.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_WRITING: Final = "fdatasync,fsync,pwrite64,pwritev,write,writev,sendto,sendmsg"
_CALL: Final = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?:\((\d+)(?:<(.*?)>)?| resumed>)(.*)")
_BYTES: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_RESULT: Final = re.compile(r"= (-?\d+)[^=]*$")


@cache
def unavailable() -> str | None:
    """Why it cannot be used here; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()}"


@dataclass(slots=True)
class Call:
    """One system call. `begun` and `ended` are places in the order of all that was seen; `ended` None never came."""

    thread: int
    name: str
    file: str
    data: bytes
    begun: int
    ended: int | None = None
    result: int | None = None
    offset: int = -1


def recording(path: str, code: str) -> str:
    """Code of a program that runs `code` in its place, and has its writing and syncing recorded in a file.

    Its standard output stays open until the record is whole.
    """
    options = ["-D", "-f", "--seccomp-bpf", "-y", "-xx", "-s", "1000000", "-e", f"trace={_WRITING}", "-o", path]
    return (
        f"import os, sys\nos.execvp('strace', ['strace', *{options!r}, sys.executable, '-c', {code!r}, *sys.argv[1:]])"
    )


def read(lines: Iterable[str]) -> list[Call]:
    """The calls of a record, in the order of their beginnings.

    A line stands where its call ended; a call that others came between has one line for its beginning and one for its
    end. strace stops a thread at both, so that what stands later in the record happened later.
    """
    calls: list[Call] = []
    open_calls: dict[int, Call] = {}
    for place, line in enumerate(lines):
        if (found := _CALL.match(line)) is None:
            continue
        thread, name, _, file, rest = found.groups()
        if file is not None:
            call = Call(int(thread), name, _text(file), _data(rest), place, offset=_offset(rest))
            calls.append(call)
        else:
            call = open_calls.pop(int(thread))
        if rest.rstrip().endswith("<unfinished ...>"):
            open_calls[call.thread] = call
        elif (result := _RESULT.search(rest)) is not None:
            call.ended, call.result = place, int(result[1])
    return calls


@contextmanager
def attached(path: Path, *pids: int) -> Iterator[None]:
    """While it lasts, the writing and syncing of running processes, and of those that they start, is recorded."""
    targets = [word for pid in pids for word in ("-p", str(pid))]
    command = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={_WRITING}", "-o", str(path), *targets]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for _ in pids:
            assert "attached" in (said := process.stderr.readline()), said
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


@dataclass
class Failed:
    """How many calls were made to fail; known afterwards."""

    calls: int = 0


@contextmanager
def failing(pid: int, *rules: str, only: Iterable[str] = ()) -> Iterator[Failed]:
    """While it lasts, calls of a running process fail by `rules`, as `fdatasync:error=EIO:when=2`.

    Only those that are about one of the paths in `only`, where there are any.
    """
    names = ",".join(dict.fromkeys(rule.partition(":")[0] for rule in rules))
    paths = [word for path in only for word in ("-P", path)]
    injected = [word for rule in rules for word in ("-e", f"inject={rule}")]
    failed = Failed()
    with tempfile.NamedTemporaryFile("r") as record:
        command = ["strace", "-f", "-s", "0", "-o", record.name, *paths, "-e", f"trace={names}", *injected]
        process = subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            assert "attached" in (said := process.stderr.readline()), said
            yield failed
        finally:
            process.terminate()
            process.communicate(timeout=30)
        failed.calls = sum("(INJECTED)" in line for line in record)


def _text(hexed: str) -> str:
    return bytes.fromhex(hexed.replace("\\x", "")).decode() if hexed.startswith("\\x") else hexed


def _data(rest: str) -> bytes:
    return b"".join(bytes.fromhex(each.replace("\\x", "")) for each in _BYTES.findall(rest))


def _offset(rest: str) -> int:
    found = re.search(r", (\d+)(?:\)| <unfinished)", rest)
    return int(found[1]) if found else -1
