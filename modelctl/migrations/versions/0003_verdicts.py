"""Metrics and dimensions of routes, labels joined to evidence, sticky units, latched decisions, the controller's lease, freezes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("route", sa.Column("fields", sa.Text, nullable=False, server_default="[]"))
    op.add_column("route", sa.Column("dimensions", sa.Text, nullable=False, server_default="[]"))
    op.add_column("prediction", sa.Column("headers", sa.Text, nullable=False, server_default="{}"))
    _joined_feedback()
    _pairs_that_can_be_joined()
    _evidence_of_units()
    _decisions()


def _joined_feedback() -> None:
    """One truth and one reward for a request, where there was one value; what is in the sums of it, and when to look again."""
    with op.batch_alter_table("feedback", table_kwargs={"sqlite_autoincrement": True}) as feedback:
        feedback.add_column(sa.Column("kind", sa.Text, nullable=False, server_default="truth"))
        feedback.add_column(sa.Column("joined", sa.SmallInteger, nullable=False, server_default="0"))
        feedback.add_column(sa.Column("joined_label", sa.Text))
        feedback.add_column(sa.Column("joined_number", sa.Double))
        feedback.add_column(sa.Column("tries", sa.BigInteger, nullable=False, server_default="0"))
        feedback.add_column(sa.Column("join_at", sa.BigInteger, nullable=False, server_default="0"))
        feedback.drop_constraint("uq_feedback_request_id", type_="unique")
        feedback.create_unique_constraint("uq_feedback_request_id_kind", ["request_id", "kind"])
    op.create_index("ix_feedback_joined", "feedback", ["joined", "join_at"])


def _pairs_that_can_be_joined() -> None:
    op.add_column("pair", sa.Column("baseline_probability", sa.Double))
    op.add_column("pair", sa.Column("candidate_probability", sa.Double))
    op.add_column("pair", sa.Column("duplicate", sa.SmallInteger, nullable=False, server_default="0"))
    op.create_index("ix_pair_request_id", "pair", ["request_id"])


def _evidence_of_units() -> None:
    op.create_table(
        "first_event",
        sa.Column("rollout", sa.BigInteger, autoincrement=False),
        sa.Column("kind", sa.Text),
        sa.Column("unit", sa.Text),
        sa.Column("stage", sa.BigInteger, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("rollout", "kind", "unit", name="pk_first_event"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unit_total",
        sa.Column("rollout", sa.BigInteger, autoincrement=False),
        sa.Column("stage", sa.BigInteger, autoincrement=False),
        sa.Column("arm", sa.Text),
        sa.Column("metric", sa.Text),
        sa.Column("unit", sa.Text),
        sa.Column("n", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("s", sa.Double, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("rollout", "stage", "arm", "metric", "unit", name="pk_unit_total"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pair_seen",
        sa.Column("rollout", sa.BigInteger, autoincrement=False),
        sa.Column("candidate", sa.Text),
        sa.Column("digest", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("rollout", "candidate", "digest", name="pk_pair_seen"),
        sqlite_with_rowid=False,
    )


def _decisions() -> None:
    op.create_table(
        "decision",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("rollout", _Id, sa.ForeignKey("rollout.id", name="fk_decision_rollout"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("bundle", sa.Text, nullable=False),
        sa.Column("acted", sa.Text, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pk_decision"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_decision_rollout_kind", "decision", ["rollout", "kind"], unique=True)
    op.create_table(
        "lease",
        sa.Column("name", sa.Text),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )
    op.create_table(
        "freeze_window",
        sa.Column("id", _Id, autoincrement=True),
        sa.Column("route", sa.Text, sa.ForeignKey("route.name", name="fk_freeze_window_route")),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_freeze_window"),
        sqlite_autoincrement=True,
    )
