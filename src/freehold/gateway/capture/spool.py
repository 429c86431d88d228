"""What a worker has answered and the recorder has not yet acknowledged, in files that are mapped into memory.

A worker that is killed takes nothing with it: what was written to a mapped file stays there, without a system call,
however the process ends. The recorder drains the files of workers that are gone (`leftovers`). Files are segments
of a fixed size that are filled one after the other and used again; their space is allocated beforehand, because a
disk that is full when a mapped page is first touched ends the process.

Covered: every way a process can end, one by one or all at once. Not covered: power loss and a crash of the operating
system, after which the files may lack the last seconds.

A worker's files are ``ID.worker``, locked for as long as the worker lives, and ``ID-NUMBER.part``. Both are readable
by their owner only. Integers are little-endian.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import mmap
import os
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from freehold.gateway.capture.frames import FRAME, TAG_AT

log = logging.getLogger("freehold.gateway")
SEGMENT_BYTES = 1024 * 1024
OUTCOMES = ("stored", "store", "redaction", "unreadable")
"""What became of a trace, by the code in its acknowledgement: stored, or why it was lost."""
Drop = Literal["queue", "disk", "size", "memory"]
"""Why a trace was not kept: no room in the queue, on the disk, for one so long at all, or in the worker's memory."""
DROPS: tuple[Drop, ...] = get_args(Drop)
WORKER_SUFFIX, _PART_SUFFIX = ".worker", ".part"
_SPARES = 2
_USED = struct.Struct("<Q")
_DATA_AT = 64
_DONE, _OUTCOME_SHIFT, _TAG_MASK = 0x80, 3, 0x07
_COUNTS = struct.Struct(f"<{len(OUTCOMES) + len(DROPS)}Q")
_COUNTS_BYTES = 4096
_ZEROS = bytes(64 * 1024)


class SpoolSegment:
    """One file of messages: a counter of the bytes used, then frames as they go over the socket.

    A message that is done with has the bit `_DONE` in its tag, its outcome next to it, and nothing of what it said.
    """

    __slots__ = ("data", "path", "pending", "room", "settled", "used")

    def __init__(self, path: Path | None, room: int) -> None:
        """Raises `OSError` when there is no space. Without a path it is in memory only, and dies with the process."""
        self.path = path
        self.room = room
        self.pending = 0
        self.data = _mapped(path, room)
        self.reset()

    def reset(self) -> None:
        self.used = _DATA_AT
        self.settled = [0] * len(OUTCOMES)
        _USED.pack_into(self.data, 0, _DATA_AT)

    def append(self, message: bytes | bytearray) -> int:
        """Where the message now stands. It counts as written once the number of bytes used says so."""
        at = self.used
        end = at + len(message)
        self.data[at:end] = message
        self.used = end
        _USED.pack_into(self.data, 0, end)
        self.pending += 1
        return at

    def mark(self, at: int, outcome: int) -> None:
        """Done with the message at `at`."""
        mark_done(self.data, at, outcome)
        self.pending -= 1

    def close(self, *, remove: bool) -> None:
        self.data.close()
        if remove and self.path is not None:
            self.path.unlink(missing_ok=True)


class Spool:
    """A worker's messages, oldest first. `bytes` and `items` are those that are not done with."""

    def __init__(self, folder: Path | None, store: str, *, max_bytes: int) -> None:
        """In `folder`, for the store with the digest `store`; in memory only where there is no folder to write to."""
        self.id = f"{store}-{secrets.token_hex(8)}"
        self.settled = [0] * len(OUTCOMES)
        self.dropped = [0] * len(DROPS)
        self._max_bytes = max_bytes
        self._folder = folder
        self._number = 0
        self._segments: list[SpoolSegment] = []
        self._spare: list[SpoolSegment] = []
        self._counted = [0] * len(OUTCOMES)
        self._current: SpoolSegment | None = None
        self._lock_file, self._counts = _register(folder, self.id)
        if self._lock_file is None and folder is not None:
            log.warning("nothing can be written to %s: what a worker holds when it is killed is lost", folder)
            self._folder = None

    def append(self, message: bytes | bytearray) -> tuple[SpoolSegment, int] | None:
        """Where the message stands; None when there is no space for it."""
        segment = self._current
        if segment is None or segment.used + len(message) > segment.room:
            segment = self._next_segment(len(message))
            if segment is None:
                return None
        return segment, segment.append(message)

    def done(self, segment: SpoolSegment, at: int, *, outcome: int = 0, counts: bool = True) -> None:
        """A message may be forgotten. `counts`: it was a trace."""
        segment.mark(at, outcome)
        if counts:
            segment.settled[outcome] += 1
            self.settled[outcome] += 1
        if segment.pending == 0:
            self._recycle(segment)

    def drop(self, why: int) -> None:
        """Count a trace there was no room for."""
        self.dropped[why] += 1
        self._write_counts()

    def close(self) -> None:
        """Remove the files when nothing is left in them; else they stay, for the recorder to drain."""
        empty = all(segment.pending == 0 for segment in self._segments)
        self._write_counts(final=empty)
        for segment in (*self._segments, *self._spare):
            segment.close(remove=empty or segment.pending == 0)
        if self._folder is not None and empty:
            (self._folder / f"{self.id}{WORKER_SUFFIX}").unlink(missing_ok=True)
        self._counts.close()
        if self._lock_file is not None:
            os.close(self._lock_file)

    def _next_segment(self, size: int) -> SpoolSegment | None:
        needed = _DATA_AT + size
        spare = next((segment for segment in self._spare if segment.room >= needed), None)
        if spare is not None:
            self._spare.remove(spare)
        else:
            room = max(SEGMENT_BYTES, needed)
            if sum(one.room for one in self._segments) > 2 * self._max_bytes:
                return None
            path = None
            if self._folder is not None:
                path = self._folder / f"{self.id}-{self._number:08d}{_PART_SUFFIX}"
            try:
                spare = SpoolSegment(path, room)
            except OSError:
                if path is not None:
                    path.unlink(missing_ok=True)
                return None
            self._number += 1
        self._current = spare
        self._segments.append(spare)
        return spare

    def _recycle(self, segment: SpoolSegment) -> None:
        # What its marks say is counted in the header from here on.
        for code, count in enumerate(segment.settled):
            self._counted[code] += count
        self._write_counts()
        segment.reset()
        if segment is self._current:
            return
        self._segments.remove(segment)
        if len(self._spare) < _SPARES and segment.room == SEGMENT_BYTES:
            self._spare.append(segment)
        else:
            segment.close(remove=True)

    def _write_counts(self, *, final: bool = False) -> None:
        counted = self.settled if final else self._counted
        _COUNTS.pack_into(self._counts, 0, *counted, *self.dropped)


def store_digest(store_url: str) -> str:
    """What the names of spool files begin with: traces of one store must not be drained into another."""
    return hashlib.blake2b(store_url.encode(), digest_size=6).hexdigest()


def messages_in(data: bytes | mmap.mmap) -> Iterator[tuple[int, int, int, int, bool]]:
    """The messages of a segment's bytes: position, tag, size of the payload, outcome, and whether it is done with.

    Ends at the first that does not fit: a segment may be cut short by a crash of the operating system.
    """
    if len(data) < _DATA_AT:
        return
    end, at = min(_USED.unpack_from(data, 0)[0], len(data)), _DATA_AT
    while at + FRAME.size <= end:
        size, tag = FRAME.unpack_from(data, at)
        if at + FRAME.size + size > end:
            return
        yield at, tag & _TAG_MASK, size, tag >> _OUTCOME_SHIFT & 0x0F, bool(tag & _DONE)
        at += FRAME.size + size


def counts_in(data: bytes | mmap.mmap) -> tuple[list[int], list[int]]:
    """From a ``.worker`` file: traces by outcome whose segments are used again already, and drops by reason."""
    if len(data) < _COUNTS.size:
        return [0] * len(OUTCOMES), [0] * len(DROPS)
    numbers = _COUNTS.unpack_from(data, 0)
    return list(numbers[: len(OUTCOMES)]), list(numbers[len(OUTCOMES) :])


def mark_done(data: mmap.mmap, at: int, outcome: int) -> None:
    """Done with a message: what it said is overwritten, since the file is used again, and then it is marked."""
    size, _ = FRAME.unpack_from(data, at)
    begin = at + FRAME.size
    # In small pieces: a worker that is short of memory must not fail here.
    for start in range(begin, begin + size, len(_ZEROS)):
        end = min(start + len(_ZEROS), begin + size)
        data[start:end] = _ZEROS[: end - start]
    data[at + TAG_AT] |= _DONE | outcome << _OUTCOME_SHIFT


def parts_of(worker_file: Path) -> list[Path]:
    """The segments of a worker, oldest first."""
    return sorted(worker_file.parent.glob(f"{worker_file.stem}-*{_PART_SUFFIX}"))


def _register(folder: Path | None, worker_id: str) -> tuple[int | None, mmap.mmap]:
    """The locked file that says the worker lives, and the map of its counters."""
    if folder is None:
        return None, mmap.mmap(-1, _COUNTS_BYTES)
    file = None
    # Locked before it gets its name: a recorder must never see it without its lock.
    path = folder / f"{worker_id}.new"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _allocate(file, _COUNTS_BYTES)
        counts = mmap.mmap(file, _COUNTS_BYTES)
        path.rename(folder / f"{worker_id}{WORKER_SUFFIX}")
    except OSError:
        if file is not None:
            os.close(file)
        with contextlib.suppress(OSError):
            path.unlink()
        return None, mmap.mmap(-1, _COUNTS_BYTES)
    return file, counts


def _mapped(path: Path | None, size: int) -> mmap.mmap:
    if path is None:
        return mmap.mmap(-1, size)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _allocate(file, size)
        return mmap.mmap(file, size)
    finally:
        os.close(file)


def _allocate(file: int, size: int) -> None:
    """Have the file take its space on the disk now. Raises `OSError` when there is not enough."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        else:
            return
    zeros = _ZEROS
    for at in range(0, size, len(zeros)):
        os.pwrite(file, zeros[: size - at], at)
