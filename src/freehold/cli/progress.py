"""Progress as a person sees it: one bar with the time left on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from freehold.cli.output import console, echo
from freehold.types.progress import Progress

PLAIN_INTERVAL_SECONDS = 15.0


class _Work:
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


class PlainProgress:
    """Lines for logs and pipes: a line for each step, and one every 15 seconds within it."""

    def __init__(self) -> None:
        self._printed = time.monotonic()
        self._first: tuple[float, float] | None = None
        self._work = _Work()

    def step(self, name: str, *, note: str = "") -> None:
        self._printed = time.monotonic()
        self._first, self._work = None, _Work()
        echo(f"· {name}" + (f" — {note}" if note else ""), err=True)

    def update(self, done: float, total: float | None, *, unit: str = "", note: str = "") -> None:
        now = time.monotonic()
        if self._work.is_another(done, total, unit):
            self._first = None
        if self._first is None and done > 0:
            self._first = (now, done)  # what came before is loading, not the work's own pace
        if now - self._printed < PLAIN_INTERVAL_SECONDS:
            return
        self._printed = now
        part = f"{done:,.0f}" + (f" of {total:,.0f}" if total else "") + (f" {unit}" if unit else "")
        left = ""
        if total and self._first is not None and self._first[1] < done < total:
            since, first = self._first
            left = f", about {duration((now - since) * (total - done) / (done - first))} left"
        echo(f"    {part}{left}" + (f" — {note}" if note else ""), err=True)

    def say(self, text: str) -> None:
        echo(text, err=True)


class BarProgress:
    """A live bar drawn by rich."""

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console = console(stderr=True)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=self._console,
        )
        self._task: object | None = None
        self._name = ""
        self._began = 0.0
        self._work = _Work()

    def start(self) -> None:
        self._bars.start()

    def stop(self) -> None:
        self._finish()
        self._bars.stop()

    def _finish(self) -> None:
        from rich.text import Text

        if self._task is not None:
            self._bars.remove_task(self._task)  # type: ignore[arg-type]
            self._task = None
            done = Text.assemble(
                ("✓ ", "green"), self._name, (f"  {duration(time.monotonic() - self._began)}", "dim")
            )
            self._bars.print(done)
            self._bars.refresh()

    def step(self, name: str, *, note: str = "") -> None:
        self._finish()
        self._name, self._began, self._work = name, time.monotonic(), _Work()
        self._task = self._bars.add_task(name, total=None, amount="", note=note)

    def update(self, done: float, total: float | None, *, unit: str = "", note: str = "") -> None:
        if self._task is None:
            self.step("working")
        if self._work.is_another(done, total, unit):
            # A total that changes is what makes rich forget the pace so far.
            self._bars.update(self._task, total=-1.0)  # type: ignore[arg-type]
        amount = f"{done:,.0f}" + (f"/{total:,.0f}" if total else "") + (f" {unit}" if unit else "")
        self._bars.update(self._task, completed=done, total=total, amount=amount, note=note)  # type: ignore[arg-type]

    def say(self, text: str) -> None:
        from rich.text import Text

        self._bars.print(Text(text))


def duration(seconds: float) -> str:
    """``3m 20s`` for people."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display fit for where stderr goes."""
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    bar = BarProgress()
    bar.start()
    try:
        yield bar
    finally:
        bar.stop()
