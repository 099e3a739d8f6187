"""Which requests both a candidate and a second copy of the baseline answered: the two pairs may come in batches of their own."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select, tuple_

from modelctl.evidence import Answer
from modelctl.kinds import Outcome
from modelctl.kinds.document import ABSENT, document_of
from modelctl.recorder.ledger import MINUTE, Place, place_of
from modelctl.recorder.noise import Contrast, Joint, contrast
from modelctl.recorder.paths import differences
from modelctl.recorder.readings import ComparedReading, counts
from modelctl.recorder.rollups import PairKey, pair_key
from modelctl.store.tables import pair


class Member(NamedTuple):
    """One pair of a request that a second copy of the baseline answered. `repeats`: it asked what had been asked before."""

    key: PairKey
    is_copy: bool
    contrast: Contrast
    fresh: bool
    repeats: bool = False


def members_of(connection: Connection, fresh: Sequence[ComparedReading], *, recorded: Mapping[PairKey, bool]) -> list[Member]:
    """The pairs, `fresh` or recorded, of the requests of which both a copy and something new is there. `recorded` says of each
    recorded pair whether it is a copy's."""
    copied = {key[0] for key, is_copy in recorded.items() if is_copy}
    copied |= {pair_key(item)[0] for item in fresh if item.is_noise}
    new = [_new(item) for item in fresh if pair_key(item)[0] in copied and counts(item)]
    requests = {member.key[0] for member in new}
    return [*_recorded(connection, [key for key in recorded if key[0] in requests]), *new]


def joints(members: Sequence[Member], *, duplicates: Collection[PairKey]) -> list[Joint]:
    """Each request with a candidate's pair and a copy's, one of them new. `duplicates` are the fresh pairs that ask again."""
    copies = {member.key[0]: member for member in members if member.is_copy}
    found = []
    for member in members:
        copy = copies.get(member.key[0])
        if copy is None or member.is_copy or not (member.fresh or copy.fresh):
            continue
        if not copy.repeats and copy.key not in duplicates:
            found.append(Joint(member.contrast, copy.contrast))
    return found


def _new(item: ComparedReading) -> Member:
    served = item.compared.served
    place = place_of(served.context, item.compared.shadow.backend, at=served.at)
    return Member(pair_key(item), item.is_noise, contrast(place, item.agreement.agree, paths=item.paths), fresh=True)


def _recorded(connection: Connection, keys: Sequence[PairKey]) -> list[Member]:
    if not keys:
        return []
    where = tuple_(pair.c.prediction_id, pair.c.candidate).in_(keys)
    return [_member(row) for row in connection.execute(select(pair).where(where))]


def _member(row: Row[Any]) -> Member:
    place = Place(row.route, row.rollout, row.stage, row.candidate, row.at // MINUTE)
    agree = None if row.agree is None else bool(row.agree)
    found = contrast(place, agree, paths=_paths(row))
    return Member(
        (row.prediction_id, row.candidate), row.candidate == row.baseline, found, fresh=False, repeats=bool(row.duplicate)
    )


def _paths(row: Row[Any]) -> tuple[tuple[str, str], ...]:
    if not row.baseline_outcome == row.candidate_outcome == Outcome.OK:
        return ()
    a, b = (document_of(_answer(row, side)) for side in ("baseline", "candidate"))
    return () if a is ABSENT or b is ABSENT else differences(a, b)


def _answer(row: Row[Any], side: str) -> Answer:
    columns = row._mapping
    encoding, body, size = (columns[f"{side}_{name}"] for name in ("encoding", "body", "size"))
    return Answer("", 200, "", 0, 0, b"", encoding.encode(), bytes(body), size)
