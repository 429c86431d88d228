"""A LoRA trainer whose adapter is not zero, so that its gradient reaches every part."""

import torch

from freehold.training import base as bases
from freehold.training.methods import LoraTrainer
from freehold.types.config import FinetuneConfig


def trainer_for(tiny, **changes):
    config = FinetuneConfig(**{"r": 4, **changes})
    trainer = LoraTrainer(bases.load(tiny, config), config)
    torch.manual_seed(1)
    for name, (begin, end) in trainer.parameters.slices.items():
        if "lora_B" in name:
            trainer.parameters.flat.data[begin:end].normal_(0, 0.1)
    return trainer
