"""Whose records were dropped: counts by route, rollout, stage, arm and reason, until they have been told.

A dropped record is looked into for its place only, not decoded. What says nothing about an arm (a preview, a rule, an addressed
arm, a fallback, a tunnel, a client that left) is not counted here, as it would not have been evidence.
"""

from collections.abc import Iterable, Sequence
from time import time_ns
from typing import NamedTuple

import msgspec

from modelctl.evidence import CLIENT_GONE, Context, Dropped, Drops, frames
from modelctl.traffic import CHOSEN, Reason

MOST = 1_000
"""Different places and reasons that are told apart at once; the totals of a tally count what is beyond."""

_APART = CHOSEN | {Reason.FALLBACK}
_SWITCHED = 101


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of an Answer."""

    backend: str
    status: int
    failure: str


class _Served(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """The beginning of a Served."""

    id: msgspec.Raw
    request_id: msgspec.Raw
    at: int
    context: Context
    request: msgspec.Raw
    answer: _Answer


class _Compared(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """The beginning of a Compared."""

    served: _Served
    shadow: _Answer


class _Key(NamedTuple):
    route: str
    rollout: int
    stage: int
    arm: str
    pair: bool
    reason: str


_decode = msgspec.msgpack.Decoder(_Served | _Compared).decode


class DropBook:
    """The counts that were not told yet. False when there are none."""

    def __init__(self) -> None:
        self._counts: dict[_Key, int] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def note(self, payload: bytes, reason: str) -> None:
        """An encoded record was dropped."""
        key = _key(payload, reason)
        if key is not None:
            self._add(key, 1)

    def note_frames(self, pieces: Sequence[bytes], reason: str) -> None:
        """The frames whose bytes these are were dropped."""
        for payload, _ in frames(b"".join(pieces)):
            self.note(payload, reason)

    def add(self, dropped: Iterable[Dropped]) -> None:
        """What somebody else counted."""
        for one in dropped:
            self._add(_Key(one.route, one.rollout, one.stage, one.arm, one.pair, one.reason), one.n)

    def told(self) -> Drops:
        """The counts as a record."""
        return Drops(time_ns() // 1000, self._dropped())

    def take(self) -> tuple[Dropped, ...]:
        """The counts, which begin anew."""
        if not self._counts:
            return ()
        taken = self._dropped()
        self._counts = {}
        return taken

    def _dropped(self) -> tuple[Dropped, ...]:
        return tuple(Dropped(*key, n) for key, n in self._counts.items())

    def _add(self, key: _Key, n: int) -> None:
        if key in self._counts or len(self._counts) < MOST:
            self._counts[key] = self._counts.get(key, 0) + n


def _key(payload: bytes, reason: str) -> _Key | None:
    """Where the record would have counted; None for one that says nothing about an arm."""
    try:
        record = _decode(payload)
    except msgspec.DecodeError:  # a tally, or what no worker writes
        return None
    served, answers = (record, (record.answer,)) if isinstance(record, _Served) else (record.served, _both(record))
    context = served.context
    if context.reason in _APART or any(one.failure == CLIENT_GONE or one.status == _SWITCHED for one in answers):
        return None
    return _Key(context.route, context.rollout, context.stage, answers[-1].backend, len(answers) > 1, reason)


def _both(record: _Compared) -> tuple[_Answer, ...]:
    return (record.served.answer, record.shadow)
