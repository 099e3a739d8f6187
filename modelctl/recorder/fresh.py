"""What of a batch the database does not have yet: no record counts twice, and no question either."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from modelctl.recorder.joints import Member, members_of
from modelctl.recorder.readings import ComparedReading, Reading, ServedReading, counts
from modelctl.recorder.rollups import PairKey, pair_key
from modelctl.recorder.texts import storable
from modelctl.store.many import among
from modelctl.store.tables import pair, pair_seen, prediction


class Question(NamedTuple):
    """What a candidate is compared on, by digest: the key of `pair_seen`."""

    rollout: int
    candidate: str
    digest: str


class Fresh(NamedTuple):
    """The readings that are new, in their order. `questions` are new as well, with the pair that asks each of them first."""

    readings: list[Reading]
    replayed: int
    questions: dict[Question, ComparedReading]
    members: list[Member]

    def duplicates(self) -> frozenset[PairKey]:
        """The pairs that ask what was asked before."""
        first = {pair_key(item) for item in self.questions.values()}
        asking = (item for item in self.readings if isinstance(item, ComparedReading) and question_of(item) is not None)
        return frozenset(pair_key(item) for item in asking) - first


def find_fresh(connection: Connection, readings: Sequence[Reading]) -> Fresh:
    """What of `readings` is new."""
    ids = [item.served.id.hex() for item in readings if isinstance(item, ServedReading)]
    pairs = [item for item in readings if isinstance(item, ComparedReading)]
    recorded = _recorded_pairs(connection, pairs)
    seen: set[object] = {*_recorded_predictions(connection, ids), *recorded}
    fresh: list[Reading] = []
    for item in readings:
        key = item.served.id.hex() if isinstance(item, ServedReading) else pair_key(item)
        if key not in seen:
            seen.add(key)
            fresh.append(item)
    compared = [item for item in fresh if isinstance(item, ComparedReading)]
    members = members_of(connection, compared, recorded=recorded)
    return Fresh(fresh, len(readings) - len(fresh), _questions(connection, compared), members)


def question_of(item: ComparedReading) -> Question | None:
    """What the pair asks; None when it may be asked again, or says nothing."""
    if not item.terms.deduplicate or not item.digest or not counts(item):
        return None
    return Question(item.compared.served.context.rollout, storable(item.compared.shadow.backend), item.digest)


def _recorded_predictions(connection: Connection, ids: list[str]) -> set[str]:
    if not ids:
        return set()
    where = _among_ids(connection, prediction.c.id, ids=ids)
    return set(connection.execute(select(prediction.c.id).where(*where)).scalars())


def _among_ids(connection: Connection, column: ColumnElement[str], *, ids: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    """The bounds say nothing new, but of many daily partitions only those between them are looked into."""
    return among(connection, column, values=ids), column >= min(ids), column <= max(ids)


def _recorded_pairs(connection: Connection, pairs: Sequence[ComparedReading]) -> dict[PairKey, bool]:
    """Those of the same requests, and whether each is one with a second copy of the baseline."""
    if not pairs:
        return {}
    wanted = {item.compared.served.id.hex() for item in pairs}
    where = _among_ids(connection, pair.c.prediction_id, ids=wanted)
    query = select(pair.c.prediction_id, pair.c.candidate, pair.c.baseline).where(*where)
    return {(row.prediction_id, row.candidate): row.candidate == row.baseline for row in connection.execute(query)}


def _questions(connection: Connection, pairs: Sequence[ComparedReading]) -> dict[Question, ComparedReading]:
    asked: dict[Question, ComparedReading] = {}
    for item in pairs:
        question = question_of(item)
        if question is not None:
            asked.setdefault(question, item)
    for (rollout, candidate), digests in _by_candidate(asked).items():
        mine = (pair_seen.c.rollout == rollout, pair_seen.c.candidate == candidate)
        known = select(pair_seen.c.digest).where(*mine, among(connection, pair_seen.c.digest, values=digests))
        for digest in connection.execute(known).scalars().all():
            del asked[Question(rollout, candidate, digest)]
    return asked


def _by_candidate(asked: Iterable[Question]) -> dict[tuple[int, str], list[str]]:
    found: dict[tuple[int, str], list[str]] = {}
    for question in asked:
        found.setdefault((question.rollout, question.candidate), []).append(question.digest)
    return found
