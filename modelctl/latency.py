"""The buckets a latency is counted in, the same wherever it is counted or read. Pure.

Bucket `index` holds gamma^(index - 1) < x <= gamma^index with gamma = (1 + a)/(1 - a), so every value is known within the
relative accuracy a, and histograms merge by adding counts. Source: Masson, Rim, Lee, "DDSketch", PVLDB 12(12), 2019, section 2.
"""

import math

ACCURACY = 0.01


def growth(accuracy: float = ACCURACY) -> float:
    """gamma, the ratio of two neighbouring bucket edges."""
    return (1 + accuracy) / (1 - accuracy)


_LOG_GROWTH = math.log(growth())


def bucket_index(magnitude: float, accuracy: float = ACCURACY) -> int:
    """The bucket of `magnitude` > 0, microseconds for a latency. Negative values are bucketed by their magnitude."""
    return math.ceil(math.log(magnitude) / (_LOG_GROWTH if accuracy == ACCURACY else math.log(growth(accuracy))))


def bucket_value(index: int, accuracy: float = ACCURACY) -> float:
    """The value that stands for a bucket: within `accuracy` of everything in it."""
    gamma = growth(accuracy)
    return 2 * gamma**index / (gamma + 1)
