"""Which bodies of a route are kept when it keeps a sample of them: those of units that a keyed hash draws. Counts stay whole.

The hash is not the one that decides about arms, so a sample has its share of every arm. Bodies of failures are kept whoever is
drawn. What sums are made from stays in the record, for the recorder to read and leave out: answers, and requests that somebody was
shown.
"""

from hashlib import blake2b

import msgspec

from modelctl.evidence import Served, is_failure
from modelctl.router.redaction import Redaction
from modelctl.traffic import ALL, Route


class Sampling:
    """The sample of one route: `share` of its units in basis points, the same ones for the same salt."""

    def __init__(self, route: Route) -> None:
        self.share = route.capture.sample_bodies
        self._hash = blake2b(digest_size=8, key=bytes.fromhex(route.salt), person=b"bodies")

    def draws(self, unit: bytes) -> bool:
        """Whether the unit is in the sample."""
        keyed = self._hash.copy()
        keyed.update(unit)
        return int.from_bytes(keyed.digest(), "big") * ALL >> 64 < self.share

    def served(self, served: Served, *, shown: bool) -> Served:
        """The record, which says whether it is in the sample. Without the request's body where nobody will read it."""
        drawn = self.draws(served.context.unit or served.request_id)
        request = served.request
        if not drawn and not shown and not is_failure(served.answer):
            request = msgspec.structs.replace(request, body=b"")
        return msgspec.structs.replace(served, request=request, bodies_share=self.share, in_sample=drawn)


class Editing:
    """What is done to a *served* record before it is written: first what is redacted goes, then what is not in the sample."""

    def __init__(self, redaction: Redaction | None, sampling: Sampling | None) -> None:
        self._redaction = redaction
        self._sampling = sampling

    def served(self, served: Served, shown: bool) -> Served:
        """The record as it is written. `shown` says that a *compared* record will hold it too."""
        if self._redaction is not None:
            served = self._redaction.served(served)
        return served if self._sampling is None else self._sampling.served(served, shown=shown)


def editing(route: Route, redaction: Redaction | None) -> Editing | None:
    """None when records are written as they are."""
    sampling = Sampling(route) if route.capture.sample_bodies < ALL else None
    return None if redaction is None and sampling is None else Editing(redaction, sampling)
