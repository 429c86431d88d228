"""The file all processes of a gateway write their log to: rotated by size, and followed when something else renames it.

Each process looks at the file once a second. One that finds it too long renames it (``gateway.log.1`` is the newest old
one); all others then open the new file of that name, as they do after a rotation by another program. SIGHUP, which such
programs send, makes a process look at once; where one is starting, it waits until the process can take it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

ENVIRONMENT_NAME = "_FREEHOLD_LOG_FILE"
"""Set by freehold for its own processes. Not a setting, and not taken for a misspelt one: those begin with the name."""
ROTATED_BYTES = 32 * 1024 * 1024
KEPT = 3
_LOOK_EVERY_S = 1.0
_OUTPUTS = (1, 2)


@contextlib.contextmanager
def hangups_held() -> Iterator[None]:
    """SIGHUP waits, in a process that is started in here, until it calls `follow_log_file`: before that it would end
    it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_log_file() -> None:
    """Look after the file that ``_FREEHOLD_LOG_FILE`` names, where it does, for as long as the process lives.

    Call it in the main thread: only there may SIGHUP be taken, which would end the process otherwise.
    """
    path = os.environ.get(ENVIRONMENT_NAME)
    if path:
        # Not an event: its lock is not for a handler that a second signal may interrupt.
        hangups: queue.SimpleQueue[int] = queue.SimpleQueue()
        signal.signal(signal.SIGHUP, lambda number, frame: hangups.put(number))
        threading.Thread(target=_follow, args=(Path(path), hangups), name="log file", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _follow(path: Path, hangups: queue.SimpleQueue[int]) -> None:
    while True:
        with contextlib.suppress(queue.Empty):
            hangups.get(timeout=_LOOK_EVERY_S)
        # A full disk or a folder that is gone must not stop the process; the next look may do better.
        with contextlib.suppress(OSError):
            look(path)


def look(path: Path, *, rotated_bytes: int = ROTATED_BYTES, outputs: tuple[int, ...] = _OUTPUTS) -> None:
    """Rotate the file when it is too long, and write to the file of that name from here on. Raises `OSError`."""
    if _is_open(path, outputs[-1]) and os.fstat(outputs[-1]).st_size > rotated_bytes:
        _rotate(path)
    if not _is_open(path, outputs[-1]):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            for output in outputs:
                os.dup2(file, output)
        finally:
            os.close(file)


def _is_open(path: Path, output: int) -> bool:
    """Whether `output` is the file of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(output))
    except FileNotFoundError:
        return False


def _rotate(path: Path) -> None:
    """Rename the file, unless another process is doing so or has just done it."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if not _is_open(path, file.fileno()):
            return
        for number in range(KEPT - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(f"{path.name}.{number}").replace(path.with_name(f"{path.name}.{number + 1}"))
        path.replace(path.with_name(f"{path.name}.1"))
