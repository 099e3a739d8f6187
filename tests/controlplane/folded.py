"""A recorder's sums of a simulated stream, as a report reads them: answers in, `Fold`, evidence out."""

import json
import random
from collections.abc import Callable, Sequence

from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.sums import Sums
from modelctl.evidence import SENT, Answer, Compared, Context, Request, Served
from modelctl.metric import Dimension, DimensionSource
from modelctl.recorder.readings import Reading
from modelctl.recorder.rollups import Fold, first_numbers
from modelctl.recorder.terms import Terms
from modelctl.rollout import Rollout, Stage, Step
from modelctl.store.summing import Sum
from modelctl.traffic import Arm, Role
from tests.recorder.stream import START, readings

DIMENSIONS = (
    Dimension(name="device", source=DimensionSource.HEADER, place="x-device"),
    Dimension(name="amount", source=DimensionSource.REQUEST, place="/amount", cuts=(3,)),
    Dimension(name="hour", source=DimensionSource.HOUR),
)
DEVICES = ("phone", "tablet", "desktop", "tv")
ARMS = (
    Arm(backend="old", role=Role.BASELINE, answers=7_000),
    Arm(backend="new", role=Role.CANDIDATE, answers=3_000, shown=10_000),
)
Model = Callable[[str, random.Random], Answer]
"""What an arm answers to a request from a device."""


def rollout(*, unit: str = "request") -> Rollout:
    """`new` answers 30 % and is shown the rest."""
    step = Step(title="30% to new", arms=ARMS)
    return Rollout(
        id=1,
        route="fraud",
        strategy="canary",
        baseline="old",
        candidates=("new",),
        steps=(step,),
        stage=1,
        salt="",
        opened_at=START // 1000,
        unit=unit,
        dimensions=DIMENSIONS,
    )


def said(arm: str, prediction: str, *, failed: bool = False) -> Answer:
    """A label, or a status 500."""
    body = b"" if failed else json.dumps({"prediction": prediction, "model": {"name": arm}}).encode()
    return Answer(arm, 500 if failed else 200, "", 1_500, 700, b"application/json", b"", body, len(body))


def stream(old: Model, new: Model, *, count: int, seed: int) -> list[Served | Compared]:
    """`count` requests from all devices, a third of them to `new`, the others shown to it."""
    chance = random.Random(seed)
    records: list[Served | Compared] = []
    for number in range(1, count + 1):
        device, is_new = chance.choice(DEVICES), chance.random() < 0.3
        first = _request(number, (new if is_new else old)(device, chance), device=device, amount=chance.randrange(6))
        records.append(first)
        if not is_new:
            records.append(Compared(first, new(device, chance)))
    return records


def evidence(records: Sequence[Served | Compared], *, of: Rollout | None = None) -> Evidence:
    """The evidence of a stream in one stage."""
    chosen = of or rollout()
    terms = Terms(arms=ARMS, dimensions=DIMENSIONS)
    found = Sums(sums_of(readings(records, terms)))
    return Evidence(rollout=chosen, stages=(Stage(id=1, rollout=1, arms=ARMS, opened_at=START // 1000),), sums=found, pivots={})


def sums_of(found: Sequence[Reading]) -> list[Sum]:
    """What the recorder adds to the store, without the minutes."""
    fold = Fold(first_numbers(found))
    for reading in found:
        fold.add(reading)
    total: dict[tuple[int, str, str, str], list[float]] = {}
    for row in fold.rows():
        key = (int(str(row["stage"])), str(row["arm"]), str(row["metric"]), str(row["key"]))
        values = [float(str(row[name])) for name in ("n", "k", "s1", "s2", "sp")]
        total[key] = [a + b for a, b in zip(total.get(key, [0.0] * 5), values, strict=True)]
    return [Sum(*key, int(n), int(k), s1, s2, sp) for key, (n, k, s1, s2, sp) in total.items()]


def _request(number: int, given: Answer, *, device: str, amount: int) -> Served:
    is_old = given.backend == "old"
    context = Context("fraud", 1, 1, 7, Role.BASELINE if is_old else Role.CANDIDATE, "split", 7_000, b"")
    body = json.dumps({"amount": amount, "n": number}).encode()
    asked = Request(b"POST", b"/fraud", b"application/json", b"", body, len(body), ((b"x-device", device.encode()),))
    fates = (("new", SENT),) if is_old else ()
    return Served(number.to_bytes(16, "big"), f"r{number}".encode(), START + number * 10_000, context, asked, given, fates)
