"""The bundled data: 569 labelled rows of the breast cancer Wisconsin (diagnostic) set, 30 features each.

Every second row trains the models; the others are the clients' traffic. The clinic of a row is synthetic: a keyed hash of
the row's features puts one row in five into `north` and spreads the others over three more clinics. So it tells nothing
about the label.
"""

import csv
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("breast_cancer.csv")
LABELS = ("benign", "malignant")
CLINICS = ("north", "south", "east", "west", "central")


class Row(NamedTuple):
    """One patient: features in the order of `Dataset.names`, in the units of the source."""

    features: tuple[float, ...]
    clinic: str
    label: str


class Dataset(NamedTuple):
    """All rows, apart: what the models learn from, and what clients send."""

    names: tuple[str, ...]
    training: tuple[Row, ...]
    traffic: tuple[Row, ...]


def read_dataset(file: Path = FILE) -> Dataset:
    """The bundled rows, always in the same order and parts. Raises OSError."""
    with file.open(encoding="utf-8", newline="") as lines:
        header, *records = csv.reader(lines)
    rows = [_row(record) for record in records]
    return Dataset(tuple(header[:-1]), tuple(rows[::2]), tuple(rows[1::2]))


def clinic_of(features: tuple[float, ...]) -> str:
    """The synthetic clinic of a row: the same for the same features."""
    digest = blake2b(repr(features).encode(), digest_size=8, key=b"clinic").digest()
    return CLINICS[int.from_bytes(digest, "big") % len(CLINICS)]


def matrix(rows: tuple[Row, ...]) -> NDArray[np.float64]:
    """Features, one line per row."""
    return np.array([row.features for row in rows], dtype=np.float64)


def targets(rows: tuple[Row, ...]) -> NDArray[np.float64]:
    """1 for malignant, 0 for benign."""
    return np.array([float(row.label == LABELS[1]) for row in rows], dtype=np.float64)


def _row(record: list[str]) -> Row:
    features = tuple(float(field) for field in record[:-1])
    return Row(features, clinic_of(features), record[-1])
