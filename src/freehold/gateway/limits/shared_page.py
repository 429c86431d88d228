"""A small file in the gateway's run folder that all workers map into their memory, and its lock.

Run folders lie where programs that tidy up remove what looks old. A page whose file was removed is made newly with what
the old one held, under the old one's lock, so no worker counts by itself; where that cannot be done, an error says so
and the caller refuses.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK_TRIES, _LOCK_PAUSE_S = 200, 0.0001
WORD_BYTES = 8


class SharedPage:
    """A page of `count` words, whole numbers of 64 bits and zeros at first. Each is read and written at once; what
    belongs together is changed between `lock` and `unlock`. The count ends the file's name: workers of another version,
    whose page is laid out otherwise, have one of their own."""

    def __init__(self, path: Path, count: int) -> None:
        """Raises `OSError`."""
        self._path = path.with_name(f"{path.name}-{count}")
        self._size = count * WORD_BYTES
        self._file, self._map = self._opened(bytes(self._size))
        self.words = memoryview(self._map).cast("q")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the page. Raises what `lock` does."""
        self.lock()
        try:
            yield
        finally:
            self.unlock()

    def lock(self) -> None:
        """No other process changes the page until `unlock`. Raises `TimeoutError` when another process does not release
        it within 20 ms, `OSError` when it is gone and no new one can be made."""
        _lock(self._file)
        found = os.fstat(self._file)
        if found.st_nlink and found.st_size >= self._size:
            return
        try:
            if found.st_size < self._size:
                raise OSError(f"{self._path} was cut short")
            self._exchange()
        except BaseException:
            self.unlock()
            raise

    def unlock(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def _exchange(self) -> None:
        """Go on with a new file, and leave it locked. The old one's lock is held: all writes to it have ended."""
        file, page = self._opened(self._map[:])
        try:
            _lock(file)
        except BaseException:
            page.close()
            os.close(file)
            raise
        self.close()
        self._file, self._map = file, page
        self.words = memoryview(page).cast("q")

    def _opened(self, content: bytes) -> tuple[int, mmap.mmap]:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(file)
            try:
                # Written, not only made longer: a full disk must be an error here, not a signal at the first use.
                if os.fstat(file).st_size < self._size:
                    os.pwrite(file, content, 0)
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)
            return file, mmap.mmap(file, self._size)
        except BaseException:
            os.close(file)
            raise

    def close(self) -> None:
        """Let go of the file; the page stays for the others."""
        self.words.release()
        self._map.close()
        os.close(self._file)


def _lock(file: int) -> None:
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_S)
    raise TimeoutError("another process does not release the page")
