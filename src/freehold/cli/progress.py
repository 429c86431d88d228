"""Progress as a person sees it: one bar with the time left on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from freehold.cli.output import console, echo
from freehold.progress import Progress, ProgressLines, StepWork, duration


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
        self._work = StepWork()

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
        self._name, self._began, self._work = name, time.monotonic(), StepWork()
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


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display fit for where stderr goes."""
    if not sys.stderr.isatty():
        yield ProgressLines(lambda text: echo(text, err=True))
        return
    bar = BarProgress()
    bar.start()
    try:
        yield bar
    finally:
        bar.stop()
