"""One command at a time that works through a project's steps: the second is refused, and told who is at it.

The system's own lock on a file holds between processes of one machine and ends with its owner, however that dies.
Next to it stands who holds it. Where the folder is shared with another machine whose locks do not reach here, that
note holds as long as its owner renews it.
Not covered: two state folders with one database.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
from filelock import FileLock, Timeout

from freehold import files
from freehold.errors import BusyError
from freehold.types.record import Record
from freehold.visible import one_line
from freehold.workflows.project import Project

log = logging.getLogger(__name__)
RENEW_SECONDS = 20.0
FORGOTTEN_SECONDS = 120.0
"""A note of another machine that was not renewed for this long is of a dead owner."""


class LockOwner(Record, frozen=True, kw_only=True):
    """Who holds the lock. `started` (seconds since 1970) tells the process from a later one of the same pid."""

    pid: int
    started: float
    host: str
    command: str
    since: datetime


@contextlib.contextmanager
def exclusive(project: Project) -> Iterator[LockOwner]:
    """Hold the project's lock while the block runs. Raises `BusyError`, which names the owner."""
    note = project.state / "steps.owner.json"
    lock = FileLock(project.state / "steps.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _refusal(project, _read(note)) from None
    try:
        before = _read(note)
        if before is not None and not is_gone(before, note):
            raise _refusal(project, before)
        if before is not None:
            log.info(
                "the lock of pid %d on %s is taken over: its owner ended without giving it back",
                before.pid,
                before.host,
            )
        owner = LockOwner(
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            host=socket.gethostname(),
            command=shlex.join(["freehold", *sys.argv[1:]]),
            since=datetime.now(UTC),
        )
        files.write(note, msgspec.json.encode(owner))
        done = threading.Event()
        renewing = threading.Thread(target=_renew, args=(note, done), name="project lock", daemon=True)
        renewing.start()
        try:
            yield owner
        finally:
            done.set()
            renewing.join()
            note.unlink(missing_ok=True)
    finally:
        lock.release()


def is_gone(owner: LockOwner, note: Path) -> bool:
    """Whether an owner has ended: by its process here, by the age of its note where it is on another machine."""
    if owner.host != socket.gethostname():
        with contextlib.suppress(FileNotFoundError):
            return time.time() - note.stat().st_mtime > FORGOTTEN_SECONDS
        return True
    try:
        process = psutil.Process(owner.pid)
        return abs(process.create_time() - owner.started) > 1.0 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _renew(note: Path, done: threading.Event) -> None:
    while not done.wait(RENEW_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(note)


def _read(note: Path) -> LockOwner | None:
    try:
        return msgspec.json.decode(note.read_bytes(), type=LockOwner)
    except (OSError, msgspec.DecodeError):
        return None


def _refusal(project: Project, owner: LockOwner | None) -> BusyError:
    if owner is None:
        return BusyError(
            f"another command works through the steps of {project.root}", hint="wait for it to end"
        )
    minutes = max(0.0, (datetime.now(UTC) - owner.since).total_seconds() / 60)
    where = f" on {one_line(owner.host)}" if owner.host != socket.gethostname() else ""
    return BusyError(
        f"{one_line(owner.command)[:200]} works through the steps of {project.root}: pid {owner.pid}{where}, since "
        f"{owner.since:%Y-%m-%d %H:%M:%S} UTC ({minutes:.0f} minutes)",
        hint="wait for it to end, or stop it: what it has finished stays finished"
        + (f" (kill {owner.pid})" if not where else ""),
    )


def read_owner(note: Path) -> tuple[LockOwner | None, bool]:
    """Who holds the lock by its note, and whether that owner has ended."""
    owner = _read(note)
    return owner, owner is not None and is_gone(owner, note)
