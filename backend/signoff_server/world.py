"""All that is not deterministic: clock, ids, randomness, failpoints. Injected, so that a test can be the world."""

import os
import secrets
import signal
import threading
import time
from typing import Final

from uuid_utils import uuid7

from signoff_server.core.keys import crockford

# Where a process can be told to die, for the crash tests; a test holds the list and the code equal.
FAILPOINTS: Final = (
    "write.before_begin",
    "write.after_append",
    "write.before_commit",
    "write.after_commit",
    "agenda.after_claim",
    "lease.after_renew",
    "work.after_claim",
    "work.after_renew",
    "reply.before_send",
    "watch.before_send",
    "start.before_migrate",
    "start.before_listen",
)
_DRAWN_AT_ONCE: Final = 4_096


class World:
    """The real one."""

    def __init__(self) -> None:
        # NAME or NAME:COUNT: the COUNT-th time that NAME is passed, the process kills itself.
        name, _, count = os.environ.get("SIGNOFF_FAILPOINT", "").partition(":")
        if name and name not in FAILPOINTS:
            raise ValueError(f"SIGNOFF_FAILPOINT={name} is none of {', '.join(FAILPOINTS)}")
        # Asking the system for each nonce gives up the interpreter's lock each time.
        self._drawn = b""
        self._drawing = threading.Lock()
        self._armed = name
        self._left = int(count or 1)

    def now(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def new_id(self, kind: str) -> str:
        """`<kind>_` and a UUIDv7 in 26 characters, so that ids sort by their time."""
        return f"{kind}_{crockford(uuid7().bytes)}"

    def random(self, size: int) -> bytes:
        """So many bytes of the system's randomness, each handed out once."""
        with self._drawing:
            if len(self._drawn) < size:
                self._drawn = secrets.token_bytes(max(size, _DRAWN_AT_ONCE))
            taken, self._drawn = self._drawn[:size], self._drawn[size:]
        return taken

    def failpoint(self, name: str) -> None:
        """Die here, by SIGKILL, when this place is armed."""
        if name == self._armed:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
