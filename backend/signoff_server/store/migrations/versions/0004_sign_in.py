"""Who may sign in, their sessions and links, and what failed; and the order of the dashboard's lists."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _project() -> sa.Column[str]:
    return sa.Column("project", sa.Text(), sa.ForeignKey("projects.id"), nullable=False)


def upgrade() -> None:
    op.create_index(
        op.f("ix_approvals_project_status_expires_at_seq"), "approvals", ["project", "status", "expires_at", "seq"]
    )
    op.create_index(op.f("ix_approvals_project_name_status_seq"), "approvals", ["project", "name", "status", "seq"])
    op.create_table(
        "accounts",
        sa.Column("principal", sa.Text(), primary_key=True),
        _project(),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("password_at", sa.BigInteger(), nullable=True),
    )
    op.create_index(op.f("ix_accounts_project"), "accounts", ["project"])
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("id", sa.Text(), nullable=False),
        _project(),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("id"),
    )
    op.create_index(op.f("ix_sessions_principal"), "sessions", ["principal"])
    op.create_index(op.f("ix_sessions_project_ends_at"), "sessions", ["project", "ends_at"])
    op.create_table(
        "sign_in_links",
        sa.Column("digest", sa.Text(), primary_key=True),
        _project(),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_index(op.f("ix_sign_in_links_principal"), "sign_in_links", ["principal"])
    op.create_index(op.f("ix_sign_in_links_project_expires_at"), "sign_in_links", ["project", "expires_at"])
    op.create_table(
        "sign_in_failures",
        sa.Column("key", sa.Text(), primary_key=True),
        _project(),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
    )
    op.create_index(op.f("ix_sign_in_failures_project_since"), "sign_in_failures", ["project", "since"])
