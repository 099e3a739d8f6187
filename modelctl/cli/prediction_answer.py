"""What the CLI reads of predictions: rows of a list, and one whole with both answers. Fields it does not know are left alone."""

import msgspec

from modelctl.cli.quantities import milliseconds, moment, percent


class PredictionRow(msgspec.Struct, frozen=True):
    """What a list shows of a prediction. `at` and `*_us` are microseconds; a first byte or event of 0 never came."""

    id: str
    at: int
    route: str
    arm: str
    outcome: str
    request_id: str = ""
    role: str = ""
    reason: str = ""
    status: int = 0
    latency_us: int | None = None
    probability: int | None = None
    first_byte_us: int = 0
    first_event_us: int = 0
    attempts: int = 1
    label: str | None = None
    number: float | None = None
    text: str | None = None
    problem: str | None = ""

    @property
    def cells(self) -> list[str]:
        """In the order of the list's columns."""
        latency = None if self.latency_us is None else self.latency_us / 1_000
        short = [moment(self.at), self.request_id, self.arm, self.outcome, str(self.status), milliseconds(latency), self.value]
        firsts = [milliseconds(first / 1_000 if first else None) for first in (self.first_byte_us, self.first_event_us)]
        return [*short, self.id, self.role, self.reason, percent(self.probability), *firsts, str(self.attempts)]

    @property
    def value(self) -> str:
        """The prediction, or why there is none."""
        found = [self.label, None if self.number is None else f"{self.number:g}", self.text]
        shown = next((value for value in found if value is not None), None)
        return shown if shown is not None else f"none: {self.problem}" if self.problem else "-"


class BodyShown(msgspec.Struct, frozen=True):
    """A body's beginning as text, and how many bytes it had; `note` says that it was left out."""

    preview: str = ""
    size: int = 0
    content_type: str = ""
    note: str = ""

    @property
    def told(self) -> str:
        """What there is of it, for people."""
        return self.preview or self.note or "(empty)"


class SideShown(msgspec.Struct, frozen=True):
    """One of two answers to the same request."""

    backend: str
    outcome: str = ""
    status: int = 0
    latency_us: int = 0
    label: str | None = None
    number: float | None = None
    text: str | None = None
    problem: str = ""
    answer: BodyShown = BodyShown()


class PairShown(msgspec.Struct, frozen=True):
    """Both answers; `agree` is None when one of them holds nothing to compare."""

    baseline: SideShown
    candidate: SideShown
    agree: bool | None = None
    difference: float | None = None


class Again(msgspec.Struct, frozen=True):
    """The command that asks a backend the same again."""

    backend: str
    command: str


class Whole(msgspec.Struct, frozen=True):
    """One prediction with everything that was recorded of its request."""

    prediction: PredictionRow
    request: BodyShown = BodyShown()
    answer: BodyShown = BodyShown()
    pairs: tuple[PairShown, ...] = ()
    commands: tuple[Again, ...] = ()
    remark: str = ""
