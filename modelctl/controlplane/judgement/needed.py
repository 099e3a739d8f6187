"""Which rollups a judgement reads: no more, so that it costs the same however much else is recorded. Pure."""

from modelctl.controlplane.judgement.measured import slow_rollup
from modelctl.gate import Gate
from modelctl.metric import Source, metric_named
from modelctl.rollout import Rollout

_ALWAYS = (
    *("requests", "units", "error", "pair_error", "funnel", "agreement", "similarity"),
    *("difference", "number", "pair_number", "labelled", "first_unit", "first_error", "unit:error"),
    *("dropped", "pair_dropped"),
)
_OWN = {"slow_rate": ("latency",), "timeout_rate": ("pair_timeout", "first_timeout", "unit:timeout")}
_NAMES = {"error_rate": "error", "prediction": "number"}


def metrics_for(rollout: Rollout) -> tuple[str, ...]:
    """Their names, sorted."""
    return tuple(sorted({*_ALWAYS, *(name for gate in rollout.gates for name in _metrics(gate, rollout))}))


def _metrics(gate: Gate, rollout: Rollout) -> tuple[str, ...]:
    metric = metric_named(gate.metric, rollout.fields)
    if metric.name == "slow_rate" and rollout.unit != "request":
        return ("latency", f"unit:{slow_rollup(gate)}", f"first_{slow_rollup(gate)}")
    if gate.slice is not None:
        name = _NAMES.get(metric.name, metric.name)
        return (f"slice:{name}", f"slice:pair_{name}")
    if metric.is_of_pairs:
        return ()  # read for every rollout
    if metric.name in _OWN:
        return _OWN[metric.name]
    name = f"field:{metric.name}" if metric.source is Source.FIELD else _NAMES.get(metric.name, metric.name)
    return (name, f"pair_{name}", f"unit:{name}")
