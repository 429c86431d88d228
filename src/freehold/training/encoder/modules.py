"""What an encoder is tuned with on a CPU: cheap dropout, a table of the words that are seen, and how a head learns
which piece of a text a field copies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

from freehold.encoders.folder import LinearHead
from freehold.encoders.pieces import NEVER, TAGS
from freehold.late import np
from freehold.training.encoder.base import Floats
from freehold.training.encoder.heads import Flags, padded
from freehold.types.encoder import FieldHead

_STEPS = 60


class ByteDropout(torch.nn.Module):
    """Sets each value to 0 with probability `p`, to the nearest 256th, and scales the others to the same mean.

    PyTorch draws each of its numbers from a Mersenne twister, one after the other: a sixth of a training step of a
    small encoder. A byte each from a generator that is made for speed does as well. It is seeded by PyTorch's, so that
    a run that goes on draws what it would have drawn.
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


def losses_of_pieces(logits: torch.Tensor, marks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What each text loses by its answer's improbability, and whether its answer is the likeliest; of logits [texts,
    tokens, TAGS] and `heads.marks_of`. The scores are those of `freehold.encoders.pieces`."""
    going_on = logits[..., 1].cumsum(1)
    first = (logits[..., 0] - going_on).masked_fill(~marks[:, 0], NEVER)
    last = (going_on + logits[..., 2]).masked_fill(~marks[:, 1], NEVER)
    none = first.new_zeros(len(first))
    total = torch.logaddexp(none, torch.logsumexp(first.logcumsumexp(1) + last, 1))
    wanted = (first * marks[:, 2]).sum(1) + (last * marks[:, 3]).sum(1)
    best = torch.maximum(none, (first.cummax(1).values + last).amax(1))
    return total - wanted, wanted >= best - 1e-4


def fit_pieces(
    field: FieldHead, tokens: Sequence[Floats], marks: Sequence[Flags], strength: float
) -> LinearHead:
    """A head over token embeddings as they are. `strength` as in `heads.fit_one`."""
    every, right = torch.from_numpy(np.concatenate(tokens)), torch.from_numpy(padded(marks))
    held = torch.arange(right.shape[2]) < torch.tensor([len(rows) for rows in tokens])[:, None]
    head = torch.nn.Linear(every.shape[1], TAGS)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    optimizer: Any = torch.optim.LBFGS(head.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimizer.zero_grad()
        logits = every.new_zeros((*held.shape, TAGS)).masked_scatter(held[..., None], head(every))
        made: Any = losses_of_pieces(logits, right)[0].sum() + head.weight.square().sum() / (2 * strength)
        made.backward()
        return made

    optimizer.step(loss)
    return LinearHead(field, head.weight.detach().numpy(), head.bias.detach().numpy())
