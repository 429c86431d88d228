"""Answers kept on disk as they come, so that a replay resumes where it stopped."""

from __future__ import annotations

import contextlib
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

from freehold.errors import StorageError
from freehold.evals.answers import ChatAnswer
from freehold.types.record import Record


class _Line(Record, frozen=True, kw_only=True):
    key: str
    answer: ChatAnswer
    at: datetime


class AnswerCache:
    """A JSON-lines file of answers by key; a context manager. Without a path it lives in memory only.

    Each is the system's at once, so that a process that is killed loses none that was paid for; written through to the
    disk (fsync) every `batch` answers or `seconds`, and at the end. A last line cut by a crash is ignored and its
    request asked again. Raises `StorageError` when the file can't be written.
    """

    def __init__(self, path: Path | None, *, batch: int = 512, seconds: float = 2.0) -> None:
        self._path = path
        self._batch = batch
        self._seconds = seconds
        self._answers: dict[str, ChatAnswer] = {}
        self._file: BinaryIO | None = None
        self._unsynced = 0
        self._synced_at = 0.0

    def __enter__(self) -> AnswerCache:
        if self._path is None:
            return self
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                self._read(self._path.read_bytes())
            self._file = self._path.open("ab")
            if self._file.tell() and not self._path.read_bytes().endswith(b"\n"):
                self._file.write(b"\n")
        except OSError as error:
            raise self._fault(error) from None
        self._synced_at = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            try:
                self._sync()
            finally:
                self._file.close()
                self._file = None

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> ChatAnswer | None:
        """The answer kept under `key`."""
        return self._answers.get(key)

    def put(self, key: str, answer: ChatAnswer) -> None:
        """Keep an answer, unless asking again could give a better one."""
        if not answer.keepable:
            return
        self._answers[key] = answer
        if self._file is None:
            return
        line = _Line(key=key, answer=answer, at=datetime.now(UTC))
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._fault(error) from None
        self._unsynced += 1
        if self._unsynced >= self._batch or time.monotonic() - self._synced_at >= self._seconds:
            self._sync()

    def _read(self, data: bytes) -> None:
        for line in data.splitlines():
            try:
                kept = msgspec.json.decode(line, type=_Line)
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue  # the line a crash cut short; its request is asked again
            self._answers[kept.key] = kept.answer

    def _sync(self) -> None:
        assert self._file is not None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._fault(error) from None
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def _fault(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self._path}: answers cannot be kept: {error.strerror}",
            hint="free some space or check who owns the folder, then run again: what was kept is used",
        )


def oldest_answer(path: Path) -> datetime | None:
    """When the oldest answer of a file was given: the first, since a file only grows. None where there is none.

    The time of the file says less: one more answer, or one that is taken out, makes it new.
    """
    if not path.exists():
        return None
    with path.open("rb") as file:
        for line in file:
            with contextlib.suppress(msgspec.DecodeError):  # a line that a crash cut short
                return msgspec.json.decode(line, type=_Line).at
    return None
