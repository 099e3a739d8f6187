"""The places of two answers' documents, compared and bounded in number: what the table of fields is summed from. Pure."""

from modelctl.kinds.fields import FieldClass, Tolerance, classes, flattened

NUMBER_TOLERANCE = 1e-9
"""Model servers that compute the same thing in another order differ in the last digits."""

EQUAL = FieldClass.EQUAL.value
OTHER = "…"
MOST_PATHS = 100
_TOLERANCE = Tolerance(relative=NUMBER_TOLERANCE)
_NAMES = {kind: kind.value for kind in FieldClass}


def differences(baseline: object, candidate: object) -> tuple[tuple[str, str], ...]:
    """The class of every path of the two, which may be one: equal, value, type, missing (the baseline alone has it) or extra.

    Of more than MOST_PATHS, the rest (in the order of their names) is one path, `…`, once with every class among it.
    """
    if baseline is candidate:
        found = [(path, EQUAL) for path in flattened(baseline)]
    else:
        found = [(path, _NAMES[kind]) for path, kind in classes(baseline, candidate, tolerance=_TOLERANCE)]
    if len(found) <= MOST_PATHS:
        return tuple(found)
    found.sort()
    rest = sorted({(OTHER, kind) for _, kind in found[MOST_PATHS:]})
    return (*found[:MOST_PATHS], *rest)
