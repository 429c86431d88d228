"""Full fine-tuning, for models so small that an adapter would be most of them: every weight moves.

Weights, gradient and the optimizer's two moments are float32, 16 bytes a weight; products are computed in the run's own
precision (autocast). What is left is a model of its own, not an adapter: see `freehold.training.output.export`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from freehold.errors import TrainingError
from freehold.training import base as bases
from freehold.training.base import Base
from freehold.training.compute.packing import pack
from freehold.training.formatting import Encoded
from freehold.training.methods.lora import LoraTrainer
from freehold.training.trainer import Trainer
from freehold.types.config import FinetuneConfig
from freehold.types.units import gib

if TYPE_CHECKING:
    import torch

BYTES_PER_WEIGHT = 16


class FullTrainer(LoraTrainer):
    """Trains all weights of a base that was loaded in float32. `model` is the model itself."""

    trained = "weights, all of the model's"

    def __init__(self, base: Base, config: FinetuneConfig) -> None:
        import torch

        self.base = base
        _check_room(base)
        torch.manual_seed(config.seed)
        base.model.requires_grad_(True)
        Trainer.__init__(self, base.model, base.device, config)
        self._decoder = self.model.get_decoder()
        self._head = self.model.get_output_embeddings().weight
        self._softcap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        self._fused = None
        self._half = bases.choose_precision(base.device).name == "bf16"

    def _hidden(self, packed: Any) -> torch.Tensor:
        with self._autocast():
            return super()._hidden(packed).to(self._head.dtype)

    def _autocast(self) -> Any:
        import torch

        if not self._half:
            return contextlib.nullcontext()
        return torch.autocast(self.base.device, dtype=torch.bfloat16)

    def loss_sum(self, samples: Sequence[Encoded]) -> tuple[torch.Tensor, int, int]:
        """Summed loss, differentiable in the head too, which moves here."""
        import torch
        from torch.nn import functional

        packed = pack(samples, device=self.base.device)
        hidden = self._hidden(packed)
        with self._autocast():
            logits = functional.linear(hidden, self._head)
        logits = logits.float()
        if self._softcap is not None:
            logits = torch.tanh(logits / self._softcap) * self._softcap
        total = functional.cross_entropy(logits, packed.targets, reduction="sum")
        return total, len(packed.targets), packed.plain_tokens


def _check_room(base: Base) -> None:
    """Raise `TrainingError` when 16 bytes a weight are more than is free."""
    import psutil
    import torch

    weights = sum(parameter.numel() for parameter in base.model.parameters())
    needed = weights * BYTES_PER_WEIGHT - base.weight_bytes
    free = torch.cuda.mem_get_info()[0] if base.device == "cuda" else psutil.virtual_memory().available
    if needed > free:
        raise TrainingError(
            f"training all {weights / 1e6:,.0f} million weights needs {gib(needed, 1)} more, "
            f"{gib(free, 1)} are free",
            hint='method = "lora" needs a fraction of that',
        )
