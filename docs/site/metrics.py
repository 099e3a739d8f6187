"""Every metric of `/metrics`, from the table that answers it."""

from docs.site.text import code, codes, table
from modelctl.controlplane.metrics.catalog import METRICS


def markdown() -> str:
    """All metrics in the order in which they are answered."""
    rows = [(code(one.name), str(one.type.value), codes(one.labels), one.help) for one in METRICS]
    return table(("metric", "type", "labels", "meaning"), rows)
