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
    return ProgressLines(_to_stderr) if sys.stderr.isatty() or _is_notebook() else Silent()


def _is_notebook() -> bool:
    # IPython says it of itself. That ipykernel is imported says nothing: who starts kernels imports it, too.
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _to_stderr(text: str) -> None:
    print(visible(text), file=sys.stderr)  # noqa: T201 - what a terminal shows of a call
