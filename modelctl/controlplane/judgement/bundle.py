"""The evidence of one decision in one file: all that it was computed from, what came out, and how to check that again. Pure.

A bundle is JSON with sorted keys, so the same evidence gives the same bytes. docs/statistics.md shows how to recompute a verdict
from one without this program.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from modelctl.controlplane.judgement.comparing import compare
from modelctl.controlplane.judgement.comparison import Evidence, Row
from modelctl.controlplane.judgement.funnel import funnels_of
from modelctl.controlplane.judgement.judging import Judgement, judge_compared
from modelctl.controlplane.judgement.needed import metrics_for
from modelctl.controlplane.judgement.sums import Sums
from modelctl.errors import Corrupt
from modelctl.rollout import Rollout, Stage
from modelctl.store.summing import Sum

VERSION = 1
TOLERANCE = 1e-9
"""Relative: numbers that differ by less are the same."""

_DECLARED = ("strategy", "baseline", "candidates", "steps", "unit", "gates", "conduct", "fields", "dimensions")
"""What the SHA-256 is of, as JSON with sorted keys and no spaces."""

_WORDING = frozenset({"sentence", "needs", "commands", "margins", "reason", "forecast", "title", "faults"})
"""What may be said in other words by another version."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is the Unix millisecond of the judgement, `watermark` the last minute (Unix time / 60 s) there is evidence of.

    `sha256` is that of the rollout's configuration: what was declared before the data.
    """

    bundle_version: int = VERSION
    at: int
    watermark: int | None
    sha256: str
    rollout: Rollout
    stages: tuple[Stage, ...]
    pivots: dict[str, float]
    looks: tuple[float, ...] = ()
    sums: tuple[Sum, ...]
    results: tuple[Row, ...]
    judgement: Judgement


class Difference(msgspec.Struct, frozen=True):
    """A place in the bundle, what stands there, and what was computed again; as JSON."""

    place: str
    written: str
    recomputed: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """`word` is the verdict that was computed again. Without differences the bundle is confirmed."""

    word: str
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def write_bundle(evidence: Evidence, judgement: Judgement, *, at: int) -> bytes:
    """The bundle of `judgement`, made at Unix millisecond `at`."""
    wanted = frozenset(metrics_for(evidence.rollout))
    sums = sorted((row for row in evidence.sums.rows if row.metric in wanted), key=_place)
    bundle = Bundle(
        at=at,
        watermark=evidence.newest,
        sha256=configuration_hash(evidence.rollout),
        rollout=evidence.rollout,
        stages=evidence.stages,
        pivots=evidence.pivots,
        looks=evidence.looks,
        sums=tuple(sums),
        results=tuple(one.row for one in compare(evidence, at=at)),
        judgement=judgement,
    )
    return msgspec.json.encode(bundle, order="deterministic")


def read_bundle(body: bytes) -> Bundle:
    """Raises Corrupt."""
    try:
        bundle = msgspec.json.decode(body, type=Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"this is no evidence bundle: {error}") from error
    if bundle.bundle_version != VERSION:
        raise Corrupt(f"the bundle has version {bundle.bundle_version}, this program reads version {VERSION}")
    return bundle


def recompute(body: bytes) -> Verification:
    """Judges the bundle's evidence again. Raises Corrupt when it is no bundle."""
    bundle, written = read_bundle(body), msgspec.json.decode(body)
    evidence = Evidence(
        rollout=bundle.rollout,
        stages=bundle.stages,
        sums=Sums(bundle.sums),
        pivots=bundle.pivots,
        newest=bundle.watermark,
        looks=bundle.looks,
    )
    compared = compare(evidence, at=bundle.at)
    again = msgspec.structs.replace(
        bundle,
        sha256=_hash(written["rollout"]),
        results=tuple(one.row for one in compared),
        judgement=judge_compared(evidence, compared, at=bundle.at, funnels=funnels_of(evidence)),
    )
    found = _differences(_checked(written), _checked(msgspec.json.decode(msgspec.json.encode(again))), place="")
    return Verification(word=again.judgement.word, differences=tuple(found))


def configuration_hash(rollout: Rollout) -> str:
    """SHA-256, in hex, of what was declared before the data: arms, ladder, unit, gates, conduct and own metrics."""
    return _hash(msgspec.to_builtins(rollout))


def _hash(rollout: Mapping[str, Any]) -> str:
    """Of the JSON that was written, not of what this version makes of it: a field that is new here is not in older bundles."""
    declared = {name: rollout.get(name) for name in _DECLARED}
    return hashlib.sha256(msgspec.json.encode(declared, order="sorted")).hexdigest()


def _place(row: Sum) -> tuple[int, str, str, str]:
    return row.stage, row.arm, row.metric, row.key


def _checked(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in ("sha256", "results", "judgement")}


def _differences(written: Any, again: Any, *, place: str) -> Iterator[Difference]:  # noqa: ANN401 - any JSON
    if isinstance(written, dict) and isinstance(again, dict):
        # What a newer version adds to a row was not claimed by this bundle.
        for key in sorted(written.keys() - _WORDING):
            yield from _differences(written.get(key), again.get(key), place=f"{place}.{key}" if place else key)
    elif isinstance(written, (list, tuple)) and isinstance(again, (list, tuple)) and len(written) == len(again):
        for number, (one, other) in enumerate(zip(written, again, strict=True)):
            yield from _differences(one, other, place=f"{place}[{number}]")
    elif not _same(written, again):
        yield Difference(place, msgspec.json.encode(written).decode(), msgspec.json.encode(again).decode())


def _same(written: object, again: object) -> bool:
    if isinstance(written, (int, float)) and isinstance(again, (int, float)):
        return math.isclose(written, again, rel_tol=TOLERANCE, abs_tol=0.0) or written == again
    return written == again
