"""A testing mode: code that asks for approvals runs without a server, without a network and without a person.

    from signoff.testing import approve_next

    def test_wire_is_sent():
        with approve_next("payments.wire_transfer") as asked:
            pay(invoice)
        assert asked.approvals[0].context["amount"] == "50000.00"

While one of these is entered it takes the place of the shared client behind `require_approval`,
`require_approval_async` and `@approval_required`, in every thread of the process. All waiting rules, errors and binding
checks are the real ones. They may be nested; the innermost that fits a name decides. An approval that none of them fits
raises `AssertionError` where it is asked.

They refuse to start, with `ConfigurationError`, where the configuration names a server that is not on this machine.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from signoff import default
from signoff.async_client import AsyncSignoff
from signoff.config import Config, load_app_config
from signoff.errors import ConfigurationError
from signoff.protocol.models import Approval
from signoff.stand_in import Rule, StandIn, StandInWire
from signoff.sync_client import Signoff

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
        return [self._server.approval(each.id) for each in self._server.asked[self._from :]]


@contextmanager
def approve_next(name: str = "*") -> Iterator[Asked]:
    """Approve the next approval whose name fits the glob (`*` any run, `?` one character), and only that one."""
    with _deciding(Rule(name, "approved", uses=1)) as asked:
        yield asked


@contextmanager
def reject_next(name: str = "*", reason: str = "rejected by the test") -> Iterator[Asked]:
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


@contextmanager
def _deciding(rule: Rule) -> Iterator[Asked]:
    with _lock:
        _refuse_other_machines()
        asked = _enter()
        asked._server.rules.append(rule)
    try:
        yield asked
    finally:
        with _lock:
            _remove(asked, rule)


def _enter() -> Asked:
    if _active:
        outer = _active[-1]
        asked = Asked(outer.client, outer.async_client, outer._server, len(outer._server.asked))
    else:
        asked = _fresh()
        default.stand_in(lambda: (asked.client, asked.async_client))
    _active.append(asked)
    return asked


def _fresh() -> Asked:
    server = StandIn()
    config = Config(_LOCAL, _KEY)
    client = Signoff._over(config, lambda: StandInWire(server), mode="poll")
    async_client = AsyncSignoff._over(config, lambda: StandInWire(server), mode="poll")
    return Asked(client, async_client, server, 0)


def _remove(asked: Asked, rule: Rule) -> None:
    _active[:] = [each for each in _active if each is not asked]
    # By identity: two rules of the same words are two rules.
    asked._server.rules[:] = [each for each in asked._server.rules if each is not rule]
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
