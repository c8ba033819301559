"""What to do with each thing that is due, by the name of its queue."""

from collections.abc import Awaitable, Callable

from signoff_server.core import approvals as core
from signoff_server.core.reactions import EXPIRE, LEASE_QUEUE
from signoff_server.service.approvals import Approvals
from signoff_server.store.agenda import Due

Handler = Callable[[Due], Awaitable[None]]


def handlers(approvals: Approvals) -> dict[str, Handler]:
    """The queues that this server works off."""

    async def expire(due: Due) -> None:
        await approvals.time_is_over(due, core.Expire)

    async def lose_lease(due: Due) -> None:
        await approvals.time_is_over(due, lambda payload: core.LoseLease(payload, due.fence))

    return {EXPIRE: expire, LEASE_QUEUE: lose_lease}
