"""Progress of a call as the protocol tells it: one number that only grows, and a line of text."""

from __future__ import annotations

import time
from collections.abc import Callable

from freehold.progress_lines import amount

TELL_SECONDS = 0.5


class AgentProgress:
    """A `freehold.types.progress.Progress` that hands (number, text) to `tell`. After `close` it raises
    KeyboardInterrupt: the work is no longer waited for, and ends at its next sign of life."""

    def __init__(
        self, tell: Callable[[float, str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell, self._clock = tell, clock
        self._step, self._number, self._at = "", 0, -TELL_SECONDS
        self._closed = False

    def step(self, name: str, *, note: str = "") -> None:
        self._step = name
        self._send(name + (f" — {note}" if note else ""))

    def update(self, done: float, total: float | None, *, unit: str = "", note: str = "") -> None:
        if self._closed:
            raise KeyboardInterrupt
        if self._clock() - self._at >= TELL_SECONDS:
            said = f"{self._step}: {amount(done, total, unit)}" if self._step else amount(done, total, unit)
            self._send(said + (f" — {note}" if note else ""))

    def say(self, text: str) -> None:
        self._send(text)

    def close(self) -> None:
        self._closed = True

    def _send(self, text: str) -> None:
        if self._closed:
            raise KeyboardInterrupt
        self._number += 1
        self._at = self._clock()
        self._tell(float(self._number), text)
