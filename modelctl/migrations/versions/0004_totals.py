"""Sums over all minutes, kept beside those of each minute."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEY = ("route", "rollout", "stage", "arm", "metric", "key")
_SUMS = ("n", "k", "s1", "s2", "sp")


def upgrade() -> None:
    op.create_table(
        "rollup_total",
        sa.Column("route", sa.Text),
        sa.Column("rollout", sa.BigInteger, autoincrement=False),
        sa.Column("stage", sa.BigInteger, autoincrement=False),
        sa.Column("arm", sa.Text),
        sa.Column("metric", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("n", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("k", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("s1", sa.Double, nullable=False, server_default="0"),
        sa.Column("s2", sa.Double, nullable=False, server_default="0"),
        sa.Column("sp", sa.Double, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint(*_KEY, name="pk_rollup_total"),
        sqlite_with_rowid=False,
    )
    minutes = sa.table("rollup", *(sa.column(name) for name in (*_KEY, *_SUMS)))
    totals = sa.table("rollup_total", *(sa.column(name) for name in (*_KEY, *_SUMS)))
    keys = [minutes.c[name] for name in _KEY]
    added = [sa.func.sum(minutes.c[name]) for name in _SUMS]
    op.execute(sa.insert(totals).from_select([*_KEY, *_SUMS], sa.select(*keys, *added).group_by(*keys)))
