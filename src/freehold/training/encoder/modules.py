"""Dropout that costs little on a CPU.

PyTorch draws each of its numbers from a Mersenne twister, one after the other: a sixth of a training step of a small
encoder. A byte each from a generator that is made for speed does as well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

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


class SeenWords(torch.nn.Module):
    """Looks up token ids among the `seen` ones (ascending); another id is an error of the caller."""

    def __init__(self, whole: torch.nn.Embedding, seen: torch.Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(whole.weight.detach()[seen].clone())
        places = torch.full((whole.num_embeddings,), len(seen), dtype=torch.long)
        places[seen] = torch.arange(len(seen))
        self._places = places

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return functional.embedding(self._places[ids], self.weight)


@contextlib.contextmanager
def seen_only(model: Any, rows: Sequence[Sequence[int]], always: Sequence[int]) -> Iterator[None]:
    """Within, the model has embeddings of the token ids in `rows` and of those that are `always` needed (padding);
    after, all of them again, with what was learned. A model without a plain table of words is left as it is."""
    whole = model.get_input_embeddings()
    if type(whole) is not torch.nn.Embedding:
        yield
        return
    seen = torch.tensor(sorted({*always, *(one for row in rows for one in row)}), dtype=torch.long)
    part = SeenWords(whole, seen)
    model.set_input_embeddings(part)
    try:
        yield
    finally:
        with torch.no_grad():
            whole.weight[seen] = part.weight.detach()
        model.set_input_embeddings(whole)
