"""What differs between two copies of the baseline, beside what differs between baseline and candidate. Pure.

The baseline's answer is compared with the candidate's (raw) and with that of a second copy of the baseline (noise), on the same
request. Each request is counted once, when the later of its two pairs is recorded.
"""

from typing import NamedTuple

from modelctl.recorder.book import Book
from modelctl.recorder.ledger import Place, key_of
from modelctl.recorder.paths import EQUAL, OTHER

_JOINT = {(True, False): "raw", (False, True): "noise", (True, True): "both", (False, False): "neither"}


class Contrast(NamedTuple):
    """How one pair's two answers compare: whether they agree (None without two predictions), and the places that differ."""

    place: Place
    agree: bool | None
    differing: frozenset[str]


class Joint(NamedTuple):
    """One request's pair with the candidate, and its pair with the second copy of the baseline."""

    candidate: Contrast
    copy: Contrast


def contrast(place: Place, agree: bool | None, *, paths: tuple[tuple[str, str], ...]) -> Contrast:
    """The contrast of a pair whose places compare as `paths` says. Places beyond the limit have no name, so they are left out."""
    return Contrast(place, agree, frozenset(path for path, found in paths if found != EQUAL and path != OTHER))


def add_joint(book: Book, joint: Joint) -> None:
    """Adds one request to the candidate's noise floor."""
    place = joint.candidate.place
    book.ledger.add(place, "funnel", key="noise")
    if joint.candidate.agree is None or joint.copy.agree is None:
        return
    book.ledger.add(place, "noise", key=_JOINT[not joint.candidate.agree, not joint.copy.agree])
    raw, noise = joint.candidate.differing, joint.copy.differing
    found = {(book.path(place, path), _JOINT[path in raw, path in noise]) for path in raw | noise}
    for path, kind in sorted(found):
        book.ledger.add(place, "noise_field", key=key_of(path, kind))
