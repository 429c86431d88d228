"""Drain what workers that are gone left in their spools: into the store, or counted.

A worker holds a lock on its ``.worker`` file for as long as it lives, so a file whose lock is free belongs to one that
was killed, in this run of the gateway or in one before. Its messages take the same way as those of a worker that lives,
are marked as they are done with, and only then are the files removed: a recorder that is killed meanwhile leaves
the rest to the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from freehold.gateway.capture.frames import CHARGE, FRAME, TRACE
from freehold.gateway.capture.spool import (
    DROPS,
    OUTCOMES,
    WORKER_SUFFIX,
    counts_in,
    mark_done,
    messages_in,
    parts_of,
)
from freehold.gateway.messages import NumberedCharge
from freehold.gateway.telemetry.meters import settle_counters

log = logging.getLogger("freehold.gateway.recorder")


class DeadSpool:
    """The spool of a worker that is gone, locked by this process. Not usable by several threads at once."""

    def __init__(self, worker_file: Path, lock_file: int) -> None:
        self.id = worker_file.stem
        self._worker_file = worker_file
        self._lock_file = lock_file
        self.billed_nano: dict[str, int] = {}
        """What the worker still held for bills that are in its spool, by name."""
        self._parts: list[tuple[Path, mmap.mmap]] = []
        self._open: dict[int, deque[tuple[mmap.mmap, int]]] = {TRACE: deque(), CHARGE: deque()}
        settled, dropped = counts_in(worker_file.read_bytes())
        self._settled, self._dropped = settled, dropped
        for path in parts_of(worker_file):
            data = _map_file(path)
            if data is None:
                continue
            self._parts.append((path, data))
            for at, tag, size, outcome, done in messages_in(data):
                if tag == CHARGE and not done:
                    self._add_billed(data[at + FRAME.size : at + FRAME.size + size])
                if not done and tag in self._open:
                    self._open[tag].append((data, at))
                elif done and tag == TRACE and outcome < len(OUTCOMES):
                    self._settled[outcome] += 1

    def _add_billed(self, payload: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            bill = msgspec.msgpack.decode(payload, type=NumberedCharge)
            if bill.reserved_nano_usd:
                for name in bill.charge.names:
                    self.billed_nano[name] = self.billed_nano.get(name, 0) + bill.reserved_nano_usd

    @property
    def is_drained(self) -> bool:
        return not any(self._open.values())

    @property
    def traces(self) -> int:
        """Traces that are not done with."""
        return len(self._open[TRACE])

    def messages(self, tag: int) -> Iterator[bytes]:
        """The payloads of a kind that are not done with, oldest first."""
        for data, at in list(self._open[tag]):
            size, _ = FRAME.unpack_from(data, at)
            yield data[at + FRAME.size : at + FRAME.size + size]

    def acknowledge(self, tag: int, outcome: int, count: int) -> None:
        """Done with the oldest `count` of a kind."""
        for _ in range(min(count, len(self._open[tag]))):
            data, at = self._open[tag].popleft()
            mark_done(data, at, outcome)
            if tag == TRACE:
                self._settled[outcome] += 1

    def remove(self, run_folder: Path) -> None:
        """Write the worker's last numbers where the others' are, then remove its files."""
        counters: dict[tuple[str, tuple[str, ...]], float] = {
            ("freehold_traces_captured", ()): sum(self._settled),
            ("freehold_traces_stored", ()): self._settled[0],
        }
        for drop, count in zip(DROPS, self._dropped, strict=True):
            counters["freehold_traces_dropped", (drop,)] = count
        for why, count in zip(OUTCOMES[1:], self._settled[1:], strict=True):
            counters["freehold_traces_lost", (why,)] = count
        settle_counters(run_folder, self.id, counters)
        for path, _ in self._parts:
            path.unlink(missing_ok=True)
        self._worker_file.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave the files to another process."""
        for _, data in self._parts:
            data.close()
        self._parts.clear()
        os.close(self._lock_file)


def find_dead_spool(folder: Path, store: str) -> DeadSpool | None:
    """A spool in `folder`, for the store with the digest `store`, whose worker is gone; None where there is none."""
    for path in sorted(folder.glob(f"{store}-*{WORKER_SUFFIX}")):
        with contextlib.suppress(OSError):
            lock_file = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Removed by another recorder between the look at the folder and the lock?
                if os.fstat(lock_file).st_nlink:
                    return DeadSpool(path, lock_file)
            except OSError:
                os.close(lock_file)
                raise
            os.close(lock_file)
    return None


def _map_file(path: Path) -> mmap.mmap | None:
    """A file mapped for reading and writing; None where it is empty or gone."""
    try:
        with path.open("r+b") as file:
            return mmap.mmap(file.fileno(), 0)
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read and is passed over: %s", path.name, error)
        return None
