"""Whether a child process is alive: its event loop moves a number in a mapped file, its parent looks at it.

A process that hangs has not ended, so waiting for its end never notices it. A beat is a write to memory, not a system
call. Silence alone proves little on a busy machine: a process counts as hung when it is stopped, or silent while it
uses up processor time, or silent for very long.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import time
from pathlib import Path

BEAT_EVERY_S = 0.5
LOOK_EVERY_S = 0.5
# A stopped process, or one that is busy with one thing, is given this long.
SILENT_S = 2.5
# One that waits for something (a disk that hangs) or does not get a processor is given longer.
WAITING_S = 20.0
_STARTS_WITHIN_S = 60.0
# So much processor time in silence is work, not a late turn.
_BUSY_CPU_S = 1.0
_NUMBER = struct.Struct("=Q")


def _file(folder: Path, process_id: int) -> Path:
    return folder / f"heartbeat-{process_id}"


class Heartbeat:
    """In the child: beats as long as the loop turns. Make it in the running loop."""

    def __init__(self, folder: Path) -> None:
        with _file(folder, os.getpid()).open("w+b") as file:
            file.truncate(_NUMBER.size)
            self._map = mmap.mmap(file.fileno(), _NUMBER.size)
        self._number = 0
        self._loop = asyncio.get_running_loop()
        self._beat()

    def _beat(self) -> None:
        self._number += 1
        _NUMBER.pack_into(self._map, 0, self._number)
        self._loop.call_later(BEAT_EVERY_S, self._beat)


class Watch:
    """In the parent: looks at the beats of one process. `busy_s` is how long it may be busy with one thing."""

    def __init__(self, folder: Path, process_id: int, *, busy_s: float = SILENT_S) -> None:
        self._path = _file(folder, process_id)
        self._process_id = process_id
        self._busy_s = busy_s
        self._map: mmap.mmap | None = None
        self._number = 0
        self._looked_s = time.monotonic()
        self._silent_s = 0.0
        self._cpu_s: float | None = None

    def look(self) -> str | None:
        """Look once; says why the process counts as hung, None while it does not."""
        now_s = time.monotonic()
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        number = self._read()
        if number != self._number:
            self._number, self._silent_s, self._cpu_s = number, 0.0, None
            return None
        # Where the parent itself was late, the machine is busy or was asleep, and the child is not to blame.
        self._silent_s += min(passed_s, 2 * LOOK_EVERY_S)
        if not number:
            return "never began" if self._silent_s > _STARTS_WITHIN_S else None
        if self._silent_s < LOOK_EVERY_S + BEAT_EVERY_S:
            return None
        return self._judged()

    def _read(self) -> int:
        if self._map is None:
            try:
                with self._path.open("rb") as file:
                    self._map = mmap.mmap(file.fileno(), _NUMBER.size, access=mmap.ACCESS_READ)
            except (OSError, ValueError):
                return 0
        number: int = _NUMBER.unpack_from(self._map, 0)[0]
        return number

    def _judged(self) -> str | None:
        # Late: only a silent process has it looked into.
        import psutil

        try:
            process = psutil.Process(self._process_id)
            times = process.cpu_times()
            stopped = process.status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return None
        cpu_s = times.user + times.system
        if self._cpu_s is None:
            self._cpu_s = cpu_s
        if stopped:
            return "stopped" if self._silent_s >= SILENT_S else None
        if cpu_s - self._cpu_s >= _BUSY_CPU_S:
            return "busy" if self._silent_s >= self._busy_s else None
        return "silent" if self._silent_s >= max(WAITING_S, self._busy_s) else None

    def close(self) -> None:
        """Forget the process and its file."""
        if self._map is not None:
            self._map.close()
        self._path.unlink(missing_ok=True)
