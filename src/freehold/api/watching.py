"""Where a call says how far it is: a cell's output in a notebook, lines on a terminal, nothing elsewhere."""

from __future__ import annotations

import importlib
import sys
import time
from html import escape
from typing import Any

from freehold.progress_lines import ProgressLines, amount
from freehold.types.progress import Progress, Silent
from freehold.visible import visible

REDRAW_SECONDS = 0.2


def watched(progress: Progress | None) -> Progress:
    """The caller's own, else the one that suits where this runs."""
    if progress is not None:
        return progress
    if _in_notebook():
        return NotebookProgress()
    return ProgressLines(_to_stderr) if sys.stderr.isatty() else Silent()


def _in_notebook() -> bool:
    """Whether this process is a notebook's kernel; nothing is imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def _to_stderr(text: str) -> None:
    print(visible(text), file=sys.stderr)  # noqa: T201 - what a terminal shows of a call


class NotebookProgress:
    """One line of the cell's output, which follows the work; what is said stays above it."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._now = ""
        self._drawn = 0.0
        self._shown: Any = None

    def step(self, name: str, *, note: str = "") -> None:
        self._name = name
        self._draw(name + (f" — {note}" if note else ""), None, at_once=True)

    def update(self, done: float, total: float | None, *, unit: str = "", note: str = "") -> None:
        share = None if not total else min(done / total, 1.0)
        name = getattr(self, "_name", "working")
        self._draw(f"{name}: {amount(done, total, unit)}" + (f" — {note}" if note else ""), share)

    def say(self, text: str) -> None:
        self._said.append(text)
        self._draw(self._now, None, at_once=True)

    def _draw(self, text: str, share: float | None, *, at_once: bool = False) -> None:
        self._now = text
        clock = time.monotonic()
        if not at_once and share != 1.0 and clock - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = clock
        bar = "" if share is None else f'<progress max="1" value="{share:.4f}"></progress> '
        lines = [*(escape(visible(one)) for one in self._said), f"{bar}{escape(visible(text))}"]
        shown = {"text/html": f"<div>{'<br>'.join(lines)}</div>", "text/plain": text}
        if self._shown is None:
            display: Any = importlib.import_module("IPython.display").display
            self._shown = display(shown, raw=True, display_id=True)
        else:
            self._shown.update(shown, raw=True)
