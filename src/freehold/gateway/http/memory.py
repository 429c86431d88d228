"""One budget of bytes for all that a worker holds of its clients' requests and its endpoints' answers.

What comes when the budget is spent is refused, with a hint when to try again; what was let in may finish. An upload
that makes no progress loses its room to the next one that needs it. Large bodies may use a part of the budget only, so
that a few of them never shut out ordinary requests.
"""

from __future__ import annotations

import sys
from typing import Protocol

import msgspec

DEFAULT_BYTES = 192 * 1024 * 1024
# Up to this a body is an ordinary one.
_ORDINARY_BYTES_MAX = 1024 * 1024
LARGE_SHARE = 0.75
"""The part of the budget that large bodies may use."""
# An upload that brought less than this in a whole second makes no progress.
_PROGRESS_BYTES = 16 * 1024
# Worth returning to the system at once: the allocator would hold it for later.
_TRIM_BYTES = 8 * 1024 * 1024


class Upload(Protocol):
    """A body that is still coming in."""

    @property
    def received_bytes(self) -> int:
        """How much has come."""

    def evict(self) -> None:
        """Release what is held, and answer that there is no room."""


class MemoryBudget:
    """The bytes in use, and who waits for more. Everything happens on the event loop's thread."""

    __slots__ = ("_freed_bytes", "_progress", "_stalled", "evictions", "limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int = DEFAULT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.evictions = 0
        self._freed_bytes = 0
        self._progress: dict[Upload, int] = {}
        self._stalled: list[Upload] = []

    def take(self, size: int) -> bool:
        """Reserve bytes; False where there is no room, also after stalled uploads have lost theirs."""
        most = self.limit_bytes
        if size > _ORDINARY_BYTES_MAX:
            most = int(most * LARGE_SHARE)
        while self.used_bytes + size > most:
            if not self._stalled:
                return False
            self.evictions += 1
            upload = self._stalled.pop()
            self._progress.pop(upload, None)
            upload.evict()
        self.used_bytes += size
        return True

    def force(self, size: int) -> None:
        """Count bytes that something already let in needs in order to finish."""
        self.used_bytes += size

    def give(self, size: int) -> None:
        """Return reserved bytes."""
        self.used_bytes -= size
        self._freed_bytes += size

    def begin(self, upload: Upload) -> None:
        """Watch the progress of a body that is coming in."""
        self._progress[upload] = -_PROGRESS_BYTES

    def end(self, upload: Upload) -> None:
        """The body is whole, or its client has gone."""
        if self._progress.pop(upload, None) is not None and upload in self._stalled:
            self._stalled.remove(upload)

    def sweep(self) -> None:
        """Once a second: see which uploads make no progress, and return freed memory to the system."""
        stalled = []
        for upload, before in self._progress.items():
            received = upload.received_bytes
            if received - before < _PROGRESS_BYTES:
                stalled.append(upload)
            self._progress[upload] = received
        # The youngest lose last.
        self._stalled = stalled[::-1]
        if self._freed_bytes > _TRIM_BYTES:
            self._freed_bytes = 0
            _return_to_system()


class HeldBytes(msgspec.Struct, eq=False):
    """What one owner holds of a budget, returned at once when it lets go."""

    budget: MemoryBudget
    size_bytes: int = 0

    def take(self, size: int) -> bool:
        """Hold more; False where there is no room."""
        if not self.budget.take(size):
            return False
        self.size_bytes += size
        return True

    def force(self, size: int) -> None:
        """Hold more in any case."""
        self.budget.force(size)
        self.size_bytes += size

    def give(self, size: int) -> None:
        """Hold less."""
        self.size_bytes -= size
        self.budget.give(size)

    def release(self) -> None:
        """Hold nothing any more."""
        if self.size_bytes:
            self.budget.give(self.size_bytes)
            self.size_bytes = 0


def _return_to_system() -> None:
    """glibc holds freed pieces of its heap for later: after a burst of uploads that would be all of the burst."""
    if sys.platform == "linux":
        # Late: most workers never see a burst.
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
