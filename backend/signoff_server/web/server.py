"""What the handlers work with: one object, put together by `app.py`."""

from collections.abc import Callable
from dataclasses import dataclass

from signoff_server.service.accounts import Accounts
from signoff_server.service.approvals import Approvals
from signoff_server.service.executions import Executions
from signoff_server.service.principals import Principals
from signoff_server.service.work import Work
from signoff_server.service.workflows import Workflows
from signoff_server.settings import Settings
from signoff_server.store.database import Database
from signoff_server.wakeups import Hub
from signoff_server.web.auth import Authenticator
from signoff_server.web.feed import Feed
from signoff_server.web.metrics import Metrics
from signoff_server.web.quotas import Pace, Waits
from signoff_server.world import World


@dataclass(slots=True)
class Server:
    """`url` is how people reach this server; `document` makes its OpenAPI document."""

    settings: Settings
    world: World
    database: Database
    hub: Hub
    feed: Feed
    approvals: Approvals
    principals: Principals
    accounts: Accounts
    workflows: Workflows
    executions: Executions
    work: Work
    authenticator: Authenticator
    metrics: Metrics
    waits: Waits
    creations: Pace
    url: str
    document: Callable[[], str]
