"""A verdict read from rollups is the verdict of the rows they were made of, however these were cut into batches (A25)."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec
import pytest

from modelctl.controlplane.judgement.comparing import compare
from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.judging import judge
from modelctl.controlplane.judgement.measured import slow_edge
from modelctl.controlplane.judgement.sums import Sums
from modelctl.evidence import SENT, Answer, Compared, Served
from modelctl.recorder.rollups import Fold, first_numbers
from modelctl.rollout import Rollout, Stage
from modelctl.statistics import arm_given_event, difference, grid_betting
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.difference import MeanStage, Proportion, ProportionStage
from modelctl.statistics.moments import Moments
from modelctl.store.summing import Sum
from tests.controlplane.judged import NOW, START, gated
from tests.controlplane.scene import rollout
from tests.recorder.stream import ARMS, answer, readings, served

ALPHA, GUARDED = 0.05, 5
GATES = (
    "error_rate:guardrail:margin=1pt",
    "timeout_rate:guardrail:margin=50%",
    "slow_rate:guardrail:margin=2pt,slower=5ms",
    "prediction:equivalence:margin=0.5",
)
Records = list[Served | Compared]
Event = Callable[[Answer], bool]


def stream(count: int, *, seed: int = 1) -> Records:
    """Requests of which a tenth goes to `new`; those of `old` are shown to it. Some fail, some are late, some are slow."""
    chance = random.Random(seed)
    found: Records = []
    for number in range(count):
        to_new = chance.random() < 0.1
        first = served(number, _given(chance, "new" if to_new else "old"), shown=None if to_new else {"new": SENT})
        found += [first] if to_new else [first, Compared(first, _given(chance, "new"))]
    return found


def _given(chance: random.Random, arm: str) -> Answer:
    kind = chance.random()
    latency = round(chance.lognormvariate(7.5, 0.6))
    if kind < 0.01:
        return answer(arm, status=500, latency=latency)
    if kind < 0.015:
        return answer(arm, failure="timeout", latency=60_000)
    return answer(arm, round(chance.gauss(100.0, 5.0), 3), latency=latency)


def rolled_up(records: Records, *, batches: int) -> tuple[Sum, ...]:
    """What the recorder's sums of these batches add up to."""
    whole = readings(records)
    pivots, size = first_numbers(whole), len(whole) // batches + 1
    total: dict[tuple[int, str, str, str], list[float]] = defaultdict(lambda: [0.0] * 5)
    for begin in range(0, len(whole), size):
        fold = Fold(pivots)
        for reading in whole[begin : begin + size]:
            fold.add(reading)
        for row in fold.rows():
            place = (int(str(row["stage"])), str(row["arm"]), str(row["metric"]), str(row["key"]))
            values = [float(str(row[name])) for name in ("n", "k", "s1", "s2", "sp")]
            total[place] = [a + b for a, b in zip(total[place], values, strict=True)]
    return tuple(Sum(*place, int(n), int(k), *sums) for place, (n, k, *sums) in total.items())


def evidence(of: Rollout, records: Records, *, batches: int) -> Evidence:
    pivots = {pivot.metric: value for pivot, value in first_numbers(readings(records)).items()}
    stage = Stage(id=1, rollout=1, arms=ARMS, opened_at=START)
    return Evidence(rollout=of, stages=(stage,), sums=Sums(rolled_up(records, batches=batches)), pivots=pivots)


def ladder() -> Rollout:
    of = gated(rollout("canary", {"percent_bp": 1000, "shadow_bp": 10_000}), *GATES)
    steps = tuple(msgspec.structs.replace(step, arms=ARMS) for step in of.steps)
    return msgspec.structs.replace(of, baseline="old", candidates=("new",), steps=steps)


def moments(values: Sequence[float]) -> Moments:
    mean = sum(values) / len(values)
    return Moments(len(values), mean, sum((value - mean) ** 2 for value in values))


def failed(given: Answer) -> bool:
    return given.failure == "timeout" or given.status == 500


def number(given: Answer) -> float:
    return float(msgspec.json.decode(given.body)["prediction"])


def from_rows(records: Records) -> dict[tuple[str, str], tuple[Comparison, Comparison]]:
    """Each gate's comparison at both levels, straight from the records."""
    first = [record for record in records if isinstance(record, Served)]
    both = [(record.served.answer, record.shadow) for record in records if isinstance(record, Compared)]
    old, new = ([record.answer for record in first if record.answer.backend == arm] for arm in ("old", "new"))

    def proportions(event: Event, *, of: Event = lambda _: True) -> list[ProportionStage]:
        arms = [[one for one in arm if of(one)] for arm in (old, new)]
        a, b = (Proportion(len(arm), sum(map(event, arm))) for arm in arms)
        return [ProportionStage(a, b)]

    late = proportions(lambda one: one.failure == "timeout")[0]
    slow = proportions(lambda one: one.latency > slow_edge(5) * 1000, of=lambda one: one.failure in ("", "timeout"))
    events = [EventStage(late.candidate.k, late.candidate.k + late.baseline.k, 0.1)]
    a, b = (moments([number(one) for one in arm if not failed(one)]) for arm in (old, new))
    gaps = moments([number(ours) - number(theirs) for theirs, ours in both if not failed(theirs) and not failed(ours)])
    lost = [failed(ours) - failed(theirs) for theirs, ours in both]
    worse, better = lost.count(1), lost.count(-1)
    return {
        ("error_rate", "paired"): _both(lambda at: grid_betting.compare(worse, len(both) - worse - better, n_neg=better, alpha=at)),
        ("error_rate", "split"): _both(lambda at: difference.compare_proportions(proportions(failed), tau=0.01, alpha=at)),
        ("timeout_rate", "split"): _both(lambda at: arm_given_event.compare(events, alpha=at)),
        ("slow_rate", "split"): _both(lambda at: difference.compare_proportions(slow, tau=0.02, alpha=at)),
        ("prediction", "paired"): (difference.compare_paired(gaps, tau=0.5, alpha=ALPHA),) * 2,
        ("prediction", "split"): (difference.compare_means([MeanStage(a, b)], tau=0.5, alpha=ALPHA),) * 2,
    }


def _both(method: Callable[[float], Comparison]) -> tuple[Comparison, Comparison]:
    return method(ALPHA / GUARDED), method(ALPHA)


def test_numbers_and_word_from_rollups_are_those_of_the_rows() -> None:
    records = stream(12_000)
    found = evidence(ladder(), records, batches=7)
    rows = {(row.metric, row.design): row for one in compare(found, at=NOW) if (row := one.row).gate}
    expected = from_rows(records)
    assert rows.keys() == expected.keys()
    for name, (for_rollback, for_promote) in expected.items():
        row = rows[name]
        assert (row.lower, row.upper) == pytest.approx((for_rollback.lower, for_promote.upper), rel=1e-9), name
        assert row.n == for_promote.n, name
        assert row.estimate == pytest.approx(for_promote.estimate, rel=1e-9), name
    passes = all(row.margin is not None and row.harm_upper is not None and row.harm_upper < row.margin for row in rows.values())
    assert (judge(found, at=NOW).word == "promote") == passes


def test_how_the_rows_were_cut_into_batches_changes_no_verdict() -> None:
    records = stream(3_000, seed=2)
    one, many = (compare(evidence(ladder(), records, batches=batches), at=NOW) for batches in (1, 60))
    for a, b in zip(one, many, strict=True):
        assert (a.row.finding, a.row.n) == (b.row.finding, b.row.n)
        if a.row.gate:
            assert a.row.harm_upper == pytest.approx(b.row.harm_upper, rel=1e-9)
