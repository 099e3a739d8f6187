"""What a route's redaction did to a record."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("prediction", "pair"):
        op.add_column(table, sa.Column("redacted", sa.SmallInteger, nullable=False, server_default="0"))
