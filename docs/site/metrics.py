"""Every metric of `/metrics`, from the table that answers it. A build without that part says so."""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from docs.site.text import code, codes, table

PART = "modelctl.controlplane.metrics"


def every_metric() -> Iterable[Any]:
    """The metrics in the order in which they are answered."""
    return import_module(f"{PART}.catalog").METRICS if find_spec(PART) else ()


def markdown() -> str:
    """All of them with their type and labels."""
    rows = [(code(one.name), str(one.type.value), codes(one.labels), one.help) for one in every_metric()]
    return table(("metric", "type", "labels", "meaning"), rows) if rows else "This version has no `/metrics`."
