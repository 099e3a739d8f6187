"""Where frames go that cannot be recorded: a file each, readable by `evidence.frames`, with the reason beside it."""

import os
from pathlib import Path
from zlib import crc32

from modelctl.evidence import FRAME_SUFFIX, HEADER, QUARANTINE, REASON_SUFFIX, VERSION
from modelctl.recorder.spool_reader import Located


def set_aside(root: Path, spool: str, *, frame: Located, reason: str) -> Path:
    """Writes the frame and its reason below `root`, synced to the disk; the same frame again writes the same files.

    Returns the frame's file. Raises OSError.
    """
    folder = root / QUARANTINE
    folder.mkdir(exist_ok=True)
    path = folder / f"{spool}-{frame.start.segment}-{frame.start.offset}{FRAME_SUFFIX}"
    _write(path.with_suffix(REASON_SUFFIX), f"{reason}\n".encode("utf-8", "backslashreplace"))
    _write(path, HEADER.pack(len(frame.payload), crc32(frame.payload), VERSION) + frame.payload)
    return path


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
