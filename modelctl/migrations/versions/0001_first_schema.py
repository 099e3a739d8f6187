"""The first schema. It stands alone: later changes of `modelctl.store.tables` do not change what it makes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _decisions()
    _rollouts()
    _predictions()
    _pairs()
    _sums()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''"))


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _sum(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False, server_default="0")


def _id() -> sa.Column[int]:
    return sa.Column("id", _ID, autoincrement=True, nullable=False)


def _body(prefix: str) -> list[sa.schema.SchemaItem]:
    return [
        _words(f"{prefix}_type"),
        _words(f"{prefix}_encoding"),
        sa.Column(f"{prefix}_body", sa.LargeBinary, nullable=False),
        _count(f"{prefix}_size"),
    ]


def _decisions() -> None:
    op.create_table(
        "backend",
        _text("name"),
        _text("spec"),
        _whole("revision"),
        _whole("created_at"),
        sa.Column("removed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("name", name="pk_backend"),
    )
    op.create_table(
        "route",
        _text("name"),
        _text("path"),
        _words("host"),
        _text("unit"),
        _text("capture"),
        _text("baseline"),
        _whole("revision"),
        _whole("created_at"),
        sa.Column("removed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("name", name="pk_route"),
        sa.ForeignKeyConstraint(["baseline"], ["backend.name"], name="fk_route_baseline"),
    )
    live = sa.text("removed_at IS NULL")
    op.create_index("uq_route_address", "route", ["host", "path"], unique=True, sqlite_where=live, postgresql_where=live)
    op.create_table(
        "routing_table",
        _whole("version"),
        _text("body"),
        _text("sha256"),
        _text("author"),
        _words("reason"),
        _whole("created_at"),
        sa.PrimaryKeyConstraint("version", name="pk_routing_table"),
    )


def _rollouts() -> None:
    op.create_table(
        "rollout",
        _id(),
        _text("route"),
        _text("strategy"),
        _text("phase"),
        _text("spec"),
        _whole("revision"),
        _whole("opened_at"),
        _count("closed_at"),
        sa.PrimaryKeyConstraint("id", name="pk_rollout"),
        sa.ForeignKeyConstraint(["route"], ["route.name"], name="fk_rollout_route"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rollout_route", "rollout", ["route"])
    is_open = sa.text("phase IN ('progressing', 'paused')")
    op.create_index("uq_rollout_open_route", "rollout", ["route"], unique=True, sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "stage",
        _id(),
        sa.Column("rollout", _ID, nullable=False),
        _text("route"),
        _text("arms"),
        _whole("opened_at"),
        _count("closed_at"),
        sa.PrimaryKeyConstraint("id", name="pk_stage"),
        sa.ForeignKeyConstraint(["rollout"], ["rollout.id"], name="fk_stage_rollout"),
        sa.ForeignKeyConstraint(["route"], ["route.name"], name="fk_stage_route"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_stage_rollout", "stage", ["rollout"])
    op.create_table(
        "event",
        _id(),
        _whole("at"),
        _text("actor"),
        _text("action"),
        sa.Column("route", sa.Text),
        sa.Column("rollout", sa.BigInteger),
        sa.Column("backend", sa.Text),
        _words("reason"),
        sa.Column("detail", sa.Text, nullable=False, server_default="{}"),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_route", "event", ["route"])


def _predictions() -> None:
    op.create_table(
        "prediction",
        *map(_text, ("id", "request_id")),
        _whole("at"),
        _text("route"),
        *map(_whole, ("rollout", "stage", "table_version")),
        *map(_text, ("arm", "role", "reason")),
        _whole("probability"),
        _words("unit"),
        *map(_text, ("method", "target")),
        _whole("status"),
        _text("outcome"),
        _words("failure"),
        *map(_whole, ("latency_us", "first_byte_us")),
        sa.Column("label", sa.Text),
        sa.Column("number", sa.Double),
        sa.Column("text", sa.Text),
        sa.Column("probability_of_label", sa.Double),
        sa.Column("values_json", sa.Text),
        _words("problem"),
        *_body("request"),
        *_body("answer"),
        sa.PrimaryKeyConstraint("id", name="pk_prediction"),
    )
    op.create_index("ix_prediction_request_id", "prediction", ["request_id"])
    op.create_index("ix_prediction_route_at", "prediction", ["route", "at"])
    op.create_index("ix_prediction_rollout_at", "prediction", ["rollout", "at"])
    op.create_table(
        "feedback",
        _id(),
        _text("request_id"),
        sa.Column("value_label", sa.Text),
        sa.Column("value_number", sa.Double),
        _words("source"),
        _whole("at"),
        sa.Column("prediction_id", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.UniqueConstraint("request_id", name="uq_feedback_request_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_feedback_prediction_id", "feedback", ["prediction_id"])


def _side(side: str) -> list[sa.schema.SchemaItem]:
    return [
        _text(f"{side}_outcome"),
        _whole(f"{side}_status"),
        _whole(f"{side}_latency_us"),
        sa.Column(f"{side}_label", sa.Text),
        sa.Column(f"{side}_number", sa.Double),
        sa.Column(f"{side}_text", sa.Text),
        sa.Column(f"{side}_values_json", sa.Text),
        _words(f"{side}_problem"),
        *_body(side),
    ]


def _pairs() -> None:
    op.create_table(
        "pair",
        *map(_text, ("prediction_id", "candidate", "request_id")),
        _whole("at"),
        _text("route"),
        *map(_whole, ("rollout", "stage")),
        _text("baseline"),
        _words("candidate_failure"),
        sa.Column("agree", sa.SmallInteger),
        sa.Column("difference", sa.Double),
        *map(_count, ("instances", "instances_agreeing")),
        *_side("baseline"),
        *_side("candidate"),
        *_body("request"),
        sa.PrimaryKeyConstraint("prediction_id", "candidate", name="pk_pair"),
    )
    op.create_index("ix_pair_rollout_agree", "pair", ["rollout", "agree"])
    op.create_index("ix_pair_rollout_difference", "pair", ["rollout", "difference"])


def _sums() -> None:
    op.create_table(
        "rollup",
        _text("route"),
        *map(_whole, ("rollout", "stage")),
        *map(_text, ("arm", "metric", "key")),
        _whole("minute"),
        *map(_count, ("n", "k")),
        *map(_sum, ("s1", "s2", "sp")),
        sa.PrimaryKeyConstraint("route", "rollout", "stage", "arm", "metric", "key", "minute", name="pk_rollup"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pivot",
        _text("route"),
        _whole("rollout"),
        _text("metric"),
        sa.Column("value", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("route", "rollout", "metric", name="pk_pivot"),
    )
    op.create_table(
        "spool",
        _text("name"),
        *map(_whole, ("segment", "offset")),
        *map(_count, ("offered", "accepted")),
        sa.Column("dropped", sa.Text, nullable=False, server_default="{}"),
        *map(_count, ("committed", "quarantined", "duplicate", "corrupt_bytes")),
        _whole("updated_at"),
        sa.PrimaryKeyConstraint("name", name="pk_spool"),
    )
