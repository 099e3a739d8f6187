"""What the tests of this folder command and measure: a small catalog, and rollups written by hand."""

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Engine, insert

from modelctl.controlplane.operations.backends import add_backend
from modelctl.controlplane.operations.change import Author, Change
from modelctl.controlplane.operations.routes import NewRoute, add_route
from modelctl.controlplane.operations.starting import NewRollout, start_rollout
from modelctl.controlplane.strategies import plan, recipe_for
from modelctl.recorder.labels import Joiner
from modelctl.recorder.ledger import Admission
from modelctl.rollout import Rollout, Stage
from modelctl.store import summing
from modelctl.store.engine import writing
from modelctl.store.summing import Sum
from modelctl.store.tables import pair, prediction
from modelctl.traffic import Backend

AT = 1_700_000_000_000_000
ANN = Author(actor="ann", reason="because", at=AT)
SALT = "0123456789abcdef0123456789abcdef"


def backend(name: str, **changes: object) -> Backend:
    """A backend that nothing listens behind."""
    return Backend(name=name, endpoints=(f"http://{name}.test:8000",), **changes)  # type: ignore[arg-type]


def populate(engine: Engine, *names: str, route: str = "fraud", path: str = "/fraud") -> None:
    """Registers the backends, and a route whose baseline is the first of them."""
    for name in names:
        add_backend(engine, backend(name), author=ANN)
    add_route(engine, NewRoute(name=route, path=path, baseline=names[0]), author=ANN)


def start(engine: Engine, strategy: str = "canary", **wanted: object) -> Change[Rollout]:
    """A rollout, a 5% canary when nothing else is said."""
    parameters = wanted.pop("parameters", {"percent_bp": 500} if strategy == "canary" else {})
    order = NewRollout(strategy=strategy, parameters=parameters, **wanted)  # type: ignore[arg-type]
    return start_rollout(engine, order, author=ANN, salt=SALT)


def rollout(
    strategy: str,
    parameters: Mapping[str, object] = MappingProxyType({}),
    *,
    baseline: str = "a",
    candidates: tuple[str, ...] = ("b",),
) -> Rollout:
    """A rollout at its first step, as a value."""
    steps = plan(recipe_for(strategy, parameters), "a", candidates=candidates)
    return Rollout(
        id=1,
        route="fraud",
        strategy=strategy,
        baseline="a",
        candidates=candidates,
        steps=steps,
        stage=1,
        salt=SALT,
        opened_at=AT // 1000,
    )


def stages_of(of: Rollout) -> tuple[Stage, ...]:
    """One stage for each step, numbered from 1."""
    return tuple(Stage(id=number, rollout=of.id, arms=step.arms, opened_at=AT // 1000) for number, step in enumerate(of.steps, 1))


def counts(arm: str, metric: str, by_key: Mapping[str, int], *, stage: int = 1) -> list[Sum]:
    """Sums that only count."""
    return [Sum(stage, arm, metric, key, n) for key, n in by_key.items()]


def served(arm: str, n: int, failures: int, *, stage: int = 1) -> list[Sum]:
    """The sums of `n` answers of which some failed."""
    return [
        Sum(stage, arm, "requests", "ok", n - failures),
        Sum(stage, arm, "requests", "backend_error", failures),
        Sum(stage, arm, "units", "", n),
        Sum(stage, arm, "error", "", n, failures),
    ]


def store_sums(engine: Engine, sums: list[Sum], *, rollout: int, minute: int = AT // 60_000_000) -> None:
    """Writes the sums as a recorder would."""
    rows = [
        {
            "route": "fraud",
            "rollout": rollout,
            "stage": one.stage,
            "arm": one.arm,
            "metric": one.metric,
            "key": one.key,
            "minute": minute,
            "n": one.n,
            "k": one.k,
            "s1": one.s1,
            "s2": one.s2,
            "sp": one.sp,
        }
        for one in sums
    ]
    with writing(engine) as connection:
        summing.add(connection, rows)


def store_prediction(engine: Engine, id_: str, **columns: object) -> None:
    """A row of `prediction`: an ok answer of arm a in rollout 1, but for `columns`."""
    row: dict[str, object] = {
        "id": id_,
        "request_id": f"request-{id_}",
        "at": AT,
        "route": "fraud",
        "rollout": 1,
        "stage": 1,
        "table_version": 1,
        "arm": "a",
        "role": "baseline",
        "reason": "split",
        "probability": 9500,
        "method": "POST",
        "target": "/fraud",
        "status": 200,
        "outcome": "ok",
        "latency_us": 1500,
        "first_byte_us": 1200,
        "request_body": b'{"amount": 1}',
        "answer_body": b'{"prediction": "x"}',
    }
    with writing(engine) as connection:
        connection.execute(insert(prediction).values(row | columns))


def store_pair(engine: Engine, id_: str, **columns: object) -> None:
    """A row of `pair`: both answered ok, a is the baseline and b the candidate, but for `columns`."""
    row: dict[str, object] = {
        "prediction_id": id_,
        "candidate": "b",
        "request_id": f"request-{id_}",
        "at": AT,
        "route": "fraud",
        "rollout": 1,
        "stage": 1,
        "baseline": "a",
        "request_body": b'{"amount": 1}',
        "request_size": 13,
    }
    for side in ("baseline", "candidate"):
        row |= {f"{side}_outcome": "ok", f"{side}_status": 200, f"{side}_latency_us": 1500, f"{side}_body": b"{}"}
    with writing(engine) as connection:
        connection.execute(insert(pair).values(row | columns))


def join_feedback(engine: Engine) -> None:
    """Has the recorder put the feedback into the sums, as it does by itself where one runs."""
    joiner = Joiner(engine, Admission())
    while joiner.waits(at=AT + 3_600_000_000):
        joiner.join_some(at=AT + 3_600_000_000)
