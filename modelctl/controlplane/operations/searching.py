"""Looking for predictions, and for both answers to one request."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from modelctl.controlplane.filtering import Slicing, parse_filter
from modelctl.errors import InvalidInput, NotFound
from modelctl.evidence import Request
from modelctl.kinds.document import ABSENT, document_of
from modelctl.kinds.slicing import Asked, slices_of, wants_document
from modelctl.metric import Dimension
from modelctl.store import catalog, reading, samples, searching
from modelctl.store import engine as store
from modelctl.store.reading import MAX_PAGE, Page, Pair, Prediction, PredictionDetail
from modelctl.store.searching import Recorded, Sought
from modelctl.traffic import Backend

BODIES = 500
"""Requests that one search reads for their slices, at most."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for in which route, from a Unix microsecond on; `cursor` is the `next` of the page before."""

    route: str
    where: str = ""
    since: int = 0
    cursor: str = ""


class Example(NamedTuple):
    """One recorded request with all that was compared on it; `asked` and `backends` are for asking it again."""

    detail: PredictionDetail
    pairs: tuple[Pair, ...]
    asked: samples.Asked | None
    backends: tuple[Backend, ...]
    path: str


def search_predictions(engine: Engine, search: Search, *, limit: int) -> Page[Prediction]:
    """The newest that fit. A page may hold fewer than `limit` and still have a `next`: it looked through as many as it may.

    Raises NotFound, InvalidInput.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"limit must be from 1 to {MAX_PAGE}, not {limit}")
    with store.reading(engine) as connection:
        dimensions = catalog.load(connection).route(search.route).dimensions
        wanted = parse_filter(search.where, [one.name for one in dimensions])
        sought = Sought(search.route, wanted.terms, search.since, search.cursor)
        if not wanted.slices:
            found = searching.search(connection, sought, limit=limit)
            return Page(found.items, found.next)
        named = {one.dimension for one in wanted.slices}
        return _sliced(
            connection, sought, dimensions=[one for one in dimensions if one.name in named], wanted=wanted.slices, limit=limit
        )


def _sliced(
    connection: Connection, sought: Sought, *, dimensions: Sequence[Dimension], wanted: Sequence[Slicing], limit: int
) -> Page[Prediction]:
    found = searching.search(connection, sought, limit=BODIES)
    requests = searching.requests_of(connection, [one.id for one in found.items])
    kept = [one for one in found.items if one.id in requests and _lies(requests[one.id], dimensions, wanted=wanted)]
    if len(kept) > limit:
        return Page(tuple(kept[:limit]), searching.cursor_of(kept[limit - 1]))
    return Page(tuple(kept), found.next)


def _lies(recorded: Recorded, dimensions: Sequence[Dimension], *, wanted: Sequence[Slicing]) -> bool:
    document: object = ABSENT
    if wants_document(dimensions):
        encoding = recorded.encoding.encode("latin-1", "replace")
        document = document_of(Request(b"", b"", b"", encoding, recorded.body, recorded.size))
    headers = {name.lower(): text for name, text in recorded.headers.items()}
    mine = dict(slices_of(dimensions, Asked(headers, document, recorded.at)))
    return all((mine[one.dimension] == one.value) is one.equal for one in wanted)


def read_example(engine: Engine, wanted: str) -> Example:
    """The prediction with this id, or the newest one of the request with it. Raises NotFound."""
    with store.reading(engine) as connection:
        detail = reading.prediction_detail(connection, _id_of(connection, wanted))
        found, live = detail.prediction, catalog.load(connection)
        pairs = reading.pairs(connection, {"prediction_id": found.id}, limit=100).items
        names = dict.fromkeys([found.arm, *(one.candidate.backend for one in pairs)])
        routes = [route for route in live.routes if route.name == found.route]
        return Example(
            detail=detail,
            pairs=pairs,
            asked=samples.asked_of(connection, [found.id]).get(found.id),
            backends=tuple(one.backend for one in live.backends if one.name in names),
            path=routes[0].path if routes else "/",
        )


def _id_of(connection: Connection, wanted: str) -> str:
    if (found := reading.predictions(connection, {"id": wanted}, limit=1).items) or (
        found := reading.predictions(connection, {"request_id": wanted}, limit=1).items
    ):
        return found[0].id
    raise NotFound(f"there is no prediction {wanted!r}; a new one can take a second to arrive: modelctl predictions")
