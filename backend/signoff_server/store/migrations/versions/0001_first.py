"""The ledger, what is made from it, and the agenda."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _project() -> sa.Column[str]:
    return sa.Column("project", sa.Text(), sa.ForeignKey("projects.id"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("head_seq", sa.BigInteger(), nullable=False),
        sa.Column("head_at", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "events",
        sa.Column("project", sa.Text(), sa.ForeignKey("projects.id"), primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("payload_nonce", sa.LargeBinary(), nullable=True),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("project", "subject", "version"),
    )
    op.create_table(
        "snapshots",
        sa.Column("subject", sa.Text(), primary_key=True),
        _project(),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "once",
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        _project(),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "agenda",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("queue", sa.Text(), nullable=False),
        _project(),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("claims", sa.BigInteger(), nullable=False),
    )
    op.create_index(op.f("ix_agenda_queue_due_at"), "agenda", ["queue", "due_at"])
    op.create_table(
        "approvals",
        sa.Column("id", sa.Text(), primary_key=True),
        _project(),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
    )
    op.create_index(op.f("ix_approvals_project_status_seq"), "approvals", ["project", "status", "seq"])
    op.create_index(op.f("ix_approvals_project_seq"), "approvals", ["project", "seq"])
    op.create_table(
        "principals",
        sa.Column("id", sa.Text(), primary_key=True),
        _project(),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("project", "folded"),
    )
    op.create_index(op.f("ix_principals_project_seq"), "principals", ["project", "seq"])
    op.create_table(
        "keys",
        sa.Column("id", sa.Text(), primary_key=True),
        _project(),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
    )
    op.create_index(op.f("ix_keys_project_seq"), "keys", ["project", "seq"])
