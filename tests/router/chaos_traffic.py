"""Clients that ask all kinds of things over connections that may break, and the laws that hold whatever breaks."""

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from typing import NamedTuple

from modelctl.evidence import CLIENT_GONE, SENT, Compared, Record, Served
from tests.router.chaos_model import LARGE, ChaosModel, Kind, answer_to, digest
from tests.router.process import RouterProcess, check_tallies, eventually
from tests.router.wire import Client, Incomplete, Reply, get, post, post_chunked

KINDS = (Kind.SMALL, Kind.UP, Kind.DOWN, Kind.CHUNKED, Kind.EVENTS)
REFUSALS = frozenset(
    {"connect-failed", "upstream-reset", "upstream-invalid", "upstream-timeout", "overload", "bad-request", "request-timeout"}
)
CUT = "cut"
WHOLE = "whole"


class Outcome(NamedTuple):
    """What a client made of one request: WHOLE, CUT, the code of a refusal, or a sentence that says what is wrong."""

    id: str
    kind: Kind
    digest: str
    ending: str


class Traffic:
    """`each` requests from each of `clients` clients, which give up after `patience` seconds, to `model` at `path`."""

    def __init__(self, port: int, path: str, *, prefix: str, model: str, patience: float = 3.0) -> None:
        self.outcomes: list[Outcome] = []
        self._port = port
        self._path = path
        self._prefix = prefix
        self._model = model
        self._patience = patience

    def run(self, *, clients: int, each: int) -> list[Outcome]:
        """All of them, at once."""
        threads = [threading.Thread(target=self._client, args=(number, each)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(self.outcomes) == clients * each
        return self.outcomes

    def _client(self, number: int, each: int) -> None:
        connection: Client | None = None
        for turn, kind in enumerate(islice(cycle(KINDS), number, number + each)):
            id_ = f"{self._prefix}-{number}-{turn}"
            try:
                connection = connection or self._connect()
                ending = self._ask(connection, kind, id_)
            except (OSError, Incomplete):
                ending = CUT
            self.outcomes.append(Outcome(id_, kind, digest(_body(kind, id_)), ending))
            if ending != WHOLE and connection is not None:
                connection.socket.close()
                connection = None
        if connection is not None:
            connection.socket.close()

    def _connect(self) -> Client:
        client = Client(self._port)
        client.socket.settimeout(self._patience)
        return client

    def _ask(self, connection: Client, kind: Kind, id_: str) -> str:
        body = _body(kind, id_)
        target, field = f"{self._path}/{kind}", f"X-Request-Id: {id_}"
        if kind is Kind.CHUNKED:
            request = post_chunked(target, *(body[start : start + 7_000] for start in range(0, len(body), 7_000)), fields=(field,))
        else:
            request = post(target, body, field) if body else get(target, field)
        try:
            connection.send(request)
        except OSError:
            return self._said(connection.read(b"POST"), kind, id_)  # why, when the router could still say so
        return self._said(connection.read(request.split(b" ", 1)[0]), kind, id_)

    def _said(self, reply: Reply, kind: Kind, id_: str) -> str:
        codes = reply.all(b"modelctl-error")
        if codes:
            code = codes[0].decode()
            return code if code in REFUSALS else f"{id_} was refused: {code}"
        if reply.one(b"x-request-id") != id_.encode():
            return f"{id_} got the answer of {reply.one(b'x-request-id').decode()}"
        right = reply.body == answer_to(self._model, kind, id_=id_, body=_body(kind, id_))
        wrong = f"{id_} got {reply.status} and {len(reply.body)} bytes, which are not its answer"
        return WHOLE if right and reply.status == 200 else wrong


def _body(kind: Kind, id_: str) -> bytes:
    if kind in (Kind.DOWN, Kind.EVENTS):
        return b""
    text = b'{"id":"%b"}' % id_.encode()
    return (text * (LARGE // len(text) + 1))[:LARGE] if kind in (Kind.UP, Kind.CHUNKED) else text


# -- the laws


def endings(outcomes: Iterable[Outcome]) -> Counter[str]:
    """How often each ending was."""
    return Counter(outcome.ending for outcome in outcomes)


def check_answers(outcomes: Iterable[Outcome]) -> None:
    """Every answer was the whole answer to its request, or cut, or a refusal: nothing else, and nobody else's."""
    known = {WHOLE, CUT} | REFUSALS
    assert [outcome.ending for outcome in outcomes if outcome.ending not in known] == []


def check_arrivals(outcomes: Sequence[Outcome], model: ChaosModel) -> None:
    """What a model took for a whole request was one; none came twice, but a GET may: after a connection that was closed."""
    sent = {outcome.id: outcome for outcome in outcomes}
    came = [one for one in list(model.came) if one.id in sent]
    assert [one for one in came if one.whole and one.digest != sent[one.id].digest] == []
    often = Counter(one.id for one in came)
    assert [id_ for id_, count in often.items() if count > (2 if sent[id_].kind in (Kind.DOWN, Kind.EVENTS) else 1)] == []
    assert model.faults == []


def check_evidence(outcomes: Sequence[Outcome], router: RouterProcess, *, model: ChaosModel) -> None:
    """One *served* record for each request that reached the arm or was answered by it, and none twice; one comparison for each
    that was shown to another arm while its client stayed."""
    asked = {outcome.id for outcome in outcomes}
    reached = {one.id for one in model.came} & asked | {outcome.id for outcome in outcomes if outcome.ending == WHOLE}
    found: list[Record] = []

    def all_there() -> bool:
        found[:] = router.records()
        return reached <= _ids(found, Served) and _pairs_due(found, asked) <= _ids(found, Compared)

    assert eventually(all_there), (reached - _ids(found, Served), _pairs_due(found, asked) - _ids(found, Compared))
    for type_ in (Served, Compared):
        assert [id_ for id_, count in Counter(_all_ids(found, type_)).items() if count > 1] == []
    served = {record.request_id.decode(): record for record in found if isinstance(record, Served)}
    whole = [served[outcome.id] for outcome in outcomes if outcome.ending == WHOLE]
    assert [record for record in whole if record.answer.failure or record.answer.status != 200] == []
    check_tallies(found)


def _all_ids(records: Iterable[Record], type_: type[Served | Compared]) -> list[str]:
    chosen = [record for record in records if isinstance(record, type_)]
    return [(one.served if isinstance(one, Compared) else one).request_id.decode() for one in chosen]


def _ids(records: Iterable[Record], type_: type[Served | Compared]) -> set[str]:
    return set(_all_ids(records, type_))


def _pairs_due(records: Iterable[Record], asked: set[str]) -> set[str]:
    """Those that were shown to an arm and whose client was answered."""
    served = [record for record in records if isinstance(record, Served)]
    due = {record.request_id.decode() for record in served if record.answer.failure != CLIENT_GONE and _was_shown(record)}
    return due & asked


def _was_shown(record: Served) -> bool:
    return any(fate == SENT for _, fate in record.shown)
