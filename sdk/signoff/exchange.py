"""One call, with its retries, over a transport: a few lines for each colour."""

from typing import TypeVar

from tenacity import AsyncRetrying, Retrying

from signoff.calls import Call
from signoff.retry import Deadline, Pace, policy
from signoff.transport import AsyncTransport, Transport

T = TypeVar("T")


class Caller:
    """For threads."""

    def __init__(self, transport: Transport, pace: Pace) -> None:
        self._transport = transport
        self._pace = pace

    def call(self, call: Call[T], deadline: Deadline) -> T:
        """Raises `SignoffError` in its kinds: what the reply means, or the last failure when the time is over."""
        again = policy(self._pace, deadline, repeatable=call.repeatable)
        result: T = Retrying(sleep=self._pace.sleep, **again)(self._once, call, deadline)
        return result

    def _once(self, call: Call[T], deadline: Deadline) -> T:
        return call.read(self._transport.send(call.request, deadline.remaining()))


class AsyncCaller:
    """For one event loop."""

    def __init__(self, transport: AsyncTransport, pace: Pace) -> None:
        self._transport = transport
        self._pace = pace

    async def call(self, call: Call[T], deadline: Deadline) -> T:
        """As `Caller.call`."""
        again = policy(self._pace, deadline, repeatable=call.repeatable)
        return await AsyncRetrying(sleep=self._pace.asleep, **again)(self._once, call, deadline)

    async def _once(self, call: Call[T], deadline: Deadline) -> T:
        return call.read(await self._transport.send(call.request, deadline.remaining()))
