"""Views for the questions people ask. A later revision that rebuilds a table below a view drops the view and makes it anew."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', {}, 'unixepoch')",
    "postgresql": "to_char(to_timestamp({}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')",
}

_PREDICTION_OUTCOME = """
CREATE VIEW prediction_outcome AS
SELECT recorded.id, recorded.request_id, {answered} AS answered_at, recorded.at, recorded.route, recorded.rollout,
       recorded.stage, recorded.arm, recorded.role, recorded.outcome, recorded.status,
       recorded.latency_us / 1000.0 AS latency_ms, recorded.label, recorded.number, recorded.problem,
       truth.value_label AS truth, reward.value_number AS reward
FROM prediction AS recorded
LEFT JOIN feedback AS truth ON truth.request_id = recorded.request_id AND truth.kind = 'truth'
LEFT JOIN feedback AS reward ON reward.request_id = recorded.request_id AND reward.kind = 'reward'
"""

_DISAGREEMENT = """
CREATE VIEW disagreement AS
SELECT prediction_id, request_id, {answered} AS answered_at, at, route, rollout, stage, baseline, candidate,
       baseline_label, candidate_label, baseline_number, candidate_number, difference, instances, instances_agreeing,
       baseline_latency_us / 1000.0 AS baseline_ms, candidate_latency_us / 1000.0 AS candidate_ms
FROM pair AS recorded
WHERE agree = 0 AND duplicate = 0
"""

_ARM_HOUR = """
CREATE VIEW arm_hour AS
SELECT route, rollout, arm, {hour} AS hour, minute / 60 AS hour_number, CAST(SUM(n) AS BIGINT) AS requests,
       CAST(SUM(k) AS BIGINT) AS errors, SUM(k) * 1.0 / SUM(n) AS error_rate
FROM rollup
WHERE metric = 'error'
GROUP BY route, rollout, arm, minute / 60
HAVING SUM(n) > 0
"""

# A bucket's middle: within 1 % of every latency in it (recorder.served_sums). Multiplied up, because SQLite may lack a power.
_ARM_LATENCY = """
CREATE VIEW arm_latency AS
WITH RECURSIVE middle(bucket, ms) AS (
    SELECT 0, CAST(0.00099 AS DOUBLE PRECISION)
    UNION ALL SELECT bucket + 1, ms * 1.01 / 0.99 FROM middle WHERE bucket < 1500
),
counted AS (
    SELECT route, rollout, arm, n, CASE WHEN key = 'zero' THEN -1 WHEN key <> '…' THEN CAST(key AS INTEGER) END AS bucket
    FROM rollup_total WHERE metric = 'latency' AND key <> '…'
),
cumulated AS (
    SELECT route, rollout, arm, bucket, SUM(n) OVER (PARTITION BY route, rollout, arm ORDER BY bucket) AS upto,
           SUM(n) OVER (PARTITION BY route, rollout, arm) AS answers
    FROM counted
)
SELECT route, rollout, arm, CAST(MAX(answers) AS BIGINT) AS answers,
       MIN(CASE WHEN upto >= 0.50 * answers THEN COALESCE(ms, 0) END) AS p50_ms,
       MIN(CASE WHEN upto >= 0.90 * answers THEN COALESCE(ms, 0) END) AS p90_ms,
       MIN(CASE WHEN upto >= 0.95 * answers THEN COALESCE(ms, 0) END) AS p95_ms,
       MIN(CASE WHEN upto >= 0.99 * answers THEN COALESCE(ms, 0) END) AS p99_ms
FROM cumulated LEFT JOIN middle ON middle.bucket = cumulated.bucket
GROUP BY route, rollout, arm
"""

_ARM_ACCURACY = """
CREATE VIEW arm_accuracy AS
SELECT route, rollout, arm, CASE metric WHEN 'accuracy' THEN 'answers' ELSE 'copies' END AS basis,
       CAST(SUM(n) AS BIGINT) AS labels, CAST(SUM(k) AS BIGINT) AS correct, SUM(k) * 1.0 / SUM(n) AS accuracy
FROM rollup_total
WHERE metric IN ('accuracy', 'shown_accuracy')
GROUP BY route, rollout, arm, metric
HAVING SUM(n) > 0
"""


def upgrade() -> None:
    time = _TIME[op.get_bind().dialect.name]
    answered, hour = time.format("recorded.at / 1000000"), time.format("minute / 60 * 3600")
    for view in (_PREDICTION_OUTCOME, _DISAGREEMENT, _ARM_HOUR, _ARM_LATENCY, _ARM_ACCURACY):
        op.execute(view.format(answered=answered, hour=hour))
