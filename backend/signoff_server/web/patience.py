"""Patience with the far sides of all connections, kept by one look around instead of a timer for each.

A connection says when it is to be looked at next (`due`); most looks find nothing to do. The look around costs two
comparisons for each open connection, twice a second.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from signoff_server import limits
from signoff_server.web.server import Server


class Patient:
    """For a protocol of uvicorn: cuts off a peer that does not take what it is sent.

    Progress counts, not time: a large answer may take as long as it takes, over a slow line too.
    """

    # Beyond thirty attributes in a dictionary of its own, each connection would take a kilobyte more.
    __slots__ = ("_server", "_unread", "_unread_until", "due")

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop

    def __init__(self, server: Server, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._server = server
        self.due = 0.0
        self._unread = 0
        self._unread_until: float | None = None

    def pause_writing(self) -> None:
        """More lies here than the peer has taken."""
        self._give_time(self.loop.time())

    def resume_writing(self) -> None:
        self._unread_until = None

    def look(self, now: float) -> None:
        """Do what is due; and look again before long, since nobody tells that a connection is being closed."""
        self.due = now + limits.UNREAD_SECONDS
        if self._unread_until is None:
            if self.transport.is_closing():
                self._give_time(now)
            else:
                self.look_at_reading(now)
        elif now < self._unread_until:
            self.due = self._unread_until
        elif self._unread - self.transport.get_write_buffer_size() >= limits.UNREAD_BYTES:
            self._give_time(now)
        else:
            # To close it would be to wait until the peer has read, which it never will.
            self.transport.abort()

    def look_at_reading(self, now: float) -> None:
        """What the peer has left to say; it may bring `due` forward."""

    def _give_time(self, now: float) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self.due = self._unread_until = now + limits.UNREAD_SECONDS


def look_at_all(connections: Iterable[Any], now: float) -> None:
    """`connections` are all `Patient`."""
    for connection in tuple(connections):
        if connection.due <= now:
            connection.look(now)
