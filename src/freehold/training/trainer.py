"""What the loop needs of a trainer, and how it says how well a set of samples is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from freehold.training.formatting import Encoded
from freehold.training.memory import Shrinkable
from freehold.types.config import FinetuneConfig

if TYPE_CHECKING:
    import torch


class ValidationResult(NamedTuple):
    """How a set of samples is answered.

    `loss` is the mean per target token. `score` is the share of samples whose every target token is the most
    likely one after those before it: greedy decoding then writes exactly the target.
    """

    loss: float
    score: float


class Trainer(Shrinkable, Protocol):
    """One method of training on one loaded base. `compute.trainer_base` has what all methods share."""

    @property
    def model(self) -> Any: ...

    @property
    def config(self) -> FinetuneConfig: ...

    @property
    def base(self) -> Any: ...

    @property
    def parameters(self) -> Any: ...

    @property
    def path(self) -> str:
        """Which code computes the layers."""
        ...

    @property
    def like_lengths(self) -> bool:
        """Whether the samples of a batch are of like length."""
        ...

    @property
    def trained(self) -> str:
        """What the trained weights are, after their number: ``adapter weights``."""
        ...

    def step(self, samples: Sequence[Encoded], rate: float) -> tuple[float, int]:
        """One optimizer step; returns the mean loss and the tokens seen."""
        ...

    def evaluate(self, samples: Sequence[Encoded]) -> ValidationResult: ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """State for a checkpoint."""
        ...

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go back to a checkpoint's state."""
        ...
