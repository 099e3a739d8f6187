"""Kind `v2`: the Open Inference Protocol of MLServer, KServe V2, Triton and TorchServe's form of it.

The answer is an object with `outputs`, each a tensor. A `prediction` that is a bare name picks one; without it the first
named `predict`, `output` or `label` is read, in that order, else the first. `shape[0]` is the number of instances.

    elements per instance   datatype             is read as (when the prediction type is auto)
    one                     FP*, BF16            number
    one                     INT*, UINT*, BOOL    label
    one                     BYTES                label, or text when it is long
    several                 FP*, BF16            label with its probability when they are probabilities, else text
    several                 other                text

A `prediction` that is a path is followed in the JSON document. Triton's `generate` answers with `text_output` instead.
"""

from collections.abc import Mapping, Sequence

from modelctl.errors import NotFound
from modelctl.evidence import Answer
from modelctl.kinds.answer_body import decoded
from modelctl.kinds.kind import Probe, extraction
from modelctl.kinds.outcome import Outcome, judged
from modelctl.kinds.place import check_path, instances_at, is_path
from modelctl.kinds.reading import Found, read, read_each
from modelctl.kinds.tensor import Tensor, split_tail, tail_parts, tensor
from modelctl.kinds.value import Extraction, Value
from modelctl.traffic import Backend, PredictionType

PREFERRED = ("predict", "output", "label")


class V2:
    """Triton answers the probe before its models are loaded; whether one model is ready is `/v2/models/NAME/ready`."""

    name = "v2"
    ready = Probe("GET", "/v2/health/ready", 200, demanded=True)
    default_prediction = "predict"

    def check(self, prediction: str) -> None:
        if is_path(prediction):
            check_path(prediction)

    def outcome(self, answer: Answer) -> Outcome:
        return judged(answer)

    def extract(self, answer: Answer, backend: Backend) -> Extraction:
        return extraction(answer, lambda: _values(answer, backend))


def _values(answer: Answer, backend: Backend) -> tuple[Value, ...]:
    document, tail = split_tail(decoded(answer))
    wanted = backend.prediction_type
    if is_path(backend.prediction):
        return read_each(instances_at(backend.prediction, document, wanted=wanted, batch=True), wanted)
    if isinstance(document, dict) and "text_output" in document and "outputs" not in document:
        return (read(Found(document["text_output"], document), wanted),)
    chosen = _chosen_tensor(_outputs(document), backend.prediction, tail=tail)
    return read_each(chosen.rows, _wanted(chosen, wanted))


def _outputs(document: object) -> list[Mapping[str, object]]:
    outputs = document.get("outputs") if isinstance(document, dict) else None
    if not isinstance(outputs, list) or not outputs or not all(isinstance(output, dict) for output in outputs):
        raise NotFound("the answer is no object with a list of `outputs`: its kind may be json or v1, not v2")
    return outputs


def _chosen_tensor(outputs: Sequence[Mapping[str, object]], name: str, *, tail: bytes) -> Tensor:
    position = _position([output.get("name") for output in outputs], name)
    return tensor(outputs[position], tail_parts(outputs, tail)[position])


def _position(names: list[object], wanted: str) -> int:
    if wanted and wanted not in names:
        have = ", ".join(str(name)[:40] for name in names[:8])
        raise NotFound(f"the answer has no output {wanted!r}: set `prediction` to one of these: {have}")
    for name in (wanted,) if wanted else PREFERRED:
        if name in names:
            return names.index(name)
    return 0


def _wanted(chosen: Tensor, asked: PredictionType) -> PredictionType:
    if asked is not PredictionType.AUTO:
        return asked
    several = bool(chosen.rows) and len(chosen.rows[0]) > 1
    if chosen.datatype.startswith(("FP", "BF")):
        return PredictionType.AUTO if several else PredictionType.NUMBER
    if several:
        return PredictionType.TEXT
    return PredictionType.AUTO if chosen.datatype == "BYTES" else PredictionType.LABEL
