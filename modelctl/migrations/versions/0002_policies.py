"""Policies of routes, how often a request was sent, first events of streams, and how the answers of a pair ended."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("route", sa.Column("admission", sa.Text, nullable=False, server_default="{}"))
    op.add_column("route", sa.Column("breaker", sa.Text, nullable=False, server_default="null"))
    op.add_column("prediction", _count("first_event_us", "0"))
    op.add_column("prediction", _count("attempts", "1"))
    for side in ("baseline", "candidate"):
        op.add_column("pair", _count(f"{side}_first_event_us", "0"))
        op.add_column("pair", sa.Column(f"{side}_ended", sa.Text, nullable=False, server_default="clean"))
    _tell_how_older_pairs_ended()


def _count(name: str, default: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=default)


def _tell_how_older_pairs_ended() -> None:
    """A pair of the first schema has the failure of its candidate; that of its baseline stands with the prediction."""
    op.execute("UPDATE pair SET candidate_ended = 'cut' WHERE candidate_failure <> ''")
    op.execute("UPDATE pair SET baseline_ended = 'cut' WHERE prediction_id IN (SELECT id FROM prediction WHERE failure <> '')")
