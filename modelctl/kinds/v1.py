"""Kind `v1`: the prediction API of TensorFlow Serving, KServe V1 and MLflow's scoring server.

The answer is an object with `predictions`, `outputs` (TensorFlow's columnar form), `results` or `result` (its classify and
regress; its specification says one and its example the other). A list there has one entry per instance, always.
A `prediction` that is a bare name picks one output of a model with several: a member of each entry, or of `outputs`. One
that is a path is followed; a list it leads to has one entry per instance, too.
"""

from collections.abc import Sequence

from modelctl.errors import NotFound
from modelctl.evidence import Answer
from modelctl.kinds.answer_body import decoded, parsed
from modelctl.kinds.kind import Probe, extraction
from modelctl.kinds.outcome import Outcome, judged
from modelctl.kinds.place import check_path, instances_at, is_path, rankings
from modelctl.kinds.reading import Found, read_each
from modelctl.kinds.value import Extraction, Value
from modelctl.traffic import Backend, PredictionType

ANSWER_NAMES = ("predictions", "outputs", "results", "result")


class V1:
    """KServe lists its models at `/v1/models`; whether one model is ready is `/v1/models/NAME`."""

    name = "v1"
    ready = Probe("GET", "/v1/models", 200)
    default_prediction = "/predictions"

    def check(self, prediction: str) -> None:
        if is_path(prediction):
            check_path(prediction)

    def outcome(self, answer: Answer) -> Outcome:
        return judged(answer)

    def extract(self, answer: Answer, backend: Backend) -> Extraction:
        return extraction(answer, lambda: _values(answer, backend))


def _values(answer: Answer, backend: Backend) -> tuple[Value, ...]:
    document, wanted = parsed(decoded(answer)), backend.prediction_type
    if is_path(backend.prediction):
        return read_each(instances_at(backend.prediction, document, wanted=wanted, batch=True), wanted)
    found = _entries(document, backend.prediction)
    return read_each(rankings(list(found)) if wanted is PredictionType.RANKING else found, wanted)


def _entries(document: object, name: str) -> Sequence[object]:
    if not isinstance(document, dict):
        raise NotFound("the answer is no object with `predictions`, `outputs` or `results`: its kind may be json, not v1")
    for answer_name in ANSWER_NAMES:
        if answer_name in document:
            return _instances(document[answer_name], name)
    names = ", ".join(list(document)[:8]) or "no members"
    raise NotFound(f"the answer has no `predictions`, `outputs` or `results`, but {names[:200]}: its kind may be json, not v1")


def _instances(found: object, name: str) -> Sequence[object]:
    if isinstance(found, dict):
        found = found[_column(found, name)]
        return found if isinstance(found, list) else [found]
    rows = found if isinstance(found, list) else [found]
    return [_member(row, name) for row in rows] if name else rows


def _column(outputs: dict[str, object], name: str) -> str:
    """The output to read of a columnar answer: the named one, or the only one."""
    if name in outputs:
        return name
    if not name and len(outputs) == 1:
        return next(iter(outputs))
    have = ", ".join(list(outputs)[:8])[:200] or "none"
    wanted = f"no output {name!r}" if name else "several outputs or none"
    raise NotFound(f"the answer has {wanted}: set `prediction` to the name of one of these: {have}")


def _member(row: object, name: str) -> Found:
    if isinstance(row, dict) and name in row:
        return Found(row[name], row)
    raise NotFound(f"an entry of the answer has no output {name!r}: `prediction` must be empty or a name that every entry has")
