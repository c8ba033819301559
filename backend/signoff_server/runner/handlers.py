"""What to do with each thing that is due, by the name of its queue."""

from collections.abc import Awaitable, Callable

from signoff_server.core import approvals as core
from signoff_server.core.reactions import ADVANCE, EXPIRE, LAPSE, LEASE_QUEUE, TIMER
from signoff_server.service.approvals import Approvals
from signoff_server.service.executions import Executions
from signoff_server.service.work import Work
from signoff_server.store.agenda import Due

Handler = Callable[[Due], Awaitable[None]]


def handlers(approvals: Approvals, executions: Executions, work: Work) -> dict[str, Handler]:
    """The queues that this server works off."""

    async def expire(due: Due) -> None:
        await approvals.time_is_over(due, core.Expire)

    async def lose_lease(due: Due) -> None:
        if due.subject.startswith("wrk_"):
            await work.lose_lease(due)
        else:
            await approvals.time_is_over(due, lambda payload: core.LoseLease(payload, due.fence))

    async def advance(due: Due) -> None:
        await executions.advance(due.project, due.subject)

    return {
        EXPIRE: expire,
        LEASE_QUEUE: lose_lease,
        ADVANCE: advance,
        LAPSE: work.lapse,
        TIMER: executions.time_is_up,
    }
