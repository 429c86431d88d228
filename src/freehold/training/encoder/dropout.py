"""Dropout that costs little on a CPU.

PyTorch draws each of its numbers from a Mersenne twister, one after the other: a sixth of a training step of a small
encoder. A byte each from a generator that is made for speed does as well.
"""

from __future__ import annotations

import torch

from freehold.late import np


class ByteDropout(torch.nn.Module):
    """Sets each value to 0 with probability `p`, to the nearest 256th, and scales the others to the same mean.

    Seeded by PyTorch's generator, so that a run that goes on draws what it would have drawn.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._below = round(p * 256)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if not self.training or self._below == 0:
            return values
        seed = int(torch.randint(2**62, ()))
        drawn = np.random.Generator(np.random.SFC64(seed)).bytes(values.numel())
        kept = torch.frombuffer(bytearray(drawn), dtype=torch.uint8).view(values.shape) >= self._below
        return values * kept.to(values.dtype).mul_(256 / (256 - self._below))


def with_byte_dropout(model: torch.nn.Module) -> None:
    """Put `ByteDropout` in place of every dropout of a model."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Dropout):
                setattr(module, name, ByteDropout(child.p))
