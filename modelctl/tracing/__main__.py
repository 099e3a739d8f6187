"""`python -m modelctl.tracing`: the recorder, which also sends a span of each leg it has recorded to a collector.

A process that has `MODELCTL_OTLP_ENDPOINT` set is started so; only here OpenTelemetry is loaded.
"""

import logging
import os
import sys

from modelctl.errors import InvalidSettings
from modelctl.recorder.__main__ import main
from modelctl.recorder.process import log
from modelctl.settings import read_settings

try:
    from modelctl.tracing.export import Tracer
except ImportError:
    sys.exit("error: MODELCTL_OTLP_ENDPOINT needs a library that is not installed: pip install 'modelctl[otel]'")


def trace(arguments: list[str]) -> int:
    """What the recorder returns."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # the tracer says itself what is lost
    try:
        settings = read_settings(os.environ, {})
    except InvalidSettings:
        return main(arguments)  # which says what is wrong
    tracer = Tracer(settings.otlp_endpoint, settings.trace_ratio, log=log)
    try:
        return main(arguments, tracer.take)
    finally:
        tracer.close()


if __name__ == "__main__":
    sys.exit(trace(sys.argv[1:]))
