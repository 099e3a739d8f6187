"""What the evidence says beyond the verdict: the parts of a report that explain, and decide nothing. From rollups only. Pure."""

import msgspec

from modelctl.controlplane.judgement.comparison import Compared, Evidence, Row
from modelctl.controlplane.report.companions import companion
from modelctl.controlplane.report.field_table import FieldTable, field_tables
from modelctl.controlplane.report.label_coverage import LabelCoverage, label_coverage
from modelctl.controlplane.report.label_mix import LabelMix, label_mixes
from modelctl.controlplane.report.measure import source_of_row
from modelctl.controlplane.report.noise_floor import NoiseFloor, noise_floors
from modelctl.controlplane.report.slices import Slices, slices


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """Every part says in a sentence what it means, and where its formula is explained. None and empty: there is nothing to say."""

    slices: Slices | None = None
    noise: tuple[NoiseFloor, ...] = ()
    fields: tuple[FieldTable, ...] = ()
    labels: tuple[LabelMix, ...] = ()
    truth: LabelCoverage | None = None


def details(evidence: Evidence, *, cut: Slices | None = None) -> Details:
    """All parts there are sums for; `cut` when the slices are known already."""
    return Details(
        slices=cut if cut is not None else slices(evidence),
        noise=noise_floors(evidence),
        fields=field_tables(evidence),
        labels=label_mixes(evidence),
        truth=label_coverage(evidence),
    )


def explained(evidence: Evidence, compared: tuple[Compared, ...]) -> tuple[Row, ...]:
    """The rows with where their methods are explained, and what a method for one look says of the same sums."""
    return tuple(
        msgspec.structs.replace(one.row, source=source_of_row(one.row.method, one.row.unit), companion=companion(evidence, one.row))
        for one in compared
    )
