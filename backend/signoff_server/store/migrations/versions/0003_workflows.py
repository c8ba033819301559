"""Workflows, their runs, the nodes of these and their work."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _project() -> sa.Column[str]:
    return sa.Column("project", sa.Text(), sa.ForeignKey("projects.id"), nullable=False)


def upgrade() -> None:
    op.create_index(op.f("ix_approvals_execution_id"), "approvals", ["execution_id"])
    op.create_table(
        "workflows",
        sa.Column("id", sa.Text(), primary_key=True),
        _project(),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.UniqueConstraint("project", "workflow_id", "version"),
    )
    op.create_index(op.f("ix_workflows_project_seq"), "workflows", ["project", "seq"])
    op.create_index(op.f("ix_workflows_project_workflow_id_seq"), "workflows", ["project", "workflow_id", "seq"])
    op.create_table(
        "executions",
        sa.Column("id", sa.Text(), primary_key=True),
        _project(),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
    )
    op.create_index(op.f("ix_executions_project_status_seq"), "executions", ["project", "status", "seq"])
    op.create_index(op.f("ix_executions_project_workflow_id_seq"), "executions", ["project", "workflow_id", "seq"])
    op.create_index(op.f("ix_executions_project_seq"), "executions", ["project", "seq"])
    op.create_table(
        "execution_nodes",
        sa.Column("execution", sa.Text(), primary_key=True),
        sa.Column("node", sa.Text(), primary_key=True),
        _project(),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=True),
        sa.Column("event", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("visit", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("approval", sa.Text(), nullable=True),
        sa.Column("input_seq", sa.BigInteger(), nullable=False),
        sa.Column("output_seq", sa.BigInteger(), nullable=True),
        sa.Column("error_seq", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "work",
        sa.Column("id", sa.Text(), primary_key=True),
        _project(),
        sa.Column("execution", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("reported", sa.Text(), nullable=True),
        sa.Column("reported_fence", sa.BigInteger(), nullable=True),
    )
    op.create_index(op.f("ix_work_project_request"), "work", ["project", "request"])
