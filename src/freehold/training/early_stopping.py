"""The adapter that did best on the validation split, and when to stop waiting for a better one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freehold.training.checkpoint import Position
from freehold.training.trainer import Trainer, ValidationResult

if TYPE_CHECKING:
    import torch


class EarlyStopping:
    """Remembers the best weights when a patience is set; without one it does nothing.

    `stale` counts the evaluations since `best`.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.best: ValidationResult | None = None
        self.stale = 0
        self._weights: torch.Tensor | None = None

    @property
    def is_over(self) -> bool:
        """Whether `patience` evaluations in a row were no better."""
        return self.patience is not None and self.stale >= self.patience

    def record(self, result: ValidationResult, trainer: Trainer) -> None:
        """Take an evaluation into account: a higher score, or the same with a lower loss, is better."""
        if self.patience is None:
            return
        if self.best is None or (result.score, -result.loss) > (self.best.score, -self.best.loss):
            self.best, self.stale = result, 0
            self._weights = trainer.parameters.flat.detach().clone()
        else:
            self.stale += 1

    def restore_best(self, trainer: Trainer, last: ValidationResult | None) -> ValidationResult | None:
        """Give the trainer its best weights back, where there are any; returns the result of those it ends with."""
        if self._weights is None:
            return last
        trainer.parameters.flat.data.copy_(self._weights)
        return self.best

    def tensors(self) -> dict[str, torch.Tensor]:
        """State for a checkpoint."""
        return {} if self._weights is None else {"best": self._weights}

    def restore(self, position: Position, tensors: dict[str, torch.Tensor]) -> None:
        """Go back to a checkpoint's state."""
        self.stale = position.stale_evaluations
        if "best" in tensors and position.best_loss is not None:
            self.best = ValidationResult(position.best_loss, position.best_score or 0.0)
            self._weights = tensors["best"].to(tensors["adapter"].device)
