"""Reading what a report is made of: one transaction, so that all of it is of one moment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from sqlalchemy import Engine as Database

from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.inquiry import evidence_of
from modelctl.controlplane.judgement.needed import metrics_for
from modelctl.controlplane.report.content import Findings
from modelctl.controlplane.report.differences import SAMPLE
from modelctl.controlplane.report.disagreement import Disagreement, Surroundings, disagreement, mistake
from modelctl.controlplane.report.examples import SliceExamples, Wanted, chosen, examples_of, slice_command, wanted_of
from modelctl.controlplane.report.over_time import looks_at
from modelctl.controlplane.report.slices import slices
from modelctl.errors import InvalidInput, NotFound
from modelctl.rollout import Rollout
from modelctl.store import catalog, reading, samples
from modelctl.store import engine as store
from modelctl.store.reading import Pair
from modelctl.store.slots import affordable, slots
from modelctl.store.summing import Part

WORST = 10
AUDIT = 200
_FAILURES = ("failures", "failures on the same requests")
_OF_ANSWERS = ("failures", "wrong predictions")

Named = tuple[str, str]
Slice = tuple[str, str, str]


def findings(engine: Database, route: str, *, rollout: int | None = None, named: Sequence[Named] = ()) -> Findings:
    """Everything for the report of the route's open rollout, else its last one, else the one asked for.

    Raises NotFound, and InvalidInput for a slice of what is no dimension of the rollout.

    `named` are slices, as dimension and value, that examples are wanted of beside those that stand out.
    """
    with store.reading(engine) as connection:
        chosen_ = _chosen(connection, route, rollout=rollout)
        _check_named(chosen_, named)
        evidence, rows = evidence_of(connection, chosen_)
        cut = slices(evidence)
        wanted = wanted_of(cut, named, candidates=chosen_.candidates)
        around = _around(connection, chosen_)
        whole = _part(evidence)
        part = affordable(connection, whole)
        return Findings(
            evidence=evidence,
            rows=rows,
            newest=evidence.newest,
            worst=_worst(connection, chosen_, around=around),
            audit=reading.events(connection, {"rollout": chosen_.id}, limit=AUDIT).items,
            cut=cut,
            slots=slots(connection, part, most=looks_at(chosen_)),
            without_path=frozenset(whole.metrics) - frozenset(part.metrics),
            examples=_examples(connection, chosen_, wanted=wanted, around=around),
            numbers=_numbers(connection, evidence),
        )


def _check_named(rollout: Rollout, named: Sequence[Named]) -> None:
    known = [one.name for one in rollout.dimensions]
    for dimension, _ in named:
        if dimension not in known:
            there = f"its dimensions are {', '.join(known)}" if known else "it has none; declare one: modelctl route dimension add"
            raise InvalidInput(f"rollout {rollout.id} is not sliced by {dimension!r}: {there}")


def _part(evidence: Evidence) -> Part:
    """What a judgement reads."""
    rollout = evidence.rollout
    return Part(
        route=rollout.route,
        rollout=rollout.id,
        stages=tuple(stage.id for stage in evidence.stages),
        arms=(rollout.baseline, *rollout.candidates),
        metrics=metrics_for(rollout),
    )


def _around(connection: Connection, rollout: Rollout) -> Surroundings:
    """Names that are no longer registered are left out: nothing can be asked of them."""
    known = catalog.load(connection)
    backends = {one.backend.name: one.backend for one in known.backends}
    arms = (rollout.baseline, *rollout.candidates)
    path = next((one.path for one in known.routes if one.name == rollout.route), "/")
    return Surroundings(backends={name: backends[name] for name in arms if name in backends}, path=path)


def _worst(connection: Connection, rollout: Rollout, *, around: Surroundings) -> tuple[Disagreement, ...]:
    found = [
        pair
        for candidate in rollout.candidates
        for pair in samples.worst_pairs(connection, rollout, candidate=candidate, limit=WORST)
    ]
    return _shown(connection, found[:WORST], around=around)


def _shown(connection: Connection, pairs: Sequence[Pair], *, around: Surroundings) -> tuple[Disagreement, ...]:
    asked = samples.asked_of(connection, [pair.prediction_id for pair in pairs])
    return tuple(disagreement(pair, replace(around, asked=asked)) for pair in pairs)


def _examples(
    connection: Connection, rollout: Rollout, *, wanted: Sequence[Wanted], around: Surroundings
) -> tuple[SliceExamples, ...]:
    """Of every wanted slice, in that order."""
    found: dict[Wanted, tuple[Disagreement, ...]] = {}
    for kind in dict.fromkeys(one[1] for one in wanted):
        mine = [(candidate, dimension, value) for candidate, of, dimension, value in wanted if of == kind]
        look = Look(connection=connection, rollout=rollout, failed=kind in _FAILURES, around=around)
        for (candidate, dimension, value), shown in (_mistakes if kind in _OF_ANSWERS else _disagreements)(look, mine).items():
            found[candidate, kind, dimension, value] = shown
    return tuple(examples_of(one, found[one], command=slice_command(rollout.route, one[2:], rollout=rollout.id)) for one in wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Where examples of one kind are looked for."""

    connection: Connection
    rollout: Rollout
    failed: bool
    around: Surroundings


def _disagreements(look: Look, wanted: Sequence[Slice]) -> dict[Slice, tuple[Disagreement, ...]]:
    rows = samples.pair_requests(look.connection, look.rollout, failed=look.failed)
    named = (((one.id, one.candidate), one) for one in rows)
    keys = chosen(named, look.rollout.dimensions, wanted=wanted)
    pairs = samples.pairs_of(look.connection, [key for mine in keys.values() for key in mine])
    return {
        one: _shown(look.connection, [pairs[key] for key in mine if key in pairs], around=look.around) for one, mine in keys.items()
    }


def _mistakes(look: Look, wanted: Sequence[Slice]) -> dict[Slice, tuple[Disagreement, ...]]:
    rows = samples.answer_rows(look.connection, look.rollout, failed=look.failed)
    found = chosen(((one, one.asked) for one in rows), look.rollout.dimensions, wanted=wanted)
    return {one: tuple(mistake(answered, look.around) for answered in mine) for one, mine in found.items()}


def _numbers(connection: Connection, evidence: Evidence) -> dict[str, tuple[tuple[float, float], ...]]:
    return {
        name: samples.differences(connection, evidence.rollout, candidate=name, limit=SAMPLE)
        for name in evidence.rollout.candidates
        if evidence.sums.n(name, "difference")
    }


def _chosen(connection: Connection, route: str, *, rollout: int | None) -> Rollout:
    if rollout is not None:
        found = catalog.find_rollout(connection, rollout)
        if found.route != route:
            raise NotFound(f"rollout {rollout} is of route {found.route!r}, not of {route!r}")
        return found
    last = catalog.last_rollout(connection, route)
    if last is None:
        catalog.load(connection).route(route)
        raise NotFound(f"route {route!r} has had no rollout yet, so there is nothing to report; start one: modelctl shadow {route}")
    return last
