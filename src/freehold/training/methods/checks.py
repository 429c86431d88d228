"""Checks of a training plan that need no library."""

from __future__ import annotations

from freehold.errors import TrainingError
from freehold.types.config import FinetuneConfig

FEWEST_SAMPLES = 4
"""Fewer can't say anything about a task."""

FEWEST_VALIDATION = 8
"""Validation samples below which nothing is said about how well answers were learned."""


def check_rank(config: FinetuneConfig, smallest: int) -> None:
    """Raise `TrainingError` for a rank above the narrowest side of the layers it adapts."""
    if config.method != "full" and config.r > smallest:
        raise TrainingError(
            f"rank r={config.r} is larger than the smallest adapted layer ({smallest})",
            hint=f"choose r of at most {max(1, smallest // 4)}",
        )


def check_count(usable: int, first_reject: str | None) -> None:
    """Raise `TrainingError` for fewer samples than can say anything about a task."""
    if usable < FEWEST_SAMPLES:
        first = f"; first reject: {first_reject}" if first_reject else ""
        raise TrainingError(
            f"{usable} samples can be trained on, at least {FEWEST_SAMPLES} are needed{first}",
            hint="add samples to the train split; a narrow task starts to work at about 100",
        )
