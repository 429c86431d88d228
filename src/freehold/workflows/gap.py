"""`freehold gap`: how far open models are behind, by task and by who measured."""

from __future__ import annotations

from freehold.catalog import scores
from freehold.catalog.scores import Gap


def gaps(task: str | None = None) -> list[Gap]:
    """Best open against best proprietary, once per source that scored both. Raises `UsageError` for a task
    without scores."""
    return scores.gaps(task)
