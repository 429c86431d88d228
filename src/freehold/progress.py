"""How long work tells where it is, without knowing who watches, and the lines of it for logs, pipes and programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """What a workflow tells while it works. The command line draws it; tests and servers ignore it."""

    def step(self, name: str, *, note: str = "") -> None:
        """A named part of the work begins."""

    def update(self, done: float, total: float | None, *, unit: str = "", note: str = "") -> None:
        """`done` of `total` units of the current step are finished; `total` is None when unknown."""

    def say(self, text: str) -> None:
        """One line a person should read."""


class Silent:
    """A `Progress` that says nothing."""

    def step(self, name: str, *, note: str = "") -> None:
        return

    def update(self, done: float, total: float | None, *, unit: str = "", note: str = "") -> None:
        return

    def say(self, text: str) -> None:
        return


PLAIN_INTERVAL_SECONDS = 15.0


class StepWork:
    """What a step counts now. Within one step the work may change: texts are read, then batches are learned from, then
    samples are validated, each at a pace of its own."""

    def __init__(self) -> None:
        self._kind: tuple[float | None, str] | None = None
        self._done = 0.0

    def is_another(self, done: float, total: float | None, unit: str) -> bool:
        """Whether this is other work than the last time: what it tells of the pace does not count for the next."""
        another = self._kind is not None and ((total, unit) != self._kind or done < self._done)
        self._kind, self._done = (total, unit), done
        return another


class ProgressLines:
    """A `freehold.progress.Progress` that hands each line to `write`."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._printed = time.monotonic()
        self._first: tuple[float, float] | None = None
        self._work = StepWork()

    def step(self, name: str, *, note: str = "") -> None:
        self._printed = time.monotonic()
        self._first, self._work = None, StepWork()
        self._write(f"· {name}" + (f" — {note}" if note else ""))

    def update(self, done: float, total: float | None, *, unit: str = "", note: str = "") -> None:
        now = time.monotonic()
        if self._work.is_another(done, total, unit):
            self._first = None
        if self._first is None and done > 0:
            self._first = (now, done)  # what came before is loading, not the work's own pace
        if now - self._printed < PLAIN_INTERVAL_SECONDS:
            return
        self._printed = now
        left = ""
        if total and self._first is not None and self._first[1] < done < total:
            since, first = self._first
            left = f", about {duration((now - since) * (total - done) / (done - first))} left"
        self._write(f"    {amount(done, total, unit)}{left}" + (f" — {note}" if note else ""))

    def say(self, text: str) -> None:
        self._write(text)


def amount(done: float, total: float | None, unit: str) -> str:
    """``12 of 400 samples``."""
    return f"{done:,.0f}" + (f" of {total:,.0f}" if total else "") + (f" {unit}" if unit else "")


def duration(seconds: float) -> str:
    """``3m 20s`` for people."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
