"""Records that are alike: most of a batch differ in a few values only, and what they have in common is worked out once. Pure."""

from collections.abc import Collection, Iterable

from modelctl.recorder.ledger import MINUTE
from modelctl.recorder.readings import ComparedReading, Reading, ServedReading, counts
from modelctl.recorder.rollups import PairKey, Pairs, pair_key

Key = tuple[object, ...]
Answers = list[ServedReading]


def answers_alike(readings: Iterable[Reading]) -> list[Answers]:
    """The answers to clients among `readings`, those that are alike together and in their order.

    Alike are answers of one arm with the same outcome in the same minute, whose requests fell under the same decision and were
    shown to the same arms: they count at the same places, and their rows differ in `rows.OWN_COLUMNS` only.
    """
    found: dict[Key, Answers] = {}
    for item in readings:
        if isinstance(item, ServedReading):
            key = _of_answer(item)
            group = found.get(key)
            if group is None:
                found[key] = [item]
            else:
                group.append(item)
    return list(found.values())


def pairs_alike(readings: Iterable[Reading], *, duplicates: Collection[PairKey]) -> list[Pairs]:
    """The comparisons among `readings` that say something about their candidates: likewise, and with `rows.PAIR_OWN_COLUMNS`."""
    found: dict[Key, Pairs] = {}
    for item in readings:
        if isinstance(item, ComparedReading) and counts(item):
            duplicate = bool(duplicates) and pair_key(item) in duplicates
            key = (duplicate, *_of_pair(item))
            group = found.get(key)
            if group is None:
                found[key] = Pairs([item], duplicate)
            else:
                group.readings.append(item)
    return list(found.values())


def _of_answer(reading: ServedReading) -> Key:
    served, judged = reading.served, reading.answer
    context, request, answer = served.context, served.request, served.answer
    return (
        context.rollout, context.stage, context.table, context.probability, served.at // MINUTE, served.attempts, served.redacted,
        served.in_sample, served.bodies_share, context.route, context.role, context.reason, context.instead_of, served.shown,
        request.method, request.content_type, request.encoding,
        answer.backend, answer.status, answer.failure, answer.content_type, answer.encoding, judged.outcome, judged.problem,
    )  # fmt: skip


def _of_pair(reading: ComparedReading) -> Key:
    served, shadow = reading.compared.served, reading.compared.shadow
    context, request, answer = served.context, served.request, served.answer
    baseline, candidate = reading.baseline, reading.candidate
    return (
        context.rollout, context.stage, context.route, served.at // MINUTE, served.redacted | reading.compared.redacted,
        served.in_sample, served.bodies_share, reading.agreement.agree, request.content_type, request.encoding,
        answer.backend, answer.status, answer.failure, answer.content_type, answer.encoding, baseline.outcome, baseline.problem,
        shadow.backend, shadow.status, shadow.failure, shadow.content_type, shadow.encoding, candidate.outcome, candidate.problem,
    )  # fmt: skip
