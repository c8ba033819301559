"""Holding a request until an approval leaves `pending`: a future in the hub, no connection, no thread."""

import asyncio
import time
from typing import Final

from signoff_server import limits
from signoff_server.core.refusals import Refusal
from signoff_server.store.approvals import ApprovalView
from signoff_server.web.call import Call

_FULL_RETRY: Final = 5


async def hold(call: Call, approval: str, seconds: int) -> ApprovalView:
    """The approval once it is decided, or as it is when the time is over. Raises `Refusal`.

    It listens before it reads, so that no wake-up can fall between. Without a wake-up it would still be right, only
    late: the follower wakes whoever a hint did not reach.
    """
    server, caller = call.server, call.caller
    if seconds == 0:
        return await server.approvals.get(caller, approval)
    if not server.waits.take(caller.key):
        raise Refusal("rate_limited", f"One key waits for {limits.WAITS} approvals at most.", retry_after=_FULL_RETRY)
    woken = asyncio.Event()
    deadline = time.monotonic() + seconds
    with server.hub.listening((approval, caller.key), lambda _: woken.set()):
        gone = asyncio.ensure_future(_gone(call, woken))
        try:
            while True:
                woken.clear()
                await server.authenticator.caller(call.request.headers)
                view = await server.approvals.just_closed(caller, approval) or await server.approvals.get(
                    caller, approval
                )
                left = deadline - time.monotonic()
                if view.state.status != "pending" or left <= 0 or gone.done():
                    return view
                if server.hub.stopping:
                    raise Refusal("unavailable", "The server is restarting; ask again.", retry_after=1)
                await _until(woken, left)
        finally:
            gone.cancel()
            server.waits.give_back(caller.key)


async def _until(woken: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        pass


async def _gone(call: Call, woken: asyncio.Event) -> None:
    """Ends when the client has hung up, so that nothing is held for nobody."""
    while (await call.request.receive())["type"] != "http.disconnect":
        pass
    woken.set()
