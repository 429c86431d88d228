"""Whether a process uses weights right now: it maps the file, has it open, or was started with its path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil


def users(path: Path) -> tuple[int, ...]:
    """Process ids of those that use the file or folder, as far as this user may look; this process left out."""
    import psutil  # late: what only reads the list of weights needs no processes

    wanted = str(path)
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if any(wanted in part for part in process.cmdline()) or _maps(process, wanted):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue  # it has gone, or belongs to another user
    return tuple(found)


def _maps(process: psutil.Process, wanted: str) -> bool:
    maps = Path(f"/proc/{process.pid}/maps")
    if maps.exists():  # llama.cpp maps its weights and closes the file: open files would not show it
        return wanted in maps.read_text(errors="replace")
    return any(file.path.startswith(wanted) for file in process.open_files())
