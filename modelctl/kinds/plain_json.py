"""Kind `json`: any server that answers with JSON. LitServe, BentoML, TorchServe, Ray Serve, FastAPI, Flask.

With a `prediction`, a JSON pointer or JSONPath, the prediction is there. Without one it is at the first of
`reading.USUAL_NAMES` that the body's object has, else it is the whole body. A list there has one entry per instance, unless
it is a list of probabilities. Where a body that is not JSON is wanted as text, the body is the text.
"""

from modelctl.errors import Corrupt
from modelctl.evidence import Answer
from modelctl.kinds.answer_body import decoded, parsed
from modelctl.kinds.kind import Probe, extraction
from modelctl.kinds.outcome import Outcome, judged
from modelctl.kinds.place import check_path, entries, instances_at
from modelctl.kinds.reading import read, read_each, usual_member
from modelctl.kinds.value import Extraction, Value
from modelctl.traffic import Backend, PredictionType


class PlainJson:
    """`/health` is what LitServe, MLflow, vLLM and most services of one's own have; a backend may be probed elsewhere."""

    name = "json"
    ready = Probe("GET", "/health", 200)
    default_prediction = "/prediction"

    def check(self, prediction: str) -> None:
        if prediction:
            check_path(prediction)

    def outcome(self, answer: Answer) -> Outcome:
        return judged(answer)

    def extract(self, answer: Answer, backend: Backend) -> Extraction:
        return extraction(answer, lambda: _values(answer, backend))


def _values(answer: Answer, backend: Backend) -> tuple[Value, ...]:
    wanted = backend.prediction_type
    document = _document(decoded(answer), backend)
    if backend.prediction:
        return read_each(instances_at(backend.prediction, document, wanted=wanted, batch=False), wanted)
    found = usual_member(document)
    if not isinstance(found.value, list):
        return (read(found, wanted),)
    return read_each(entries(found, wanted, batch=False), wanted)


def _document(body: bytes, backend: Backend) -> object:
    try:
        return parsed(body)
    except Corrupt:
        if backend.prediction or backend.prediction_type is not PredictionType.TEXT:
            raise
        return body.decode("utf-8", "replace")
