"""A testing mode: code that asks for approvals runs without a server, without a network and without a person.

    from signoff.testing import approve_next

    def test_wire_is_sent():
        with approve_next("payments.wire_transfer") as asked:
            pay(invoice)
        assert asked.approvals[0].context["amount"] == "50000.00"

While one of these is entered it takes the place of the shared client behind `require_approval`,
`require_approval_async` and `@approval_required`, in every thread of the process. All waiting rules, errors and binding
checks are the real ones. They may be nested; the innermost that fits a name decides. An approval that none of them fits
raises `AssertionError` where it is asked. `advance_time` moves the clock: approvals expire and lapse, leases end.

With pytest the same are fixtures, undone at the end of the test (see `Armed` for which of several counts):

    def test_nobody_answers(leave_pending, advance_time):
        leave_pending("payments.*")
        with pytest.raises(ApprovalExpired):
            pay(invoice, on_pending=lambda _: advance_time(8 * 86_400))

They refuse to start, with `ConfigurationError`, where the configuration names a server that is not on this machine.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from signoff import default
from signoff.async_client import AsyncSignoff
from signoff.config import Config, load_app_config
from signoff.errors import ConfigurationError
from signoff.protocol.models import Approval
from signoff.stand_in import Layer, Rule, StandIn
from signoff.stand_in_wire import StandInWire
from signoff.sync_client import Signoff

REJECTED: Final = "rejected by the test"
_LOCAL: Final = "http://127.0.0.1"
_KEY: Final = "sgo_test_stand_in"
_lock = threading.RLock()
_active: "list[Asked]" = []


@dataclass(frozen=True)
class Asked:
    """What was asked since, and clients for code that takes one as an argument."""

    client: Signoff
    async_client: AsyncSignoff
    _server: StandIn
    _from: int

    @property
    def approvals(self) -> list[Approval]:
        """Every approval asked for since this was entered, in order, as each is now."""
        return self._server.asked(self._from)


@contextmanager
def approve_next(name: str = "*") -> Iterator[Asked]:
    """Approve the next approval whose name fits the glob (`*` any run, `?` one character), and only that one."""
    with _deciding(Rule(name, "approved", uses=1)) as asked:
        yield asked


@contextmanager
def reject_next(name: str = "*", reason: str = REJECTED) -> Iterator[Asked]:
    """Reject the next approval whose name fits, with this reason."""
    with _deciding(Rule(name, "rejected", reason, uses=1)) as asked:
        yield asked


@contextmanager
def approve_all() -> Iterator[Asked]:
    """Approve whatever is asked."""
    with _deciding(Rule("*", "approved")) as asked:
        yield asked


@contextmanager
def leave_pending(name: str = "*") -> Iterator[Asked]:
    """Decide nothing whose name fits, so that a call with a `timeout` raises `ApprovalTimeout`."""
    with _deciding(Rule(name, None)) as asked:
        yield asked


def advance_time(seconds: float) -> None:
    """Move the clock of the approvals ahead, for everybody who uses the testing mode that is entered.

    Pending approvals whose `expires_in` is over expire, and whoever waits for one hears it at once; approvals that were
    not used within 24 hours lapse; leases end after 60 s as if their holder had slept, and the outcome is unknown. A
    caller's own patience (`timeout`) is real time and is not moved: give it 0, or little.

    Raises `ConfigurationError` where no testing mode is entered, and `ValueError` for less than 0 seconds.
    """
    with _lock:
        if not _active:
            raise ConfigurationError(
                "advance_time moves the clock of the testing mode: enter approve_all, leave_pending or another first."
            )
        server = _active[-1]._server
    server.advance(seconds)


class Armed:
    """The testing mode without blocks: while it is entered, each call arms something. The pytest fixtures are this.

    What is armed for one approval is used in the order of arming, by the first that fits the name; what is armed for
    all (`approve_all`, `leave_pending`) counts where none of those fits, the one armed last first. Modes that were
    entered by `with` later than this one are asked before it.
    """

    def __enter__(self) -> Self:
        self._layer = Layer()
        self._asked = _enter(self._layer)
        return self

    def __exit__(self, *_: object) -> None:
        _leave(self._asked, self._layer)

    def approve_next(self, name: str = "*") -> Asked:
        """As `testing.approve_next`. Answers what is asked from now on."""
        return self._arm(Rule(name, "approved", uses=1))

    def reject_next(self, name: str = "*", reason: str = REJECTED) -> Asked:
        """As `testing.reject_next`."""
        return self._arm(Rule(name, "rejected", reason, uses=1))

    def approve_all(self) -> Asked:
        """As `testing.approve_all`."""
        return self._arm(Rule("*", "approved"))

    def leave_pending(self, name: str = "*") -> Asked:
        """As `testing.leave_pending`."""
        return self._arm(Rule(name, None))

    def advance_time(self, seconds: float) -> None:
        """As `testing.advance_time`."""
        self._asked._server.advance(seconds)

    def _arm(self, rule: Rule) -> Asked:
        _refuse_other_machines()
        asked = self._asked
        asked._server.arm(self._layer, rule)
        return Asked(asked.client, asked.async_client, asked._server, len(asked._server.asked()))


@contextmanager
def _deciding(rule: Rule) -> Iterator[Asked]:
    layer = Layer(rule)
    asked = _enter(layer)
    try:
        yield asked
    finally:
        _leave(asked, layer)


def _enter(layer: Layer) -> Asked:
    with _lock:
        _refuse_other_machines()
        if _active:
            outer = _active[-1]
            asked = Asked(outer.client, outer.async_client, outer._server, len(outer._server.asked()))
        else:
            asked = _fresh()
            default.stand_in(lambda: (asked.client, asked.async_client))
        asked._server.enter(layer)
        _active.append(asked)
        return asked


def _fresh() -> Asked:
    server = StandIn()
    config = Config(_LOCAL, _KEY)
    client = Signoff._over(config, lambda: StandInWire(server), mode="poll")
    async_client = AsyncSignoff._over(config, lambda: StandInWire(server), mode="poll")
    return Asked(client, async_client, server, 0)


def _leave(asked: Asked, layer: Layer) -> None:
    with _lock:
        _active[:] = [each for each in _active if each is not asked]
        asked._server.leave(layer)
        if not _active:
            default.stand_in(None)
            asked.client.close()


def _refuse_other_machines() -> None:
    try:
        config = load_app_config()
    except ConfigurationError:
        return
    if not config.is_local:
        raise ConfigurationError(
            "The configuration names a server that is not on this machine: signoff.testing takes no part in that."
        )
