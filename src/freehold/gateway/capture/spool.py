"""What a worker has answered and the store does not have yet, in files that worker and recorder map into memory.

A worker that is killed takes nothing with it: what was written to a mapped file stays there, without a system call,
however the process ends. The recorder reads messages where they stand, and marks those that it is done with: written to
the store, or given up and counted. One that is killed leaves the rest to the next one, which recognises by its id what
was written just before. Files are segments of a fixed size that are filled one after the other and removed when all in
them is done with; their space is allocated beforehand, because a disk that is full when a mapped page is first touched
ends the process.

Covered: every way a process can end, one by one or all at once. Not covered: power loss and a crash of the operating
system, after which the files may lack the last seconds.

A worker's files are ``ID.worker``, locked for as long as the worker lives, and ``ID-NUMBER.part``. Both are readable
by their owner only. An ID begins with the digests of the store and of the gateway. Integers are little-endian, but for
a message's length. Of the words of a ``.worker`` file some are the worker's, some the recorder's: each writes its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import logging
import mmap
import os
import secrets
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

import msgspec

from freehold.gateway.messages import CapturedExchange, NumberedCharge
from freehold.gateway.telemetry.meters import settle_counters

log = logging.getLogger("freehold.gateway")
FRAME = struct.Struct(">IB")
"""Before each message: the length of its payload, and a tag of up to 7, next to which other bits stand."""
TRACE, CHARGE = 1, 6
SEGMENT_BYTES = 1024 * 1024
OUTCOMES = ("stored", "store", "redaction", "unreadable")
"""What became of a trace, by the code in its mark: stored, or why it was lost."""
Drop = Literal["queue", "disk", "size", "memory"]
"""Why a trace was not kept: no room in the queue, on the disk, for one so long at all, or in the worker's memory."""
DROPS: tuple[Drop, ...] = get_args(Drop)
_WORKER, _PART = ".worker", ".part"
_USED = struct.Struct("<Q")
_DATA_AT = 64
_TAG_AT, _DONE, _OUTCOME_SHIFT, _TAG_MASK = 4, 0x80, 3, 0x07
# The worker's words: its drops by reason, and how many of its bills it holds nothing for any more.
_DROPPED, _RELEASED, _RELEASED_AT = struct.Struct(f"<{len(DROPS)}Q"), struct.Struct("<Q"), 64
# The recorder's: traces by outcome, bytes and bills that are done with; the same of segments that are removed, and the
# number of the first that is not.
_SETTLED, _SETTLED_AT = struct.Struct(f"<{len(OUTCOMES) + 2}Q"), 128
_REMOVED, _REMOVED_AT = struct.Struct(f"<{len(OUTCOMES) + 3}Q"), 256
_BYTES, _BILLS = len(OUTCOMES), len(OUTCOMES) + 1
_WORDS_BYTES = 4096
_ZEROS = bytes(64 * 1024)
_POLL_S = 0.05
_encode_into = msgspec.msgpack.Encoder().encode_into


def digest_of(name: str) -> str:
    """What stands in the names of files for a store's address or a gateway's run folder: traces of one store must not
    be drained into another."""
    return hashlib.blake2b(name.encode(), digest_size=6).hexdigest()


class Spool:
    """A worker's side: takes messages without ever waiting, and counts those there was no room for.

    For the store and the gateway of these digests. `max_items` and `max_bytes` bound what is not done with.
    """

    def __init__(self, folder: Path, store: str, gateway: str, *, max_items: int, max_bytes: int) -> None:
        self.id = f"{store}-{gateway}-{secrets.token_hex(8)}"
        self.captured = 0
        """Traces taken so far; each is stored or lost in the end, or still on its way."""
        self.dropped = [0] * len(DROPS)
        self._folder = folder
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._bytes = 0
        self._number = 0
        self._data: mmap.mmap | None = None
        self._used = self._room = 0
        self._waiting: deque[bytearray] = deque()
        self._waiting_bytes = 0
        self._lock_file: int | None = None
        self._words = mmap.mmap(-1, _WORDS_BYTES)
        self._warned = False
        self._register()

    def offer(self, captured: CapturedExchange) -> bool:
        """Keep one trace; False when there is no room. When this returns, the worker may die.

        Where nothing could be written to the folder since the worker began, as on a file system that is read-only at
        the moment, it waits in memory.
        """
        size = len(captured.request) + len(captured.response)
        settled = _SETTLED.unpack_from(self._words, _SETTLED_AT)
        if (
            self.captured - sum(settled[:_BYTES]) >= self._max_items
            or self._bytes + self._waiting_bytes - settled[_BYTES] + size > self._max_bytes
        ):
            self.drop("queue")
            return False
        # Encoded behind the room for its frame, so that nothing is copied.
        message = bytearray(FRAME.size)
        _encode_into(captured, message, FRAME.size)
        FRAME.pack_into(message, 0, len(message) - FRAME.size, TRACE)
        if self._waiting or not self.append(message):
            if self._lock_file is not None and not self._waiting:
                self.drop("disk")
                return False
            self._waiting.append(message)
            self._waiting_bytes += len(message)
        self.captured += 1
        return True

    def write_waiting(self) -> None:
        """Write what waits in memory, where that is possible by now."""
        while self._waiting and self.append(self._waiting[0]):
            self._waiting_bytes -= len(self._waiting.popleft())

    def charge(self, payload: bytes) -> bool:
        """Keep one bill; False when there is no space on the disk. When this returns, the worker may die."""
        return self.append(framed(CHARGE, payload))

    def drop(self, why: Drop) -> None:
        """Count a trace that is not kept."""
        self.dropped[DROPS.index(why)] += 1
        _DROPPED.pack_into(self._words, 0, *self.dropped)

    def append(self, message: bytes | bytearray) -> bool:
        """It counts as written once the number of bytes used says so."""
        size = len(message)
        if self._used + size > self._room:
            self._begin_segment(size)
            if self._used + size > self._room:
                return False
        assert self._data is not None
        end = self._used + size
        self._data[self._used : end] = message
        _USED.pack_into(self._data, 0, end)
        self._used = end
        self._bytes += size
        return True

    @property
    def settled(self) -> tuple[int, ...]:
        """Traces that are done with, by outcome."""
        return _SETTLED.unpack_from(self._words, _SETTLED_AT)[:_BYTES]

    @property
    def booked(self) -> int:
        """Bills that are in the store."""
        booked: int = _SETTLED.unpack_from(self._words, _SETTLED_AT)[_BILLS]
        return booked

    def note_released(self, bills: int) -> None:
        """Nothing is reserved for this number of bills any more."""
        _RELEASED.pack_into(self._words, _RELEASED_AT, bills)

    async def close(self, within_s: float) -> None:
        """Wait until the recorder is done with all of it. What is left stays, for the next one to drain."""
        self.write_waiting()
        deadline_s = time.monotonic() + within_s
        while self._bytes > _SETTLED.unpack_from(self._words, _SETTLED_AT)[_BYTES]:
            if time.monotonic() > deadline_s:
                break
            await asyncio.sleep(_POLL_S)
        self.leave()

    def leave(self) -> None:
        """Nothing more comes; the recorder removes the files."""
        if self._data is not None:
            self._data.close()
            self._data, self._room = None, 0
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _begin_segment(self, size: int) -> None:
        if self._lock_file is None and not self._register():
            return
        if self._bytes - _SETTLED.unpack_from(self._words, _SETTLED_AT)[_BYTES] > 2 * self._max_bytes:
            return
        path = self._folder / _part_name(self.id, self._number)
        try:
            data = _allocated(path, max(SEGMENT_BYTES, _DATA_AT + size))
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
            return
        if self._data is not None:
            self._data.close()
        self._data, self._used, self._room = data, _DATA_AT, len(data)
        _USED.pack_into(data, 0, _DATA_AT)
        self._number += 1

    def _register(self) -> bool:
        """Make the locked file that says that the worker lives. False where that cannot be done now."""
        # Locked before it gets its name: a recorder must never see it without its lock.
        path = self._folder / f"{self.id}.new"
        file = None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            words = _allocated(path, _WORDS_BYTES)
            file = os.open(path, os.O_RDWR)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.rename(path.with_suffix(_WORKER))
        except OSError as error:
            if not self._warned:
                log.warning("nothing can be kept in %s: %s", self._folder, error)
                self._warned = True
            if file is not None:
                os.close(file)
            with contextlib.suppress(OSError):
                path.unlink()
            return False
        self._lock_file, self._words = file, words
        _DROPPED.pack_into(words, 0, *self.dropped)
        return True


def framed(tag: int, payload: bytes) -> bytes:
    """A message with its length and tag before it."""
    return FRAME.pack(len(payload), tag) + payload


class _Segment:
    """A file of messages as it is read. `pending` are those that are not done with, `settled` counts the others."""

    __slots__ = ("data", "path", "pending", "read_to", "settled")

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.read_to = _DATA_AT
        self.pending = 0
        self.settled = [0] * (len(OUTCOMES) + 2)

    def count(self, tag: int, size: int, outcome: int) -> None:
        self.settled[_BYTES] += FRAME.size + size
        if tag == CHARGE:
            self.settled[_BILLS] += 1
        elif tag == TRACE and outcome < len(OUTCOMES):
            self.settled[outcome] += 1


class SpoolReader:
    """The recorder's side of one worker's spool. Not usable by several threads at once."""

    def __init__(self, worker_file: Path) -> None:
        """Raises `OSError`."""
        self.id = worker_file.stem
        self._worker_file = worker_file
        self._file = os.open(worker_file, os.O_RDWR)
        try:
            self._words = mmap.mmap(self._file, _WORDS_BYTES)
        except ValueError as error:
            os.close(self._file)
            raise OSError(f"{worker_file.name}: {error}") from None
        *self._removed, self._number = _REMOVED.unpack_from(self._words, _REMOVED_AT)
        self._segments: deque[_Segment] = deque()
        self._open: dict[int, deque[tuple[_Segment, int]]] = {TRACE: deque(), CHARGE: deque()}
        self._locked = False
        self._bills: int | None = None
        """How many bills were written before the first of `_held`."""
        self._held: deque[tuple[list[str], int]] = deque()
        """What the worker holds for the bills after these, in nanodollars for some names."""

    @property
    def is_abandoned(self) -> bool:
        """Whether the worker is gone. From then on its spool is this process's."""
        if not self._locked:
            with contextlib.suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._locked = True
        return self._locked

    @property
    def is_removed(self) -> bool:
        """Whether another recorder was done with it."""
        return not os.fstat(self._file).st_nlink

    @property
    def is_drained(self) -> bool:
        """Whether all that was found is done with."""
        return not any(self._open.values())

    def look(self) -> list[bytes]:
        """Find what was written since the last look; returns the bills of it, oldest first."""
        bills = []
        while (data := _mapped(self._part(self._number + len(self._segments)))) is not None:
            self._segments.append(_Segment(self._part(self._number + len(self._segments)), data))
        for segment in self._segments:
            for at, tag, size, outcome, done in messages_in(segment.data, segment.read_to):
                segment.read_to = at + FRAME.size + size
                if done:
                    segment.count(tag, size, outcome)
                elif tag in self._open:
                    segment.pending += 1
                    self._open[tag].append((segment, at))
                    if tag == CHARGE:
                        bills.append(segment.data[at + FRAME.size : segment.read_to])
        if self._bills is None:
            self._bills = self._totals()[_BILLS]
            self._settle()
        self._held.extend(map(_reserved_for, bills))
        while self._held and self._bills < _RELEASED.unpack_from(self._words, _RELEASED_AT)[0]:
            self._held.popleft()
            self._bills += 1
        return bills

    def messages(self, tag: int) -> Iterator[bytes]:
        """The payloads of a kind that were found and are not done with, oldest first."""
        for segment, at in self._open[tag]:
            size, _ = FRAME.unpack_from(segment.data, at)
            yield segment.data[at + FRAME.size : at + FRAME.size + size]

    def acknowledge(self, tag: int, outcomes: Iterable[int]) -> None:
        """Done with the oldest of a kind: what became of each."""
        for outcome in outcomes:
            segment, at = self._open[tag].popleft()
            size, _ = FRAME.unpack_from(segment.data, at)
            _mark_done(segment.data, at, size, outcome)
            segment.count(tag, size, outcome)
            segment.pending -= 1
        self._settle()

    def _settle(self) -> None:
        """Remove segments that are done with, and tell the worker what is."""
        # The last one may be written to; what the others hold was all found.
        while len(self._segments) > 1 and not self._segments[0].pending:
            segment = self._segments.popleft()
            self._removed = [one + more for one, more in zip(self._removed, segment.settled, strict=True)]
            self._number += 1
            _REMOVED.pack_into(self._words, _REMOVED_AT, *self._removed, self._number)
            segment.data.close()
            segment.path.unlink(missing_ok=True)
        _SETTLED.pack_into(self._words, _SETTLED_AT, *self._totals())

    def held_nano(self) -> dict[str, int]:
        """What the worker still held for bills at the last look, by name, in nanodollars."""
        held: dict[str, int] = {}
        for names, nano in self._held:
            for name in names:
                held[name] = held.get(name, 0) + nano
        return held

    def remove(self, run_folder: Path) -> None:
        """Write the worker's last numbers where the others' are, then remove its files."""
        settled = self._totals()[:_BYTES]
        counters: dict[tuple[str, tuple[str, ...]], float] = {
            ("freehold_traces_captured", ()): sum(settled),
            ("freehold_traces_stored", ()): settled[0],
        }
        for drop, count in zip(DROPS, _DROPPED.unpack_from(self._words, 0), strict=True):
            counters["freehold_traces_dropped", (drop,)] = count
        for why, count in zip(OUTCOMES[1:], settled[1:], strict=True):
            counters["freehold_traces_lost", (why,)] = count
        settle_counters(run_folder, self.id, counters)
        for path in parts_of(self._worker_file):
            path.unlink(missing_ok=True)
        self._worker_file.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave the files to another process."""
        for segment in self._segments:
            segment.data.close()
        self._segments.clear()
        self._words.close()
        os.close(self._file)

    def _part(self, number: int) -> Path:
        return self._worker_file.with_name(_part_name(self.id, number))

    def _totals(self) -> list[int]:
        return [
            sum(counts)
            for counts in zip(self._removed, *(one.settled for one in self._segments), strict=True)
        ]


def open_spools(
    folder: Path, store: str, gateway: str, known: Iterable[str], *, abandoned: bool
) -> Iterator[SpoolReader]:
    """The spools in `folder`, but the `known` ones, for the store with the digest `store`: those of a gateway's
    workers, and of others' that are `abandoned`."""
    for path in sorted(folder.glob(f"{store}-{'' if abandoned else f'{gateway}-'}*{_WORKER}")):
        if path.stem in known:
            continue
        try:
            reader = SpoolReader(path)
        except OSError as error:
            log.warning("%s cannot be read and is passed over: %s", path.name, error)
            continue
        # Removed by another recorder between the look at the folder and the lock?
        if (path.stem.startswith(f"{store}-{gateway}-") or reader.is_abandoned) and not reader.is_removed:
            yield reader
        else:
            reader.close()


def messages_in(data: bytes | mmap.mmap, at: int = _DATA_AT) -> Iterator[tuple[int, int, int, int, bool]]:
    """The messages of a segment's bytes from a place on: position, tag, size of the payload, outcome, and whether it is
    done with.

    Ends at the first that does not fit: a segment may be cut short by a crash of the operating system.
    """
    if len(data) < _DATA_AT:
        return
    end = min(_USED.unpack_from(data, 0)[0], len(data))
    while at + FRAME.size <= end:
        size, tag = FRAME.unpack_from(data, at)
        if at + FRAME.size + size > end:
            return
        yield at, tag & _TAG_MASK, size, tag >> _OUTCOME_SHIFT & 0x0F, bool(tag & _DONE)
        at += FRAME.size + size


def parts_of(worker_file: Path) -> list[Path]:
    """The segments of a worker, oldest first."""
    return sorted(worker_file.parent.glob(f"{worker_file.stem}-*{_PART}"))


def _part_name(worker: str, number: int) -> str:
    return f"{worker}-{number:08d}{_PART}"


def _mark_done(data: mmap.mmap, at: int, size: int, outcome: int) -> None:
    """Done with a message: what it said is overwritten, and then it is marked."""
    begin = at + FRAME.size
    # In small pieces: no long copy of it is made.
    for start in range(begin, begin + size, len(_ZEROS)):
        end = min(start + len(_ZEROS), begin + size)
        data[start:end] = _ZEROS[: end - start]
    data[at + _TAG_AT] |= _DONE | outcome << _OUTCOME_SHIFT


def _reserved_for(payload: bytes) -> tuple[list[str], int]:
    """The names that a bill is charged to, and what its worker holds for it."""
    try:
        bill = msgspec.msgpack.decode(payload, type=NumberedCharge)
    except msgspec.DecodeError:
        return [], 0
    return bill.charge.names, bill.reserved_nano_usd


def _mapped(path: Path) -> mmap.mmap | None:
    """A file mapped for reading and writing; None where it is not there, or empty yet."""
    try:
        with path.open("r+b") as file:
            return mmap.mmap(file.fileno(), 0)
    except (OSError, ValueError):
        return None


def _allocated(path: Path, size: int) -> mmap.mmap:
    """A new file that has its space on the disk, mapped. Raises `OSError` when there is not enough."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            os.posix_fallocate(file, 0, size)
        except (AttributeError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            for at in range(0, size, len(_ZEROS)):
                os.pwrite(file, _ZEROS[: size - at], at)
        return mmap.mmap(file, size)
    finally:
        os.close(file)


# What gateways have answered and the store does not have yet, seen from any process. Who deletes something from the
# store must know: a trace that is on its way is written a moment later.


def in_flight(folder: Path, store_url: str) -> frozenset[tuple[str, int]]:
    """The traces in a spool folder that are on their way to this store, each by where it stands. Raises `OSError`."""
    return frozenset(_on_their_way(folder, f"{digest_of(store_url)}-*{_WORKER}"))


def of_other_stores(folder: Path, store_url: str) -> int:
    """How many traces wait there for a store of another address: no gateway of this one writes them."""
    return len(set(_on_their_way(folder, f"*{_WORKER}"))) - len(in_flight(folder, store_url))


def await_written(
    folder: Path, store_url: str, *, within_s: float, tell: Callable[[int], None] = lambda left: None
) -> int:
    """Wait until what is on its way now has come to its end, stored or counted as lost; what comes later is not waited
    for. Returns how many are still on their way after `within_s` seconds. Raises `OSError`."""
    deadline_s = time.monotonic() + within_s
    left = in_flight(folder, store_url)
    while left and time.monotonic() < deadline_s:
        tell(len(left))
        time.sleep(_POLL_S)
        left &= in_flight(folder, store_url)
    return len(left)


def _on_their_way(folder: Path, pattern: str) -> Iterator[tuple[str, int]]:
    for worker_file in folder.glob(pattern):
        for part in parts_of(worker_file):
            # One that is gone was done with in between.
            with contextlib.suppress(FileNotFoundError):
                messages = messages_in(part.read_bytes())
                yield from ((part.name, at) for at, tag, _, _, done in messages if tag == TRACE and not done)
