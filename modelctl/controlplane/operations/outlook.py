"""How long until a rollout can decide, from what it declares and what the route did lately."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from modelctl.conduct import Conduct
from modelctl.controlplane.judgement.rungs import rungs_of
from modelctl.controlplane.judgement.sums import Sums
from modelctl.controlplane.operations.terms import AskedGates, ConductChanges, Terms, check_gates, read_terms
from modelctl.controlplane.planning.assuming import GIVEN, OBSERVED, Baseline
from modelctl.controlplane.planning.forecasting import Seen
from modelctl.controlplane.planning.past import recall
from modelctl.controlplane.planning.plan import GatePlan, StepPlan, plan_gates, plan_steps, suggestions
from modelctl.controlplane.planning.reach import unreachable
from modelctl.controlplane.planning.setting import Setting
from modelctl.controlplane.strategies import plan as ladder_of
from modelctl.controlplane.strategies import recipe_for
from modelctl.errors import InvalidInput
from modelctl.rollout import Rollout
from modelctl.statistics.forecast import duration
from modelctl.store import catalog as store
from modelctl.store import summing
from modelctl.store.catalog import RouteEntry
from modelctl.store.engine import reading

_SEEN = ("requests", "pair_error")
_USUAL_SHARE = 500
_NOBODY = "candidate"  # stands for a candidate that was not named


class PlanBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be planned. Without a strategy: the open rollout, or a canary of 5 %; without gates: the suggested ones.

    `rate` is requests a second in place of the observed rate; `baselines` are by metric, in place of what was observed.
    """

    strategy: str | None = None
    candidates: tuple[str, ...] = ()
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    gates: AskedGates | None = None
    conduct: ConductChanges | None = None
    rate: float | None = None
    baselines: dict[str, Baseline] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate < 1e9:
            raise InvalidInput(f"a rate of {self.rate} requests a second plans nothing: give one above 0")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long until a decision. `rollout` is the open rollout it is about, None for one that would be started.

    `step` is that of `steps` which `gates` are planned at. `rate` is requests a second: `rate_from` is given, observed or unknown.
    `suggested` says that nobody declared these gates. `requests` and `seconds` are those of the slowest gate from now on; None when
    they are not known, or never. `refusal` says why it could not be started with its maximum.
    """

    route: str
    rollout: int | None
    strategy: str
    candidates: tuple[str, ...]
    step: int
    steps: tuple[StepPlan, ...]
    conduct: Conduct
    rate: float | None
    rate_from: str
    suggested: bool
    gates: tuple[GatePlan, ...]
    requests: float | None
    seconds: float | None
    refusal: str = ""
    notes: tuple[str, ...] = ()


def plan_rollout(engine: Engine, route: str, *, wanted: PlanBody, at: int) -> Plan:
    """The forecast of the route's open rollout, or of the one that is `wanted`, at Unix microsecond `at`. Changes nothing.

    Raises NotFound, and InvalidInput for what could not be started either.
    """
    with reading(engine) as connection:
        catalog = store.load(connection)
        asked = _asked(catalog.route(route), wanted, standing=catalog.open_rollout(route))
        settings = settings_of(connection, asked, at=at, given=wanted.baselines)
    # The candidate that gets least decides last.
    setting = min(settings, key=lambda one: one.ladder[one.at].counted)
    if wanted.rate is not None:
        setting = replace(setting, rate=wanted.rate)
    suggested = not setting.gates
    if suggested:
        setting = replace(setting, gates=suggestions(setting))
    return _plan(asked, setting, given=wanted.rate is not None, suggested=suggested, at=at)


def settings_of(
    connection: Connection, rollout: Rollout, *, at: int, given: Mapping[str, Baseline] = MappingProxyType({})
) -> tuple[Setting, ...]:
    """What a plan of this rollout depends on, for each candidate. An id of 0 is a rollout that is not stored yet."""
    names = [own.name for own in rollout.fields]
    past = recall(connection, rollout.route, baseline=rollout.baseline, fields=names, at=at)
    sums = Sums(summing.sums(connection, rollout.route, rollout=rollout.id, metrics=_SEEN)) if rollout.id else Sums(())
    return tuple(
        Setting(
            gates=rollout.gates,
            conduct=rollout.conduct,
            ladder=rungs_of(rollout.steps, candidate),
            at=rollout.step,
            candidates=len(rollout.candidates),
            fields=rollout.fields,
            past=past,
            rate=past.rate,
            given=given,
            seen=Seen(
                requests=sums.n(rollout.baseline, "requests") + sums.n(candidate, "requests"),
                alone=sums.n(candidate, "requests"),
                pairs=sums.n(candidate, "pair_error"),
            ),
        )
        for candidate in rollout.candidates
    )


def _asked(route: RouteEntry, wanted: PlanBody, *, standing: Rollout | None) -> Rollout:
    """The rollout as it is or would be started, checked like one that is."""
    if standing is not None and wanted.strategy is None and not wanted.parameters:
        terms = read_terms(wanted.gates, wanted.conduct, standing=standing)
        planned = msgspec.structs.replace(standing, gates=terms.gates, conduct=terms.conduct)
    else:
        planned = _imagined(route, wanted, terms=read_terms(wanted.gates, wanted.conduct, standing=None))
    check_gates(planned)
    return planned


def _imagined(route: RouteEntry, wanted: PlanBody, *, terms: Terms) -> Rollout:
    strategy = wanted.strategy or "canary"
    parameters = wanted.parameters or ({"percent_bp": _USUAL_SHARE} if strategy == "canary" else {})
    recipe = recipe_for(strategy, parameters)
    named = tuple(name for name in recipe.named if name != route.baseline)
    candidates = wanted.candidates or named or (_NOBODY if route.baseline != _NOBODY else f"other-{_NOBODY}",)
    return Rollout(
        id=0,
        route=route.name,
        strategy=strategy,
        baseline=route.baseline,
        candidates=candidates,
        steps=ladder_of(recipe, route.baseline, candidates=candidates),
        salt="",
        opened_at=0,
        unit=route.unit,
        gates=terms.gates,
        conduct=terms.conduct,
        fields=route.fields,
        dimensions=route.dimensions,
    )


def _plan(asked: Rollout, setting: Setting, *, given: bool, suggested: bool, at: int) -> Plan:
    gates = plan_gates(setting, now=at)
    deciding = [gate for gate in gates if not gate.reason]
    return Plan(
        route=asked.route,
        rollout=asked.id or None,
        strategy=asked.strategy,
        candidates=asked.candidates if asked.id else (),
        step=setting.at,
        steps=plan_steps(setting),
        conduct=asked.conduct,
        rate=setting.rate,
        rate_from=GIVEN if given else OBSERVED if setting.rate else "unknown",
        suggested=suggested,
        gates=gates,
        seconds=_slowest([gate.seconds for gate in deciding]),
        requests=_slowest([gate.requests for gate in deciding]),
        refusal=unreachable(setting),
        notes=tuple(_notes(asked, setting)),
    )


def _slowest(values: list[float | None]) -> float | None:
    """The largest; None when one is not known, or there are none."""
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None


def _notes(asked: Rollout, setting: Setting) -> Iterator[str]:
    conduct = asked.conduct
    if asked.unit != "request":
        yield f"units ({asked.unit}) stay on one arm and their requests are alike, so more requests are needed than stand here"
    if setting.rate is None:
        yield "no request was seen in the last day: --rate 100/s says how many will come"
    if conduct.min_n > 1:
        yield f"nothing is promoted before {conduct.min_n:,} units of the candidate"
    waits = max(conduct.min_ms, conduct.bake_ms * len(asked.steps))
    if waits:
        yield f"the steps and the minimum duration take {duration(waits / 1000)} at least"
