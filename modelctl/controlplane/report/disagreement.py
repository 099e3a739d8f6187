"""One request that was answered wrongly or differently, as an example: both answers side by side, and how to ask again. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from modelctl.controlplane.report.curl import Curl, curl, remark
from modelctl.evidence import Answer
from modelctl.kinds.answer_body import beginning
from modelctl.kinds.value import number_text
from modelctl.store.reading import Body, Pair, Side
from modelctl.store.samples import Answered, Asked
from modelctl.store.samples import asked as asked_in
from modelctl.traffic import Backend

PREVIEW = 400


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """One request that the two answered differently; `at` is Unix microseconds.

    `commands` ask each backend again, baseline first; `remark` says what is to be known of them, or why there are none. `redacted`:
    the route's rules took values out before anything was recorded. An example of an answer to a client alone has no baseline's
    prediction, and perhaps the `truth`.
    """

    prediction_id: str
    request_id: str
    at: int
    candidate: str
    baseline_prediction: str
    candidate_prediction: str
    difference: float | None
    baseline_status: int
    candidate_status: int
    request_preview: str
    request_size: int
    baseline_preview: str = ""
    candidate_preview: str = ""
    truth: str = ""
    redacted: bool = False
    commands: tuple[Curl, ...] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What examples are shown with: what was asked (by prediction), the backends by name, the route's path."""

    asked: Mapping[str, Asked] = field(default_factory=dict)
    backends: Mapping[str, Backend] = field(default_factory=dict)
    path: str = "/"


def disagreement(pair: Pair, around: Surroundings) -> Disagreement:
    """A pair as an example."""
    asked = around.asked.get(pair.prediction_id)
    return Disagreement(
        prediction_id=pair.prediction_id,
        request_id=pair.request_id,
        at=pair.at,
        candidate=pair.candidate.backend,
        baseline_prediction=predicted(pair.baseline),
        candidate_prediction=predicted(pair.candidate),
        difference=pair.difference,
        baseline_status=pair.baseline.status,
        candidate_status=pair.candidate.status,
        request_preview=preview(pair.request),
        request_size=pair.request.size,
        baseline_preview=preview(pair.baseline.answer),
        candidate_preview=preview(pair.candidate.answer),
        redacted=bool(asked and asked.redacted),
        commands=_commands(asked, pair.request, around=around, names=(pair.baseline.backend, pair.candidate.backend)),
        remark=remark(asked, pair.request),
    )


def mistake(answered: Answered, around: Surroundings) -> Disagreement:
    """An answer to a client as an example."""
    row, asked, body = answered.row, asked_in(answered.row), answered.asked.request
    said = next((value for value in (row.label, row.number, row.text) if value is not None), None)
    return Disagreement(
        prediction_id=row.id,
        request_id=row.request_id,
        at=row.at,
        candidate=row.arm,
        baseline_prediction="",
        candidate_prediction=_words(said) or f"none: {row.problem or row.failure or row.outcome}",
        difference=None,
        baseline_status=0,
        candidate_status=row.status,
        request_preview=preview(body),
        request_size=body.size,
        candidate_preview=preview(answered.answer),
        truth=_words(answered.truth),
        redacted=bool(row.redacted),
        commands=_commands(asked, body, around=around, names=tuple(around.backends)),
        remark=remark(asked, body),
    )


def preview(body: Body) -> str:
    """The beginning of a body as text, without its content coding."""
    answer = Answer("", 0, "", 0, 0, b"", body.encoding.encode("latin-1", "replace"), body.body, body.size)
    return beginning(answer, PREVIEW).decode("utf-8", "replace")


def predicted(side: Side) -> str:
    """What one side of a pair predicted, or why there is nothing."""
    if side.label is not None:
        return side.label
    if side.number is not None:
        return number_text(side.number)
    return side.text if side.text is not None else f"none: {side.problem or side.failure or side.outcome}"


def _words(value: str | float | None) -> str:
    return "" if value is None else value if isinstance(value, str) else number_text(value)


def _commands(asked: Asked | None, body: Body, *, around: Surroundings, names: tuple[str, ...]) -> tuple[Curl, ...]:
    if asked is None:
        return ()
    backends = [around.backends[name] for name in names if name in around.backends]
    found = (curl(asked, body, backend=backend, path=around.path) for backend in backends)
    return tuple(one for one in found if one is not None)
