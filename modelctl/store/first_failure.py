"""When a candidate first failed: the moment from which the time to zero traffic is counted."""

from sqlalchemy import Connection, func, or_, select

from modelctl.rollout import Rollout
from modelctl.store.summing import same_key
from modelctl.store.tables import pair, prediction, rollup, rollup_total

MINUTE = 60_000_000
FAILURES = ("backend_error", "timeout")


def first_failure(connection: Connection, rollout: Rollout) -> int | None:
    """The Unix microsecond of the candidates' first failure, for a client or as a shadow; None when there was none.

    The rollups name the minute, so this costs the rows of one minute however long the rollout is.
    """
    minute = _minute(connection, rollout)
    if minute is None:
        return None
    within = (minute * MINUTE, (minute + 1) * MINUTE - 1)
    answered = select(func.min(prediction.c.at)).where(
        prediction.c.rollout == rollout.id,
        prediction.c.at.between(*within),
        prediction.c.arm.in_(rollout.candidates),
        prediction.c.outcome.in_(FAILURES),
    )
    # An answer that failed agrees with nothing: the index on it leaves the failures.
    shown = select(func.min(pair.c.at)).where(
        pair.c.rollout == rollout.id,
        pair.c.agree.is_(None),
        pair.c.at.between(*within),
        pair.c.candidate.in_(rollout.candidates),
        pair.c.candidate_outcome.in_(FAILURES),
    )
    found = [connection.execute(query).scalar() for query in (answered, shown)]
    return min((int(moment) for moment in found if moment is not None), default=None)


def _minute(connection: Connection, rollout: Rollout) -> int | None:
    total = rollup_total.c
    failed = or_((total.metric == "error") & (total.k > 0), (total.metric == "pair_error") & (total.key == "-"))
    harmed = or_(rollup.c.k > 0, rollup.c.metric == "pair_error")
    first = select(func.min(rollup.c.minute)).where(same_key(), harmed).scalar_subquery()
    mine = (total.route == rollout.route, total.rollout == rollout.id, total.arm.in_(rollout.candidates), failed)
    found = connection.execute(select(func.min(first)).where(*mine)).scalar()
    return None if found is None else int(found)
