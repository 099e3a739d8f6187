"""A rollout with a fault in one slice, as a recorder would have stored it: sums of several minutes, and some of the rows."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Engine

from modelctl.controlplane.operations.backends import add_backend
from modelctl.controlplane.operations.routes import NewRoute, add_route
from modelctl.controlplane.report.content import Report, write_report
from modelctl.controlplane.report.gathering import findings
from modelctl.metric import Dimension, DimensionSource
from modelctl.store.summing import Sum
from tests.controlplane.scene import ANN, AT, backend, counts, served, start, store_pair, store_prediction, store_sums

MINUTE = AT // 60_000_000
NOW = AT + 600_000_000
MINUTES = 4
DEVICES = ("phone", "tablet", "tv")
WRONG = {"phone": 40, "tablet": 2, "tv": 1}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e'\"`|"


def populate_sliced(engine: Engine) -> None:
    """A route sliced by device, with backends a and b."""
    for name in ("a", "b"):
        add_backend(engine, backend(name), author=ANN)
    device = Dimension(name="device", source=DimensionSource.REQUEST, place="/device")
    add_route(engine, NewRoute(name="fraud", path="/fraud", baseline="a", dimensions=(device,)), author=ANN)


def shadowed_by_device(engine: Engine, *gates: str) -> None:
    """Rollout 1: b shadows a. Of 50 pairs a minute from each device, b differs on WRONG of those, by device."""
    populate_sliced(engine)
    start(engine, "shadow", gates=gates)
    for minute in range(MINUTES):
        store_sums(engine, minute_of_pairs(), rollout=1, minute=MINUTE + minute)
    for device in DEVICES:
        for number in range(5):
            asked(engine, f"{number:02}{device:-<30}", {"device": device, "amount": number})


def minute_of_pairs() -> list[Sum]:
    """The sums of one minute."""
    n, wrong = 50 * len(DEVICES), sum(WRONG.values())
    sliced = [Sum(1, "b", "slice:agreement", f'["device","{device}"]', 50, WRONG[device]) for device in DEVICES]
    return [
        *served("a", n, 0),
        *counts("b", "pair_error", {"0": n}),
        *counts("b", "pair_accuracy", {"-": wrong, "0": n - wrong}),
        *counts("b", "agreement", {"equal": n - wrong, "different": wrong}),
        *counts("b", "confusion", {'["no","no"]': 80, '["no","yes"]': wrong, '["yes","yes"]': n - wrong - 80}),
        *counts("b", "funnel", {"eligible": n, "sampled": n, "sent": n, "answered": n, "parsed": n, "paired": n}),
        *counts("a", "latency", {"500": n}),
        *counts("b", "pair_latency", {"baseline:500": n, "candidate:520": n - 5, "candidate:600": 5}),
        *sliced,
        *counts("b", "slice:pair_error", {f'["device","{device}","0"]': 50 for device in DEVICES}),
    ]


def asked(engine: Engine, id_: str, document: Mapping[str, object], **columns: object) -> None:
    """One pair whose predictions differ, with its prediction."""
    body = msgspec.json.encode(document)
    mine = {"request_body": body, "request_size": len(body), "request_type": "application/json"}
    said = {"baseline_label": "no", "candidate_label": "yes", "agree": 0}
    store_pair(engine, id_, **(said | mine | columns))
    store_prediction(engine, id_, role="baseline", target="/fraud?x=1", **mine)


def report_of(engine: Engine, **wanted: object) -> Report:
    """The report at NOW."""
    return write_report(findings(engine, "fraud", **wanted), at=NOW)  # type: ignore[arg-type]
