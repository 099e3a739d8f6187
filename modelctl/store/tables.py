"""Every table, the same in SQLite and PostgreSQL.

Times named `*_at` (and `at`) are Unix microseconds. JSON is text that msgspec wrote. Yes and no are 1 and 0. Text holds no NUL
character. A name (of a backend, a route) is its own key, so that rows can be read without a join.

Two kinds of tables stand here: what people decided (backend to routing_table), and evidence (prediction to spool), which only a
recorder and the feedback operation write.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from modelctl.store.answer_table import answer as answer
from modelctl.store.columns import Id, body_columns, count_column, kept_columns, metadata, sum_column, text_column

backend = Table(
    "backend",
    metadata,
    Column("name", Text, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
)
"""A backend that is or was registered; `spec` is a traffic.Backend. A removed one stays, so that late records are still
understood; adding its name again replaces its spec."""

route = Table(
    "route",
    metadata,
    Column("name", Text, primary_key=True),
    Column("path", Text, nullable=False),
    text_column("host"),
    Column("unit", Text, nullable=False),
    Column("capture", Text, nullable=False),
    Column("admission", Text, nullable=False, server_default="{}"),
    Column("breaker", Text, nullable=False, server_default="null"),
    Column("fields", Text, nullable=False, server_default="[]"),
    Column("dimensions", Text, nullable=False, server_default="[]"),
    Column("baseline", Text, ForeignKey("backend.name"), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
)
"""A route that is or was served; `capture` is a traffic.Capture, `admission` a policy.Admission, `breaker` a policy.Breaker or
null, `fields` are metric.Field, `dimensions` metric.Dimension. No two that are not removed share host and path."""
Index(
    "uq_route_address",
    route.c.host,
    route.c.path,
    unique=True,
    sqlite_where=route.c.removed_at.is_(None),
    postgresql_where=route.c.removed_at.is_(None),
)

_OPEN = text("phase IN ('progressing', 'paused')")

rollout = Table(
    "rollout",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("route", Text, ForeignKey("route.name"), nullable=False, index=True),
    Column("strategy", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    count_column("closed_at"),
    sqlite_autoincrement=True,
)
"""A rollout, open or ended; `spec` is a rollout.Rollout, the columns beside it repeat what queries ask for. `closed_at` is 0 while
it is open. A route has at most one open rollout. Ids are never used twice."""
Index("uq_rollout_open_route", rollout.c.route, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)

stage = Table(
    "stage",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("rollout", Id, ForeignKey("rollout.id"), nullable=False, index=True),
    Column("route", Text, ForeignKey("route.name"), nullable=False),
    Column("arms", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    count_column("closed_at"),
    sqlite_autoincrement=True,
)
"""A period of a rollout with constant shares; `arms` is a list of traffic.Arm and never changes. `closed_at` is 0 until it ends."""

event = Table(
    "event",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("route", Text, index=True),
    Column("rollout", BigInteger),
    Column("backend", Text),
    text_column("reason"),
    Column("detail", Text, nullable=False, server_default="{}"),
    sqlite_autoincrement=True,
)
"""What was done, by whom and why; written in the transaction that did it, never changed. `detail` is a JSON object; a change of a
route's baseline has `baseline_from` and `baseline_to`."""

routing_table = Table(
    "routing_table",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("author", Text, nullable=False),
    text_column("reason"),
    Column("created_at", BigInteger, nullable=False),
)
"""Every table that was published; `body` is what traffic.encode_table wrote, `sha256` its digest in hex. A version is the highest
before it plus 1, so of two transactions that publish at once one fails."""

prediction = Table(
    "prediction",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("route", Text, nullable=False),
    Column("rollout", BigInteger, nullable=False),
    Column("stage", BigInteger, nullable=False),
    Column("table_version", BigInteger, nullable=False),
    Column("arm", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("probability", BigInteger, nullable=False),
    text_column("unit"),
    Column("method", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("status", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    text_column("failure"),
    Column("latency_us", BigInteger, nullable=False),
    Column("first_byte_us", BigInteger, nullable=False),
    count_column("first_event_us"),
    Column("attempts", BigInteger, nullable=False, server_default="1"),
    Column("label", Text),
    Column("number", Double),
    Column("text", Text),
    Column("probability_of_label", Double),
    Column("values_json", Text),
    text_column("problem"),
    Column("headers", Text, nullable=False, server_default="{}"),
    Column("redacted", SmallInteger, nullable=False, server_default="0"),
    *kept_columns(),
    *body_columns("request"),
    *body_columns("answer"),
    Index("ix_prediction_route_at", "route", "at"),
    Index("ix_prediction_rollout_at", "rollout", "at"),
)
"""Exactly one row per request of a client that an arm answered. `id` is 32 hex digits and grows with time; `arm` is the name of a
backend, `probability` its share in basis points. `first_event_us` is 0 when the answer was no event stream, or held no whole event;
`attempts` is how often the request was sent to the arm. label, number or text is that of the first instance; `values_json` holds
all when there are several instances; `problem` says why there is none. `headers` is a JSON object: the fields of the request that
the route's capture keeps."""


def _side(side: str) -> list[Column[str] | Column[int] | Column[float] | Column[bytes]]:
    """One of the two answers of a pair. `ended` is `clean` when it ended as HTTP says, `cut` when it broke off or never came."""
    return [
        Column(f"{side}_outcome", Text, nullable=False),
        Column(f"{side}_status", BigInteger, nullable=False),
        Column(f"{side}_latency_us", BigInteger, nullable=False),
        count_column(f"{side}_first_event_us"),
        Column(f"{side}_ended", Text, nullable=False, server_default="clean"),
        Column(f"{side}_label", Text),
        Column(f"{side}_number", Double),
        Column(f"{side}_text", Text),
        Column(f"{side}_values_json", Text),
        text_column(f"{side}_problem"),
        *body_columns(side),
    ]


pair = Table(
    "pair",
    metadata,
    Column("prediction_id", Text, primary_key=True),
    Column("candidate", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("route", Text, nullable=False),
    Column("rollout", BigInteger, nullable=False),
    Column("stage", BigInteger, nullable=False),
    Column("baseline", Text, nullable=False),
    text_column("candidate_failure"),
    Column("agree", SmallInteger),
    Column("difference", Double),
    count_column("instances"),
    count_column("instances_agreeing"),
    Column("baseline_probability", Double),
    Column("candidate_probability", Double),
    Column("duplicate", SmallInteger, nullable=False, server_default="0"),
    Column("redacted", SmallInteger, nullable=False, server_default="0"),
    *kept_columns(),
    *_side("baseline"),
    *_side("candidate"),
    *body_columns("request"),
    Index("ix_pair_request_id", "request_id"),
    Index("ix_pair_rollout_agree", "rollout", "agree"),
    Index("ix_pair_rollout_difference", "rollout", "difference"),
)
"""Baseline's and candidate's answer to the same request, whole: no join is needed to show it. `agree` and `difference` (candidate
minus baseline, the mean over the instances) are NULL when an answer holds no prediction (or, for `difference`, no number). The
probabilities are those of the labels. A `duplicate` is in no sum over pairs: the candidate had been compared on the question."""

feedback = Table(
    "feedback",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("request_id", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="truth"),
    Column("value_label", Text),
    Column("value_number", Double),
    text_column("source"),
    Column("at", BigInteger, nullable=False),
    Column("prediction_id", Text, index=True),
    Column("joined", SmallInteger, nullable=False, server_default="0"),
    Column("joined_label", Text),
    Column("joined_number", Double),
    count_column("tries"),
    count_column("join_at"),
    UniqueConstraint("request_id", "kind"),
    Index("ix_feedback_joined", "joined", "join_at"),
    sqlite_autoincrement=True,
)
"""What turned out for a request: at most one truth and one reward, by `kind`. `prediction_id` is NULL until it is known. The joined
value is the one in the rollups; `joined` is 1 when it is the present one. While it is 0, the recorder looks again at `join_at`."""

first_event = Table(
    "first_event",
    metadata,
    Column("rollout", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("stage", BigInteger, nullable=False),
    Column("arm", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Where a unit of a rollout met an event of a kind for the first time: it counts there and nowhere else. For sticky units only."""

unit_total = Table(
    "unit_total",
    metadata,
    Column("rollout", BigInteger, primary_key=True, autoincrement=False),
    Column("stage", BigInteger, primary_key=True, autoincrement=False),
    Column("arm", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    count_column("n"),
    sum_column("s"),
    sqlite_with_rowid=False,
)
"""A sticky unit's requests in a stage and the sum of a metric over them: what the sums over units in `rollup` are kept up from."""

pair_seen = Table(
    "pair_seen",
    metadata,
    Column("rollout", BigInteger, primary_key=True, autoincrement=False),
    Column("candidate", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The requests a candidate was compared on, by a digest of what was asked: the same question again is no new evidence."""

decision = Table(
    "decision",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("rollout", Id, ForeignKey("rollout.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    text_column("acted"),
    sqlite_autoincrement=True,
)
"""The first time a rollout's evidence said something, with all it was said from; written once, never changed but for `acted`, the
verb that followed. `kind` is a verdict's word, or `advance:STEP` for a passed gate."""
Index("uq_decision_rollout_kind", decision.c.rollout, decision.c.kind, unique=True)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
"""Who does what only one process may do, and until when. `term` grows whenever the holder changes."""

freeze_window = Table(
    "freeze_window",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("route", Text, ForeignKey("route.name")),
    Column("spec", Text, nullable=False),
    Column("actor", Text, nullable=False),
    text_column("reason"),
    Column("created_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    sqlite_autoincrement=True,
)
"""Times in which automation raises no exposure; `spec` says when. Without a route it holds for all of them."""

rollup = Table(
    "rollup",
    metadata,
    Column("route", Text, primary_key=True),
    Column("rollout", BigInteger, primary_key=True, autoincrement=False),
    Column("stage", BigInteger, primary_key=True, autoincrement=False),
    Column("arm", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    count_column("n"),
    count_column("k"),
    sum_column("s1"),
    sum_column("s2"),
    sum_column("sp"),
    sqlite_with_rowid=False,
)
"""Mergeable sums over the rows of one minute (Unix time / 60 s): adding rows of this table gives the sums of the longer period.
recorder.rollups says what each metric's key and sums are. A request is in it exactly once."""

rollup_total = Table(
    "rollup_total",
    metadata,
    Column("route", Text, primary_key=True),
    Column("rollout", BigInteger, primary_key=True, autoincrement=False),
    Column("stage", BigInteger, primary_key=True, autoincrement=False),
    Column("arm", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    count_column("n"),
    count_column("k"),
    sum_column("s1"),
    sum_column("s2"),
    sum_column("sp"),
    sqlite_with_rowid=False,
)
"""`rollup` added up over all minutes, kept up in the transactions that write it: what a verdict costs does not grow with time."""

pivot = Table(
    "pivot",
    metadata,
    Column("route", Text, primary_key=True),
    Column("rollout", BigInteger, primary_key=True, autoincrement=False),
    Column("metric", Text, primary_key=True),
    Column("value", Double, nullable=False),
)
"""What is taken off every value of a metric before it is summed up, so that variances keep their digits. Never changes."""

spool = Table(
    "spool",
    metadata,
    Column("name", Text, primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    count_column("offered"),
    count_column("accepted"),
    Column("dropped", Text, nullable=False, server_default="{}"),
    count_column("committed"),
    count_column("quarantined"),
    count_column("duplicate"),
    count_column("corrupt_bytes"),
    Column("updated_at", BigInteger, nullable=False),
)
"""How far a recorder has read one spool, changed in the transaction that wrote what it read. The first three counts are the
worker's (its newest tally before the position), the others the recorder's. Right behind a tally and without corrupt bytes,
`accepted = committed + quarantined + duplicate`."""
