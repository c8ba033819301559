"""Whether a reply went out only after what it tells was on disk, judged by a record of system calls.

An event is known by its id, which stands in a page of SQLite's write-ahead log. On disk it is when the log was synced
after the frame that commits its transaction (https://sqlite.org/fileformat2.html#the_write_ahead_log).
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from tests.faults.strace import Call

_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_PAGE: Final = 4096


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


def unproven(calls: list[Call], told: list[tuple[Reply, str]]) -> list[str]:
    """For which of the replies, each with the id of the event that it tells of, no sync lies between the two."""
    frames = _frames(calls)
    syncs = [call for call in calls if call.name in ("fsync", "fdatasync") and call.file.endswith("-wal")]
    wrong = []
    for reply, event in told:
        synced = _synced(frames, syncs, event)
        if synced is None:
            wrong.append(f"{event} was never synced")
        elif synced > reply.sent.begun:
            wrong.append(f"{event} was synced at {synced}, and told at {reply.sent.begun}")
    return wrong


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


def _synced(frames: list[_Frame], syncs: list[Call], event: str) -> int | None:
    """When the log was first synced after the commit of the transaction that wrote `event`."""
    wrote = next((at for at, frame in enumerate(frames) if event.encode() in frame.page.data), None)
    if wrote is None:
        return None
    commit = next((frame.page for frame in frames[wrote:] if frame.commits), None)
    if commit is None or commit.ended is None:
        return None
    after = (sync for sync in syncs if sync.begun > commit.ended and sync.result == 0)
    return next((sync.ended for sync in after), None)
