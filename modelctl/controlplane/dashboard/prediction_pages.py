"""What was recorded: predictions with filters, one of them whole, and two answers side by side."""

import msgspec
from sqlalchemy import Connection, Engine
from starlette.responses import Response

from modelctl.controlplane.dashboard.side_by_side import beside, text_of
from modelctl.controlplane.dashboard.visit import Visit
from modelctl.controlplane.report.curl import Curl, curl, remark
from modelctl.controlplane.report.disagreement import predicted
from modelctl.errors import InvalidInput, NotFound
from modelctl.kinds.outcome import Outcome
from modelctl.store import browsing, reading, samples
from modelctl.store import catalog as store
from modelctl.store.browsing import Browsed, Wanted
from modelctl.store.engine import reading as transaction
from modelctl.store.reading import Body, Pair, Prediction, PredictionDetail

FILTERS = ("route", "arm", "outcome", "rollout", "request_id")


class Again(msgspec.Struct, frozen=True):
    """How to send a request again: a command for each backend that is still registered, and what is to be known of them."""

    commands: tuple[Curl, ...] = ()
    remark: str = ""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A page of predictions, and the candidates each was compared with."""

    page: Browsed[Prediction]
    pairs: dict[str, list[str]]


async def show_all(visit: Visit) -> Response:
    """The list, by route, arm, outcome, rollout or request."""
    asked = {name: visit.asked(name) for name in FILTERS}
    wanted = _wanted(asked)
    found = await visit.run(read_found, wanted, cursor=visit.asked("cursor"))
    return await visit.page("predictions.html", found=found, page=found.page, asked=asked, outcomes=[one.value for one in Outcome])


async def show(visit: Visit) -> Response:
    """One prediction with its request and answer."""
    detail, pairs, again = await visit.run(read_detail, visit.name())
    one = detail.prediction
    texts = {"request": text_of(detail.request), "answer": text_of(detail.answer)}
    return await visit.page("prediction.html", detail=detail, one=one, pairs=pairs, again_there=again, texts=texts)


async def show_pair(visit: Visit) -> Response:
    """Both answers to one request."""
    candidate = str(visit.request.path_params["candidate"])
    pair, again = await visit.run(read_pair, visit.name(), candidate=candidate)
    texts = {
        "request": text_of(pair.request),
        "baseline": text_of(pair.baseline.answer),
        "candidate": text_of(pair.candidate.answer),
    }
    return await visit.page(
        "pair.html",
        pair=pair,
        again_there=again,
        texts=texts,
        beside=beside(pair.baseline.answer, pair.candidate.answer),
        predicted=predicted,
    )


def read_found(engine: Engine, wanted: Wanted, *, cursor: str) -> Found:
    """One page of what is wanted."""
    with transaction(engine) as connection:
        page = browsing.predictions(connection, wanted, cursor=cursor)
        return Found(page=page, pairs=browsing.pairs_of(connection, [one.id for one in page.items]))


def read_detail(engine: Engine, prediction: str) -> tuple[PredictionDetail, list[str], Again]:
    """A prediction, the candidates it was compared with, and how to ask its backends again. Raises NotFound."""
    with transaction(engine) as connection:
        detail = reading.prediction_detail(connection, prediction)
        pairs = browsing.pairs_of(connection, [prediction]).get(prediction, [])
        one = detail.prediction
        return detail, pairs, _again(connection, (one.arm, *pairs), prediction=prediction, route=one.route, body=detail.request)


def read_pair(engine: Engine, prediction: str, *, candidate: str) -> tuple[Pair, Again]:
    """Both answers to a request, and how to ask for them again. Raises NotFound."""
    with transaction(engine) as connection:
        pair = browsing.find_pair(connection, prediction, candidate=candidate)
        if pair is None:
            raise NotFound(f"prediction {prediction!r} was not compared with {candidate!r}; it may have been removed by its age")
        names = (pair.baseline.backend, pair.candidate.backend)
        return pair, _again(connection, names, prediction=prediction, route=pair.route, body=pair.request)


def _again(connection: Connection, names: tuple[str, ...], *, prediction: str, route: str, body: Body) -> Again:
    asked = samples.asked_of(connection, [prediction]).get(prediction)
    if asked is None:
        return Again(remark=remark(None, body))
    path = store.find_route(connection, route).path
    entries = (store.find_backend(connection, name) for name in names)
    found = (curl(asked, body, backend=one.backend, path=path) for one in entries if one is not None and not one.removed_at)
    return Again(tuple(one for one in found if one is not None), remark(asked, body))


def _wanted(asked: dict[str, str]) -> Wanted:
    rollout = asked["rollout"]
    if rollout and not (rollout.isdecimal() and len(rollout) < 18):
        raise InvalidInput(f"{rollout!r} is no rollout: give its number")
    return Wanted(**(asked | {"rollout": int(rollout or 0)}))  # type: ignore[arg-type]
