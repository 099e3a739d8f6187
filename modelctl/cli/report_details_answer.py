"""What the CLI reads of the parts of a report that explain and decide nothing."""

import msgspec


class Measure(msgspec.Struct, frozen=True):
    """A number with its interval; a bound that is None is infinite."""

    n: int
    counts: str
    unit: str
    method: str
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    null: float | None = None
    log10_e: float | None = None
    reason: str = ""


class Companion(msgspec.Struct, frozen=True):
    """What a method says that is valid for one look only."""

    method: str
    unit: str
    note: str
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    p: float | None = None


class Slice(msgspec.Struct, frozen=True):
    """One slice of one candidate."""

    candidate: str
    kind: str
    dimension: str
    value: str
    measure: Measure
    flagged: bool
    direction: str
    baseline: float | None = None
    candidate_value: float | None = None
    sentence: str = ""


class Slices(msgspec.Struct, frozen=True):
    """The first slices by evidence, of all that were compared."""

    compared: int
    sentence: str
    first: tuple[Slice, ...] = ()
    note: str = ""


class FieldNoise(msgspec.Struct, frozen=True):
    """How often one place differs in the candidate's answers, and in a second copy of the baseline's."""

    path: str
    raw: int
    noise: int
    measure: Measure
    flagged: bool
    exclude: bool


class NoiseFloor(msgspec.Struct, frozen=True):
    """How much the baseline differs from itself."""

    candidate: str
    n: int
    raw: int
    noise: int
    measure: Measure
    places: int
    sentence: str
    relative_percent: float | None = None
    absolute_percent: float | None = None
    excluded: tuple[str, ...] = ()
    fields: tuple[FieldNoise, ...] = ()


class FieldPath(msgspec.Struct, frozen=True):
    """One place in both answers."""

    path: str
    n: int
    value: int
    type: int
    missing: int
    extra: int
    measure: Measure | None = None


class FieldTable(msgspec.Struct, frozen=True):
    """The places that differ most."""

    candidate: str
    paths: int
    sentence: str
    first: tuple[FieldPath, ...] = ()


class Test(msgspec.Struct, frozen=True):
    """A test valid for one look only."""

    name: str
    p: float


class LabelShare(msgspec.Struct, frozen=True):
    """How often each arm gave one label."""

    label: str
    baseline: int
    candidate: int
    measure: Measure | None = None


class LabelMix(msgspec.Struct, frozen=True):
    """How far the mix of labels is from the baseline's."""

    candidate: str
    design: str
    sentence: str
    estimate: float
    labels: tuple[LabelShare, ...] = ()
    tests: tuple[Test, ...] = ()
    psi: float | None = None
    expected_psi: float | None = None
    jensen_shannon_bits: float | None = None
    cramers_v: float | None = None
    log10_e: float | None = None


class Truth(msgspec.Struct, frozen=True):
    """How much of the feedback is there, and how final that makes a verdict."""

    state: str
    sentence: str


class Details(msgspec.Struct, frozen=True):
    """All parts; what there is nothing to say about is empty."""

    slices: Slices | None = None
    noise: tuple[NoiseFloor, ...] = ()
    fields: tuple[FieldTable, ...] = ()
    labels: tuple[LabelMix, ...] = ()
    truth: Truth | None = None
