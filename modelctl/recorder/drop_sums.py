"""What workers dropped, in the sums of the arms it was about: evidence that is incomplete says so itself. Pure."""

from collections.abc import Iterable

from modelctl.evidence import Drops
from modelctl.recorder.ledger import MINUTE, Ledger, Place
from modelctl.recorder.texts import storable

_MOST = 1 << 62


def add_drops(ledger: Ledger, told: Iterable[Drops]) -> None:
    """Counts each place's drops by their reason. What no column could hold comes from no worker, and is left out."""
    for drops in told:
        for one in drops.dropped:
            if all(0 <= number < _MOST for number in (one.rollout, one.stage, one.n, drops.at)):
                place = Place(storable(one.route), one.rollout, one.stage, storable(one.arm), drops.at // MINUTE)
                ledger.add(place, "pair_dropped" if one.pair else "dropped", key=storable(one.reason), n=one.n)
