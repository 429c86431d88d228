"""Where a call says how far it is: lines on a terminal and in a notebook, nothing elsewhere."""

from __future__ import annotations

import sys

from freehold.progress_lines import ProgressLines
from freehold.types.progress import Progress, Silent
from freehold.visible import visible


def watched(progress: Progress | None) -> Progress:
    """The caller's own, else the one that suits where this runs."""
    if progress is not None:
        return progress
    is_seen = sys.stderr.isatty() or "ipykernel" in sys.modules
    return ProgressLines(_to_stderr) if is_seen else Silent()


def _to_stderr(text: str) -> None:
    print(visible(text), file=sys.stderr)  # noqa: T201 - what a terminal shows of a call
