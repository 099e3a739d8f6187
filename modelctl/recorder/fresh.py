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
    """The readings that are new, in their order. `questions` are new as well, with the pair that asks each of them first; `asking`
    are all pairs that ask something."""

    readings: list[Reading]
    replayed: int
    questions: dict[Question, ComparedReading]
    asking: frozenset[PairKey]
    members: list[Member]

    def duplicates(self) -> frozenset[PairKey]:
        """The pairs that ask what was asked before."""
        return self.asking - {pair_key(item) for item in self.questions.values()}


def find_fresh(connection: Connection, readings: Sequence[Reading], *, trusting: bool = False) -> Fresh:
    """What of `readings` is new. `trusting` takes for granted that no answer to a client among them was recorded before: nearly
    always true, as a batch moves the spool's position, and a key that is taken refuses the batch otherwise."""
    pairs = [item for item in readings if isinstance(item, ComparedReading)]
    recorded = _recorded_pairs(connection, pairs)
    seen: set[object] = set(recorded)
    if not trusting:
        seen |= _recorded_predictions(connection, readings)
    fresh: list[Reading] = []
    for item in readings:
        key = item.served.id if isinstance(item, ServedReading) else pair_key(item)
        if key not in seen:
            seen.add(key)
            fresh.append(item)
    compared = [item for item in fresh if isinstance(item, ComparedReading)]
    members = members_of(connection, compared, recorded=recorded)
    asked, asking = _asked(compared)
    return Fresh(fresh, len(readings) - len(fresh), _unknown(connection, asked), frozenset(asking), members)


def question_of(item: ComparedReading) -> Question | None:
    """What the pair asks; None when it may be asked again, or says nothing."""
    if not item.terms.deduplicate or not item.digest or not counts(item):
        return None
    return Question(item.compared.served.context.rollout, storable(item.compared.shadow.backend), item.digest)


def _recorded_predictions(connection: Connection, readings: Sequence[Reading]) -> set[bytes]:
    ids = [item.served.id.hex() for item in readings if isinstance(item, ServedReading)]
    if not ids:
        return set()
    where = _among_ids(connection, prediction.c.id, ids=ids)
    return set(map(bytes.fromhex, connection.execute(select(prediction.c.id).where(*where)).scalars()))


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


def _asked(pairs: Sequence[ComparedReading]) -> tuple[dict[Question, ComparedReading], list[PairKey]]:
    """By question, the first pair that asks it; and all pairs that ask any."""
    asked: dict[Question, ComparedReading] = {}
    asking: list[PairKey] = []
    for item in pairs:
        question = question_of(item)
        if question is not None:
            asked.setdefault(question, item)
            asking.append(pair_key(item))
    return asked, asking


def _unknown(connection: Connection, asked: dict[Question, ComparedReading]) -> dict[Question, ComparedReading]:
    """Those that were not asked before."""
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
