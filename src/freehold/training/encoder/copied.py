"""How a head learns which piece of a text a field copies: the loss, and the fit over tokens as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from freehold.encoders.folder import LinearHead
from freehold.encoders.pieces import NEVER, TAGS
from freehold.late import np
from freehold.training.encoder.base import Floats
from freehold.training.encoder.heads import Flags, padded
from freehold.types.encoder import FieldHead

_STEPS = 60


def losses(logits: torch.Tensor, marks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
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


def fit(field: FieldHead, tokens: Sequence[Floats], marks: Sequence[Flags], strength: float) -> LinearHead:
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
        made: Any = losses(logits, right)[0].sum() + head.weight.square().sum() / (2 * strength)
        made.backward()
        return made

    optimizer.step(loss)
    return LinearHead(field, head.weight.detach().numpy(), head.bias.detach().numpy())
