"""How bodies are stored, and with what chance they were kept.

PostgreSQL's daily partitions are made by `modelctl.store.partitioning`, which needs more than one transaction."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_BODIES = {"prediction": ("request", "answer"), "pair": ("baseline", "candidate", "request")}


def upgrade() -> None:
    for table, bodies in _BODIES.items():
        op.add_column(table, sa.Column("bodies_kept", sa.SmallInteger, nullable=False, server_default="1"))
        op.add_column(table, sa.Column("bodies_share", sa.BigInteger, nullable=False, server_default="10000"))
        for body in bodies:
            op.add_column(table, sa.Column(f"{body}_stored", sa.Text, nullable=False, server_default=sa.text("''")))
