"""The recorder's sign of life: the time of its last round, in a file that workers read when they are asked.

Times are of the monotonic clock, which all processes of a machine share and no clock step moves.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

_FILE = "recorder.pulse"
_SECONDS = struct.Struct(">d")
SILENT_S = 4.0
"""A recorder that has not finished a round for this long is taken to be stopped, stuck or dead."""


class Pulse:
    """The side that lives."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT, 0o600)

    def beat(self) -> None:
        """A round is done."""
        os.pwrite(self._file, _SECONDS.pack(time.monotonic()), 0)

    def close(self) -> None:
        os.close(self._file)


def silent_s(folder: Path) -> float | None:
    """Seconds since the last beat; None when there never was one."""
    try:
        data = (folder / _FILE).read_bytes()
        (beat,) = _SECONDS.unpack(data)
        return max(0.0, time.monotonic() - float(beat))
    except (OSError, struct.error):
        return None


def is_alive(folder: Path) -> bool:
    """Whether the recorder finished a round within `SILENT_S`."""
    silent = silent_s(folder)
    return silent is not None and silent < SILENT_S
