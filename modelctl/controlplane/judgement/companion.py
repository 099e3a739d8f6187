"""The ordinary number beside a row of the decision table."""

import msgspec

ONE_LOOK = "valid for one look only"


class Companion(msgspec.Struct, frozen=True, kw_only=True):
    """`estimate`, interval and two-sided `p` of a fixed-horizon `method` at a confidence of 95 %, in `unit` share or value.

    What the method does not give is None. `source` is where it is explained.
    """

    method: str
    unit: str
    estimate: float | None
    lower: float | None
    upper: float | None
    p: float | None
    n: int
    source: str
    note: str = ONE_LOOK
