"""Whether a reply went out only after what it tells was on disk, judged by a record of system calls.

An event is known by its id, which stands in a page of the write-ahead log. On disk it is

- in SQLite, when the log was synced after the frame that commits its transaction
  (https://sqlite.org/fileformat2.html#the_write_ahead_log);
- in PostgreSQL, when the log was synced after it was written for the first time since the `COMMIT` was sent; whoever
  writes it, the record of that commit is not in it before
  (https://www.postgresql.org/docs/current/wal-internals.html).
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.faults.strace import Call

Found = Callable[[str], int | None]
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_PAGE: Final = 4096
_BLOCK: Final = 8192
_BLOCK_HEADER: Final = 24


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of success; `sent` is when its first byte went out."""

    sent: Call
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Frame:
    page: Call
    commits: bool


def replies(calls: list[Call]) -> list[Reply]:
    """Every 2xx with a JSON object, in the order of the sending."""
    written: dict[str, list[tuple[Call, bytes]]] = defaultdict(list)
    for call in calls:
        if call.name in ("write", "writev", "sendto", "sendmsg") and call.file.startswith("socket:"):
            if call.data.startswith(b"HTTP/1.1 "):
                written[call.file].append((call, call.data))
            elif written[call.file]:
                first, before = written[call.file].pop()
                written[call.file].append((first, before + call.data))
    each = [(call, *data.partition(b"\r\n\r\n")) for sent in written.values() for call, data in sent]
    found = [Reply(call, json.loads(body)) for call, head, _, body in each if head[9:10] == b"2" and body[:1] == b"{"]
    return sorted(found, key=lambda reply: reply.sent.begun)


def unproven(calls: list[Call], told: list[tuple[Reply, str]], *, postgres: bool = False) -> list[str]:
    """For which of the replies, each with the id of the event that it tells of, no sync lies between the two."""
    synced = _by_postgres(calls) if postgres else _by_sqlite(calls)
    wrong = []
    for reply, event in told:
        end = synced(event)
        if end is None:
            wrong.append(f"{event} was never synced")
        elif end > reply.sent.begun:
            wrong.append(f"{event} was synced at {end}, and told at {reply.sent.begun}")
    return wrong


def _first_sync(calls: list[Call], log: str, after: Call | None) -> int | None:
    """When the log was first synced after a call had ended."""
    if after is None or after.ended is None:
        return None
    syncs = (call for call in calls if call.name in ("fsync", "fdatasync") and log in call.file and call.result == 0)
    return next((call.ended for call in syncs if call.begun > (after.ended or 0)), None)


# ---------------------------------------------------------------- SQLite


def _by_sqlite(calls: list[Call]) -> Found:
    frames = _frames(calls)

    def synced(event: str) -> int | None:
        wrote = next((at for at, frame in enumerate(frames) if event.encode() in frame.page.data), None)
        if wrote is None:
            return None
        commit = next((frame.page for frame in frames[wrote:] if frame.commits), None)
        return _first_sync(calls, "-wal", commit)

    return synced


def _frames(calls: list[Call]) -> list[_Frame]:
    """The frames of the log in the order of their writing."""
    frames, commits = [], False
    for call in calls:
        if call.name != "pwrite64" or not call.file.endswith("-wal") or call.offset < _LOG_HEADER:
            continue
        if (call.offset - _LOG_HEADER) % (_FRAME_HEADER + _PAGE) == 0:
            # The size of the database after a commit; 0 in any other frame.
            commits = call.data[4:8] != bytes(4)
        else:
            frames.append(_Frame(call, commits))
    return frames


# ---------------------------------------------------------------- PostgreSQL


def _by_postgres(calls: list[Call]) -> Found:
    writes = list(_log_writes(calls))

    def synced(event: str) -> int | None:
        sent = next(
            (call for call in calls if b"INSERT INTO events" in call.data and event.encode() in call.data), None
        )
        if sent is None or not any(event.encode() in text for _, text in writes):
            return None
        later = (call for call in calls if call.begun > sent.begun and call.file == sent.file)
        commit = next((call for call in later if call.data.startswith(b"Q") and b"COMMIT" in call.data), None)
        wrote = next((call for call, _ in writes if commit is not None and call.begun > commit.begun), None)
        return _first_sync(calls, "/pg_wal/", wrote)

    return synced


def _log_writes(calls: list[Call]) -> Iterator[tuple[Call, bytes]]:
    """Each write of the log, with its text and that of the block before it, and without the headers of the blocks."""
    blocks: dict[tuple[str, int], bytes] = {}
    for call in calls:
        if call.name == "pwrite64" and "/pg_wal/" in call.file:
            first = call.offset // _BLOCK
            for at in range(len(call.data) // _BLOCK):
                blocks[call.file, first + at] = call.data[at * _BLOCK + _BLOCK_HEADER : (at + 1) * _BLOCK]
            numbers = range(first - 1, first + len(call.data) // _BLOCK)
            yield call, b"".join(blocks.get((call.file, number), b"") for number in numbers)
