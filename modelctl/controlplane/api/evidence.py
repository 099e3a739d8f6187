"""What was recorded and what it comes to, over HTTP: status, report, predictions, pairs, feedback, history."""

from typing import Literal

import msgspec
from starlette.responses import Response

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.operations.feedback import FeedbackItem, Taken, record_feedback
from modelctl.controlplane.operations.inspecting import read_events, read_pairs, read_predictions
from modelctl.controlplane.operations.searching import Example, Search, read_example, search_predictions
from modelctl.controlplane.report.content import Report, write_report
from modelctl.controlplane.report.curl import Curl, curl, remark
from modelctl.controlplane.report.disagreement import preview
from modelctl.controlplane.report.gathering import findings
from modelctl.controlplane.report.markdown import markdown
from modelctl.controlplane.report.page import PAGE_HEADERS, page
from modelctl.controlplane.report.status import Status, read_status
from modelctl.errors import InvalidInput
from modelctl.kinds import Value
from modelctl.store.catalog import Event
from modelctl.store.reading import Body, Page, Pair, Prediction, Side


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One route or all; `limit` items behind `cursor`, which is the `next` of the page before."""

    route: str | None = None
    limit: int = 100
    cursor: str | None = None


class PredictionQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Predictions that have all the given values. `where` (such as `label=fraud and latency>250ms`) and `since` (Unix
    microseconds) look through one route: a page may then hold fewer than `limit` and still have a `next`."""

    arm: str | None = None
    outcome: str | None = None
    request_id: str | None = None
    where: str = ""
    since: int = 0


class PairQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pairs that have all the given values; `agree` is 0 or 1."""

    rollout: int | None = None
    agree: Literal[0, 1] | None = None


class StatusQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One route or all."""

    route: str | None = None


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rollout other than the open or last one; the format, which is html for a browser and json for others unless it is said;
    `slice`, as DIMENSION=VALUE: a slice that examples are wanted of beside those that stand out."""

    rollout: int | None = None
    format: Literal["json", "md", "html"] | None = None
    slice: str = ""


class BodyView(msgspec.Struct, frozen=True, kw_only=True):
    """A captured body: its beginning as text, and how many bytes it had. `note` says that sampling left it out."""

    content_type: str
    encoding: str
    size: int
    preview: str
    note: str = ""


class PredictionView(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction with its request and answer. `values` holds those of all instances when there were several.

    `pairs` are both answers where candidates were shown the request; `commands` ask each backend again, `remark` says what is to
    be known of them, or why there are none.
    """

    prediction: Prediction
    values: tuple[Value, ...]
    request: BodyView
    answer: BodyView
    pairs: tuple["PairView", ...] = ()
    commands: tuple[Curl, ...] = ()
    remark: str = ""


class SideView(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two answers of a pair. `ended` is `clean` when it ended as HTTP says, `cut` when it broke off or never came."""

    backend: str
    outcome: str
    status: int
    failure: str
    ended: str
    latency_us: int
    first_event_us: int
    label: str | None
    number: float | None
    text: str | None
    values: tuple[Value, ...]
    problem: str
    answer: BodyView


class PairView(msgspec.Struct, frozen=True, kw_only=True):
    """Both answers to one request. `ended` is `clean` when both are."""

    prediction_id: str
    request_id: str
    at: int
    route: str
    rollout: int
    stage: int
    agree: bool | None
    difference: float | None
    instances: int
    instances_agreeing: int
    ended: str
    baseline: SideView
    candidate: SideView
    request: BodyView


async def show_status(call: Call) -> Status:
    plane = call.plane
    return await call.run(read_status, call.query.route, workers=plane.fleet.workers(), at=call.at, spools=plane.replayer.spools)


async def show_report(call: Call) -> Report | Response:
    query = call.query
    found = await call.run(findings, call.name(), rollout=query.rollout, named=_named(query.slice))
    report = await call.run(lambda _: write_report(found, at=call.at))
    wants_page = query.format is None and "text/html" in call.request.headers.get("accept", "")
    if query.format == "md":
        return Response(markdown(report), media_type="text/markdown; charset=utf-8")
    if query.format == "html" or wants_page:
        content = await call.run(lambda _: page(report))
        return Response(content, media_type="text/html; charset=utf-8", headers=PAGE_HEADERS)
    return report


def _named(text: str) -> tuple[tuple[str, str], ...]:
    """The slice in DIMENSION=VALUE; none when nothing is asked for. Raises InvalidInput."""
    dimension, equals, value = text.partition("=")
    if text and not (dimension and equals):
        raise InvalidInput(f"{text!r} is no slice: write DIMENSION=VALUE, such as device=phone")
    return ((dimension, value),) if text else ()


async def list_predictions(call: Call) -> Page[Prediction]:
    query = call.query
    if query.where or query.since:
        return await call.run(search_predictions, _search(query), limit=query.limit)
    where = {name: getattr(query, name) for name in ("route", "arm", "outcome", "request_id")}
    return await call.run(read_predictions, where, limit=query.limit, cursor=query.cursor)


def _search(query: PredictionQuery) -> Search:
    """What both ways of asking say together. Raises InvalidInput."""
    if not query.route:
        raise InvalidInput("`where` and `since` look through the predictions of one route: name it in `route`")
    named = (("arm", query.arm), ("outcome", query.outcome), ("request", query.request_id))
    for name, value in named:
        if value and '"' in value:
            raise InvalidInput(f"{name} is {value!r}: beside `where` and `since` it cannot hold a quotation mark")
    where = " and ".join([f'{name}="{value}"' for name, value in named if value] + ([query.where] if query.where else []))
    return Search(route=query.route, where=where, since=query.since, cursor=query.cursor or "")


async def show_prediction(call: Call) -> PredictionView:
    example = await call.run(read_example, call.name())
    found = example.detail
    return PredictionView(
        prediction=found.prediction,
        values=_values(found.values_json),
        request=_body(found.request),
        answer=_body(found.answer),
        pairs=tuple(_pair(pair) for pair in example.pairs),
        commands=_commands(example),
        remark=remark(example.asked, found.request),
    )


def _commands(example: Example) -> tuple[Curl, ...]:
    if example.asked is None:
        return ()
    found = (curl(example.asked, example.detail.request, backend=one, path=example.path) for one in example.backends)
    return tuple(one for one in found if one is not None)


async def list_pairs(call: Call) -> Page[PairView]:
    query = call.query
    where = {name: getattr(query, name) for name in ("route", "rollout", "agree")}
    page = await call.run(read_pairs, where, limit=query.limit, cursor=query.cursor)
    return Page(tuple(_pair(pair) for pair in page.items), page.next)


async def take_feedback(call: Call) -> Taken:
    items = call.body if isinstance(call.body, list) else [call.body]
    return await call.run(record_feedback, items, at=call.at)


async def list_events(call: Call) -> Page[Event]:
    return await call.run(read_events, call.query.route, limit=call.query.limit, cursor=call.query.cursor)


def _values(text: str | None) -> tuple[Value, ...]:
    return msgspec.json.decode(text or "[]", type=tuple[Value, ...])


def _body(body: Body) -> BodyView:
    return BodyView(content_type=body.content_type, encoding=body.encoding, size=body.size, preview=preview(body), note=body.note)


def _side(side: Side) -> SideView:
    fields = msgspec.structs.asdict(side) | {"answer": _body(side.answer)}
    return SideView(values=_values(fields.pop("values_json")), **fields)


def _pair(pair: Pair) -> PairView:
    sides = {"baseline": _side(pair.baseline), "candidate": _side(pair.candidate), "request": _body(pair.request)}
    return PairView(**(msgspec.structs.asdict(pair) | sides))


ENDPOINTS = (
    Endpoint(
        method="GET", path="/v1/status", handle=show_status, summary="What every route does now", query=StatusQuery, answer=Status
    ),
    Endpoint(
        method="GET",
        path="/v1/routes/{name:name}/report",
        handle=show_report,
        summary="The comparison of a route's open or last rollout, as JSON, Markdown or a page",
        query=ReportQuery,
        answer=Report,
    ),
    Endpoint(
        method="GET",
        path="/v1/predictions",
        handle=list_predictions,
        summary="List predictions, the newest first",
        query=PredictionQuery,
        answer=Page[Prediction],
    ),
    Endpoint(
        method="GET",
        path="/v1/predictions/{name:name}",
        handle=show_prediction,
        summary="Show a prediction with its request and answer",
        answer=PredictionView,
    ),
    Endpoint(
        method="GET",
        path="/v1/pairs",
        handle=list_pairs,
        summary="List pairs, the newest first",
        query=PairQuery,
        answer=Page[PairView],
    ),
    Endpoint(
        method="POST",
        path="/v1/feedback",
        handle=take_feedback,
        summary="Report what turned out to be true for one request, or for up to 1000",
        body=FeedbackItem | list[FeedbackItem],
        answer=Taken,
    ),
    Endpoint(
        method="GET",
        path="/v1/events",
        handle=list_events,
        summary="The history, the newest first",
        query=Query,
        answer=Page[Event],
    ),
)
