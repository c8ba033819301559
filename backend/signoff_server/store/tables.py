"""The rows. Times are milliseconds since 1970; ids are text; bodies are the bytes that were hashed.

`events` and `projects` are the truth. All the rest is made from the events, in the transaction that records them, and
`signoff rebuild` makes it again equal; but for how people sign in (`accounts`, `sessions`, `sign_in_links`,
`sign_in_failures`), which is of no ledger and stays as it is.
"""

from sqlalchemy import BigInteger, Index, LargeBinary, MetaData, Table, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
}


class Project(SQLModel, table=True):
    """A project and the head of its ledger: locking this row orders everything that happens in it."""

    __tablename__ = "projects"

    id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(unique=True, sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    head_seq: int = Field(sa_type=BigInteger)
    head_at: int = Field(sa_type=BigInteger)
    frontier: bytes = Field(sa_type=LargeBinary)


class EventRow(SQLModel, table=True):
    """One event: envelope and payload as they were written. The other columns repeat the envelope, to search by."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("project", "subject", "version"),)

    project: str = Field(primary_key=True, foreign_key="projects.id", sa_type=Text)
    seq: int = Field(primary_key=True, sa_type=BigInteger)
    id: str = Field(unique=True, sa_type=Text)
    subject: str = Field(sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    type: str = Field(sa_type=Text)
    at: int = Field(sa_type=BigInteger)
    envelope: bytes = Field(sa_type=LargeBinary)
    leaf: bytes = Field(sa_type=LargeBinary)
    payload: bytes | None = Field(sa_type=LargeBinary)
    payload_nonce: bytes | None = Field(sa_type=LargeBinary)


class Snapshot(SQLModel, table=True):
    """A stream's state after its last event."""

    __tablename__ = "snapshots"

    subject: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    state: bytes = Field(sa_type=LargeBinary)


class Once(SQLModel, table=True):
    """An idempotency key in use: only digests, so that nothing has to be forgotten with an erased payload."""

    __tablename__ = "once"

    key: bytes = Field(primary_key=True, sa_type=LargeBinary)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    subject: str = Field(sa_type=Text)
    fingerprint: bytes = Field(sa_type=LargeBinary)


class AgendaRow(SQLModel, table=True):
    """One thing due. `claims` counts how often it was taken; taking it moves `due_at` on."""

    __tablename__ = "agenda"
    __table_args__ = (Index(None, "queue", "due_at"),)

    key: str = Field(primary_key=True, sa_type=Text)
    queue: str = Field(sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    subject: str = Field(sa_type=Text)
    due_at: int = Field(sa_type=BigInteger)
    fence: int = Field(sa_type=BigInteger)
    claims: int = Field(sa_type=BigInteger)


class ApprovalRow(SQLModel, table=True):
    """What lists of approvals are filtered and ordered by."""

    __tablename__ = "approvals"
    __table_args__ = (
        Index(None, "project", "status", "seq"),
        Index(None, "project", "status", "expires_at", "seq"),
        Index(None, "project", "name", "status", "seq"),
        Index(None, "project", "seq"),
        Index(None, "execution_id"),
    )

    id: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    name: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    requested_by: str = Field(sa_type=Text)
    execution_id: str | None = Field(sa_type=Text)
    expires_at: int = Field(sa_type=BigInteger)
    search: str = Field(sa_type=Text)


class PrincipalRow(SQLModel, table=True):
    """Who acts in a project. A name is taken whatever its case. `pending` counts the approvals that they wait for."""

    __tablename__ = "principals"
    __table_args__ = (UniqueConstraint("project", "folded"), Index(None, "project", "seq"))

    id: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    name: str = Field(sa_type=Text)
    folded: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    owner: str | None = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    pending: int = Field(sa_type=BigInteger)


class KeyRow(SQLModel, table=True):
    """An API key: of the key itself only a SHA-256."""

    __tablename__ = "keys"
    __table_args__ = (Index(None, "project", "seq"),)

    id: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    principal: str = Field(sa_type=Text)
    environment: str = Field(sa_type=Text)
    digest: str = Field(sa_type=Text)
    scopes: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int | None = Field(sa_type=BigInteger)
    revoked_at: int | None = Field(sa_type=BigInteger)


class WorkflowRow(SQLModel, table=True):
    """One registered version of a workflow."""

    __tablename__ = "workflows"
    __table_args__ = (
        UniqueConstraint("project", "workflow_id", "version"),
        Index(None, "project", "seq"),
        Index(None, "project", "workflow_id", "seq"),
    )

    id: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    workflow_id: str = Field(sa_type=Text)
    version: str = Field(sa_type=Text)
    digest: str = Field(sa_type=Text)


class ExecutionRow(SQLModel, table=True):
    """What lists of runs are filtered and ordered by."""

    __tablename__ = "executions"
    __table_args__ = (
        Index(None, "project", "status", "seq"),
        Index(None, "project", "workflow_id", "seq"),
        Index(None, "project", "seq"),
    )

    id: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    workflow_id: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)


class NodeRow(SQLModel, table=True):
    """The last visit of a node of a run. `output_seq` is of the last visit that had an output; `place` orders them."""

    __tablename__ = "execution_nodes"

    execution: str = Field(primary_key=True, sa_type=Text)
    node: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    place: int = Field(sa_type=BigInteger)
    type: str = Field(sa_type=Text)
    tool: str | None = Field(sa_type=Text)
    event: str | None = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    visit: int = Field(sa_type=BigInteger)
    attempt: int = Field(sa_type=BigInteger)
    started_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(sa_type=BigInteger)
    due_at: int | None = Field(sa_type=BigInteger)
    approval: str | None = Field(sa_type=Text)
    input_seq: int = Field(sa_type=BigInteger)
    output_seq: int | None = Field(sa_type=BigInteger)
    error_seq: int | None = Field(sa_type=BigInteger)


class WorkRow(SQLModel, table=True):
    """A work item: whose it is, which ask it was handed to, and what the last fence was reported as."""

    __tablename__ = "work"
    __table_args__ = (Index(None, "project", "request"),)

    id: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    execution: str = Field(sa_type=Text)
    node: str = Field(sa_type=Text)
    request: str | None = Field(sa_type=Text)
    reported: str | None = Field(sa_type=Text)
    reported_fence: int | None = Field(sa_type=BigInteger)


class AccountRow(SQLModel, table=True):
    """Who may sign in; `password` is an Argon2id hash, None until one was chosen."""

    __tablename__ = "accounts"
    __table_args__ = (Index(None, "project"),)

    principal: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    password: str | None = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    password_at: int | None = Field(sa_type=BigInteger)


class SessionRow(SQLModel, table=True):
    """Somebody who is signed in; `digest` is the hex SHA-256 of the secret that their browser keeps."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "principal"), Index(None, "project", "ends_at"))

    digest: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(unique=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    principal: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    seen_at: int = Field(sa_type=BigInteger)
    ends_at: int = Field(sa_type=BigInteger)


class SignInLinkRow(SQLModel, table=True):
    """A link that was not used yet; `digest` is the hex SHA-256 of its secret."""

    __tablename__ = "sign_in_links"
    __table_args__ = (Index(None, "principal"), Index(None, "project", "expires_at"))

    digest: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    principal: str = Field(sa_type=Text)
    purpose: str = Field(sa_type=Text)
    expires_at: int = Field(sa_type=BigInteger)


class SignInFailureRow(SQLModel, table=True):
    """How often signing in failed; `key` is a digest of who was tried from where."""

    __tablename__ = "sign_in_failures"
    __table_args__ = (Index(None, "project", "since"),)

    key: str = Field(primary_key=True, sa_type=Text)
    project: str = Field(foreign_key="projects.id", sa_type=Text)
    failures: int = Field(sa_type=BigInteger)
    since: int = Field(sa_type=BigInteger)


def table(model: type[SQLModel]) -> Table:
    """The SQLAlchemy table of a row model: statements are built on tables, where columns are typed as columns."""
    found = SQLModel.metadata.tables[str(model.__tablename__)]
    assert isinstance(found, Table)
    return found


METADATA: MetaData = SQLModel.metadata
PROJECTS = table(Project)
EVENTS = table(EventRow)
SNAPSHOTS = table(Snapshot)
ONCE = table(Once)
AGENDA = table(AgendaRow)
APPROVALS = table(ApprovalRow)
PRINCIPALS = table(PrincipalRow)
KEYS = table(KeyRow)
WORKFLOWS = table(WorkflowRow)
EXECUTIONS = table(ExecutionRow)
NODES = table(NodeRow)
WORK = table(WorkRow)
ACCOUNTS = table(AccountRow)
SESSIONS = table(SessionRow)
SIGN_IN_LINKS = table(SignInLinkRow)
SIGN_IN_FAILURES = table(SignInFailureRow)
# What `rebuild` empties and fills again, in an order that keeps foreign keys whole.
DERIVED: tuple[Table, ...] = (SNAPSHOTS, ONCE, AGENDA, APPROVALS, PRINCIPALS, KEYS, WORKFLOWS, EXECUTIONS, NODES, WORK)
