"""What is learned and how: one file a method, over one loop."""

from __future__ import annotations

from freehold.training import base as bases
from freehold.training.trainer import Trainer
from freehold.types.config import FinetuneConfig
from freehold.types.model import Weights


def load(weights: Weights, config: FinetuneConfig) -> Trainer:
    """A base loaded as the method takes it, with its trainer. Full fine-tuning moves float32 weights.

    Raises what loading a base raises, and `TrainingError` for a rank no layer can hold.
    """
    if config.method == "full":
        from freehold.training.methods.full import FullTrainer

        return FullTrainer(bases.load(weights, config, exact=True), config)
    from freehold.training.methods.lora import LoraTrainer

    return LoraTrainer(bases.load(weights, config), config)
