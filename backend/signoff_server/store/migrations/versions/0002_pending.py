"""How many approvals each principal waits for: what the limit of pending ones is compared with."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COUNT = """
UPDATE principals SET pending = (
    SELECT count(*) FROM approvals
    WHERE approvals.requested_by = principals.id AND approvals.status = 'pending' AND approvals.execution_id IS NULL
)
"""


def upgrade() -> None:
    op.add_column("principals", sa.Column("pending", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(_COUNT)
