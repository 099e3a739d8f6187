"""How a captured body is stored: as it is, or as a frame of Zstandard when that makes it smaller. Pure.

Small bodies stay as they are: compressing one costs a tenth of what recording it does and saves a hundred bytes of a row that
takes a thousand. docs/evidence.md has the figures.
"""

import threading
from functools import lru_cache
from typing import Any

import zstandard
from sqlalchemy import Row

from modelctl.errors import Corrupt

AS_IT_IS = ""
ZSTD = "zstd"
WORTH = 1024
"""Bytes of a body from which compressing is tried; what does not get smaller by an eighth stays as it is."""
_LEVEL = 1
_MOST = 16 * 1024 * 1024  # the largest capture limit of a route
_REMEMBERED, _REMEMBERED_BYTES = 64, 64 * 1024

Stored = tuple[str, bytes]


class _Zstandard(threading.local):
    """Each thread's own: a context of Zstandard serves one call at a time, and takes the process down when two threads share it."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstandard = _Zstandard()


def stored(body: bytes) -> Stored:
    """How `body` is stored, and the bytes of it."""
    size = len(body)
    if size < WORTH:
        return AS_IT_IS, body
    return _repeated(body) if size <= _REMEMBERED_BYTES else _packed(body)


def _packed(body: bytes) -> Stored:
    packed = _zstandard.compress(body)
    return (ZSTD, packed) if len(packed) * 8 <= len(body) * 7 else (AS_IT_IS, body)


@lru_cache(maxsize=_REMEMBERED)
def _repeated(body: bytes) -> Stored:
    """A pair holds the request and the baseline's answer, as its prediction does."""
    return _packed(body)


def body_of(row: Row[Any], prefix: str) -> bytes:
    """The body that a row of `prediction` or `pair` holds. Raises Corrupt."""
    columns = row._mapping
    how, data = columns[f"{prefix}_stored"], bytes(columns[f"{prefix}_body"])
    if how == AS_IT_IS:
        return data
    if how != ZSTD:
        raise Corrupt(f"a body is stored as {how!r}, which this program does not know: it was written by a newer modelctl")
    try:
        return _zstandard.decompress(data, max_output_size=_MOST)
    except zstandard.ZstdError as error:
        raise Corrupt(f"a stored body cannot be read: {error}") from error
