"""Samples on their way into a dataset: on disk, with a small row each in memory, so that any number fits."""

from __future__ import annotations

import mmap
import tempfile
import weakref
from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import overload

import msgspec

from freehold import files
from freehold.types.dataset import Sample


class SampleSpool:
    """Encoded samples in a file without a name, each found by its row. 16 bytes of memory a row."""

    def __init__(self, folder: Path | None = None) -> None:
        """Raises `StorageError` when `folder` (None: the system's) takes no file."""
        with _writing():
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (open as long as the spool lives)
        weakref.finalize(self, self._file.close)
        self._starts = array("q")
        self._ends = array("q")
        self._end = 0
        self._seen: mmap.mmap | None = None
        self._decoder = msgspec.json.Decoder(Sample)

    def __len__(self) -> int:
        return len(self._starts)

    def append(self, sample: Sample) -> None:
        """Put a sample into the next row. Raises `StorageError` when the disk is full."""
        body = msgspec.json.encode(sample)
        with _writing():
            self._file.write(body)
        self._starts.append(self._end)
        self._end += len(body)
        self._ends.append(self._end)

    def __getitem__(self, row: int) -> Sample:
        if self._seen is None or len(self._seen) < self._end:
            with _writing():
                self._file.flush()
            self._seen = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._decoder.decode(self._seen[self._starts[row] : self._ends[row]])


class Rows(Sequence[Sample]):
    """Some rows of a spool in an order, read when they are asked for."""

    def __init__(self, spool: SampleSpool, rows: Sequence[int]) -> None:
        self._spool = spool
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Sample: ...
    @overload
    def __getitem__(self, at: slice) -> Rows: ...
    def __getitem__(self, at: int | slice) -> Sample | Rows:
        if isinstance(at, slice):
            return Rows(self._spool, self._rows[at])
        return self._spool[self._rows[at]]


def _writing() -> AbstractContextManager[None]:
    return files.writing(
        "samples cannot be kept on the way into the dataset",
        hint="free some space, then run the command again",
    )
