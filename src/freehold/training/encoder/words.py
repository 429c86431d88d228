"""Embeddings of the words that training sees, in place of all of a vocabulary's.

Half of a small encoder's weights are word embeddings, and a company's messages hold a tenth of the words: without the
others, each step's gradient, its norm and the optimizer's work are half as long. What is left out is given back as it
was, where a full optimizer would have changed it by weight decay alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional


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
