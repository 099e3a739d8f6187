"""What feedback says about the answers to its request, added to the sums, or taken back. Pure.

accuracy        of labels: right when it is the label that was true
absolute_error  of numbers, where the truth is a number
log_loss        of labels with a probability p: -ln p when right, else -ln(1 - p), which is exact for two classes and the least it
                can be for more; of numbers in 0..1 where the truth is 0 or 1 (false or true). Clipped to 1e-15 from both ends
brier           the square of 1 - p or p, in the same cases
reward          of the answer the client got
"""

import math
from typing import NamedTuple

from modelctl.recorder.book import Book
from modelctl.recorder.ledger import Pivot, Place, key_of, pivot_for
from modelctl.recorder.measuring import SUMMABLE

TRUTH, REWARD = "truth", "reward"
_CLIP = 1e-15
_SIGN = {1: "-", 0: "0", -1: "+"}
LOSSES = ("log_loss", "brier", "absolute_error")


class Fact(NamedTuple):
    """What turned out for a request: a truth or a reward."""

    kind: str
    label: str
    number: float | None


class Said(NamedTuple):
    """What one answer predicted: that of its first instance."""

    label: str | None = None
    number: float | None = None
    probability: float | None = None


class Answered(NamedTuple):
    """A recorded prediction that feedback is joined to. `unit` is None where units are not kept on their arm."""

    place: Place
    said: Said
    unit: str | None = None
    slices: tuple[tuple[str, str], ...] = ()


class Paired(NamedTuple):
    """A recorded pair that feedback is joined to; the place is the candidate's."""

    place: Place
    baseline: Said
    candidate: Said


Target = Answered | Paired


def reward_pivots(target: Target, fact: Fact) -> dict[Pivot, float]:
    """What rewards are shifted by: the first one, rounded to three digits."""
    if fact.kind != REWARD or fact.number is None or isinstance(target, Paired):
        return {}
    return {pivot_for(target.place, REWARD): float(f"{fact.number:.3g}")}


def add_fact(book: Book, target: Target, *, fact: Fact, sign: int = 1) -> None:
    """Adds what `fact` says about `target`; with the sign -1 takes it back."""
    if isinstance(target, Paired):
        if fact.kind == TRUTH:
            _add_pair(book, target, fact=fact, sign=sign)
    elif fact.kind == TRUTH:
        _add_truth(book, target, fact=fact, sign=sign)
    elif fact.number is not None and abs(fact.number) < SUMMABLE:
        _add_mean(book, target, metric=REWARD, value=fact.number - book.pivot(target.place, REWARD), sign=sign)


def right(said: Said, fact: Fact) -> bool | None:
    """Whether the predicted label was the true one; None without a label."""
    return None if said.label is None else said.label == fact.label


def losses(said: Said, fact: Fact) -> dict[str, float]:
    """The losses that can be told, by metric."""
    found: dict[str, float] = {}
    probability = _probability_of_truth(said, fact)
    if probability is not None:
        found["log_loss"] = -math.log(min(max(probability, _CLIP), 1 - _CLIP))
        found["brier"] = (1 - probability) ** 2
    if said.number is not None and fact.number is not None:
        error = abs(said.number - fact.number)
        if error < SUMMABLE:
            found["absolute_error"] = error
    return found


def _probability_of_truth(said: Said, fact: Fact) -> float | None:
    if said.label is not None:
        if said.probability is None:
            return None
        return said.probability if said.label == fact.label else 1 - said.probability
    if said.number is None or not 0 <= said.number <= 1 or fact.number not in (0, 1):
        return None
    return said.number if fact.number else 1 - said.number


def _add_truth(book: Book, target: Answered, *, fact: Fact, sign: int) -> None:
    book.ledger.add(target.place, "labelled", n=sign)
    correct = right(target.said, fact)
    if correct is not None:
        book.ledger.add(target.place, "accuracy", n=sign, k=sign * correct)
        _change(book, target, metric="accuracy", n=sign, s=sign * correct)
        for named in target.slices:
            key = key_of(*book.slice_of(target.place, named))
            book.ledger.add(target.place, "slice:accuracy", key=key, n=sign, k=sign * correct)
    for metric, value in losses(target.said, fact).items():
        _add_mean(book, target, metric=metric, value=value, sign=sign)


def _add_mean(book: Book, target: Answered, *, metric: str, value: float, sign: int) -> None:
    book.ledger.add(target.place, metric, n=sign, products=(sign * value, sign * value * value, 0))
    _change(book, target, metric=metric, n=sign, s=sign * value)


def _change(book: Book, target: Answered, *, metric: str, n: int, s: float) -> None:
    if target.unit is not None:
        book.units.change(book.ledger, target.place, unit=target.unit, metric=metric, n=n, s=s)


def _add_pair(book: Book, pair: Paired, *, fact: Fact, sign: int) -> None:
    """A candidate without the label that the baseline has was wrong: dropping such pairs would hide its failures."""
    a, b = right(pair.baseline, fact), right(pair.candidate, fact)
    if a is not None or b is not None:
        book.ledger.add(pair.place, "pair_accuracy", key=_SIGN[int(bool(a)) - int(bool(b))], n=sign)
    if b is not None:
        book.ledger.add(pair.place, "shown_accuracy", n=sign, k=sign * b)
    before, after = losses(pair.baseline, fact), losses(pair.candidate, fact)
    for metric in (name for name in LOSSES if name in before and name in after):
        loss = after[metric] - before[metric]
        book.ledger.add(pair.place, f"pair_{metric}", n=sign, products=(sign * loss, sign * loss * loss, 0))
    if "absolute_error" in after:
        error = after["absolute_error"]
        book.ledger.add(pair.place, "shown_absolute_error", n=sign, products=(sign * error, sign * error * error, 0))
